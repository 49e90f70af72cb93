//! `acsscan --summary`: the scan in numbers.

use std::io::{self, Write};

use super::{BOLD, as_if};
use crate::finding::count;
use crate::report::clean;
use crate::report::json::{SourceDocument, SummaryDocument};

/// How many functions, domains and findings.
///
/// # Errors
///
/// Those of the writer.
pub fn summary(out: &mut impl Write, source: &SourceDocument, summary: &SummaryDocument) -> io::Result<()> {
    as_if(out, source.overlays.as_deref().unwrap_or_default())?;
    let functions = count(source.functions, "function");
    let complete = if source.complete { "complete" } else { "not complete" };
    writeln!(
        out,
        "{BOLD}Source{BOLD:#}  {} ({}): {functions}, {complete}",
        clean(&source.path),
        source.kind
    )?;
    let domains = &summary.domains;
    writeln!(
        out,
        "{BOLD}Domains{BOLD:#} {}, the largest with {}; {} of one function; held together by direct traffic {}, \
         by impersonation {}, by what is not known {}",
        count(domains.total, "isolation domain"),
        count(domains.largest, "function"),
        domains.alone,
        domains.direct,
        domains.impersonation,
        domains.unproven
    )?;
    for found in &summary.finding_counts {
        let (findings, functions) = (count(found.findings, "finding"), count(found.functions, "function"));
        writeln!(out, "{} {}: {findings}, {functions}", found.severity.word(), found.code)?;
    }
    Ok(())
}
