//! JSON Lines: one record a line, each made when it is written, so that memory does not grow with the
//! output.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Document, DomainDocument, FindingDocument, FunctionDocument, GroupDocument, RowDocument, SCHEMA,
    SourceDocument,
};

/// One line.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Line {
    /// The first line: what was read.
    Source(HeadLine),
    /// An isolation domain.
    Domain(DomainDocument),
    /// A group as Linux forms it.
    Group(GroupDocument),
    /// A decoded function.
    Function(Box<FunctionDocument>),
    /// A finding. They come last.
    Finding(FindingDocument),
}

/// The first line.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HeadLine {
    /// Name and major number of the schema: `acsscan/1`.
    pub schema: &'static str,
    /// What was read.
    pub source: SourceDocument,
    /// What was assumed where no dump can tell.
    pub assumptions: Vec<String>,
}

impl HeadLine {
    /// Describes a source.
    #[must_use]
    pub const fn new(source: SourceDocument, assumptions: Vec<String>) -> Self {
        Self { schema: SCHEMA, source, assumptions }
    }
}

/// Writes each line as it comes.
///
/// # Errors
///
/// Those of the writer.
pub fn write_lines(mut out: impl io::Write, lines: impl IntoIterator<Item = Line>) -> io::Result<()> {
    for line in lines {
        super::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Every line that is written.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "its schema is what it is for")]
enum AnyLine {
    OfScan(Box<Line>),
    OfFleet(Box<Document>),
    RowOfFleet(Box<RowDocument>),
}

/// The JSON Schema of each line: of a scan ([`Line`]), of `acsscan fleet` ([`Document`], one a host), and
/// of its rows ([`RowDocument`]), as text.
#[must_use]
pub fn line_schema() -> String {
    let schema = schemars::schema_for!(AnyLine);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}
