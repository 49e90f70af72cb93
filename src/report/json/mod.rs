//! The JSON contract: the types that are written, and from which the JSON Schema is made.
//!
//! Within a major schema number JSON changes only by adding. Addresses and registers are strings,
//! single bits booleans, verdicts words; lists are sorted by address.

mod accept;
mod check;
mod clique;
mod db;
mod diff;
mod effect;
mod escape;
mod explain;
mod fleet;
mod function;
mod group;
mod host;
mod lines;
mod listed;
mod plan;
mod registers;
mod route;
mod summary;

pub use accept::AcceptedDocument;
pub use check::{CheckDocument, MemberDocument, ObjectionDocument, PolicyDocument, WayDocument};
pub use clique::{
    CliqueDocument, CliqueMemberDocument, CliquePairDocument, CliquesDocument, HindranceDocument,
};
pub use db::{
    AcceptanceDocument, DbAcceptDocument, DbCheckDocument, DbExplainDocument, DbListDocument,
    DbLookupDocument, EntryDocument, FileDocument, RoleDocument,
};
pub use diff::{
    CauseDocument, DiffDocument, FindingChangeDocument, FromToDocument, RegisterDocument, RegroupedDocument,
};
pub use effect::{Addresses, EffectDocument, TurnDocument, effects};
pub(crate) use escape::to_writer;
pub use explain::{ExplainDocument, StepDocument};
pub use fleet::{
    CheckedDevice, FleetCheck, FleetCounts, FleetDifference, FleetDocument, FleetErrorDocument, FleetErrors,
    FleetField, FleetFindings, FleetHostDocument, FleetKind, FunctionRow, KindCounts, PairRow, PortCounts,
    Row, RowDocument, RowError, SharedDomain,
};
pub use function::FunctionDocument;
pub use group::{
    Certainty, DifferenceDocument, ExplanationDocument, GroupDocument, KernelGroupDocument, WhyDocument,
    differences, groups, kernel_groups, ungrouped,
};
pub use host::{BoardDocument, CmdlineFindingDocument, HostDocument};
pub use lines::{HeadLine, Line, line_schema, write_lines};
pub use listed::Listed;
pub use plan::{ConnectionDocument, ObstacleDocument, ParametersDocument, PlanDocument, WriteDocument};
pub use registers::{AcsDocument, EffectiveDocument};
pub use route::{
    DisagreementDocument, DomainDocument, GateDocument, ImpersonationDocument, MatrixDocument, MergeDocument,
    P2pDocument, P2pdmaDocument, RouteDocument, UnsettledDocument, accepted_cell, domain, domains,
    merge_evidence, unsettled,
};
pub use summary::{DomainCounts, FindingCount, SummaryDocument};

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Reach, Source, clean};
use crate::finding::{Finding, Severity};
use crate::route::evidence::Evidence;
use crate::topology::{FunctionIndex, Topology};

/// Name and major number of the schema.
pub const SCHEMA: &str = "acsscan/1";

/// One document. The schema is that of the default body; another one writes the same.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
#[schemars(rename = "Document")]
pub struct Document<B = Body> {
    /// Name and major number of the schema: `acsscan/1`.
    pub schema: &'static str,
    /// What was read.
    pub source: SourceDocument,
    /// What the document is about; adds `kind`.
    #[serde(flatten)]
    pub body: B,
    /// Findings, most severe first.
    pub findings: Vec<FindingDocument>,
}

/// What a document is about.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
#[schemars(rename = "Body")]
pub enum Body<S = ScanDocument> {
    /// `acsscan --dump`: everything.
    Scan(S),
    /// `acsscan --summary`: the scan in numbers.
    Summary(SummaryDocument),
    /// `acsscan show`: decoded registers.
    Show(ShowDocument),
    /// `acsscan groups`: one partition.
    Groups(GroupsDocument),
    /// `acsscan p2p`: the routes from one function to another.
    P2p(P2pDocument),
    /// `acsscan p2p --matrix`: classes against classes.
    #[serde(rename = "p2p-matrix")]
    Matrix(MatrixDocument),
    /// `acsscan p2p --cliques`: what a guest may be told reaches each other.
    #[serde(rename = "p2p-cliques")]
    Cliques(CliquesDocument),
    /// `acsscan explain`: why a function's domain is as it is.
    Explain(ExplainDocument),
    /// `acsscan diff`: what changed.
    Diff(DiffDocument),
    /// `acsscan plan`: the smallest change that reaches a goal.
    Plan(Box<PlanDocument>),
    /// `acsscan fleet`: all hosts together.
    Fleet(FleetDocument),
    /// `acsscan fleet`: one host.
    #[serde(rename = "fleet-host")]
    FleetHost(Box<FleetHostDocument>),
    /// `acsscan fleet`: an input that could not be read.
    Error(FleetErrorDocument),
    /// `acsscan check`: may these be assigned together?
    Check(CheckDocument),
    /// `acsscan db list`: the device database.
    #[serde(rename = "db-list")]
    DbList(DbListDocument),
    /// `acsscan db lookup`: what the database has about a device.
    #[serde(rename = "db-lookup")]
    DbLookup(DbLookupDocument),
    /// `acsscan db explain`: what the database does to a function.
    #[serde(rename = "db-explain")]
    DbExplain(DbExplainDocument),
    /// `acsscan db check`: whether database files are right.
    #[serde(rename = "db-check")]
    DbCheck(DbCheckDocument),
    /// `acsscan db accept`: an entry to put into a file.
    #[serde(rename = "db-accept")]
    DbAccept(DbAcceptDocument),
}

/// The scan. Its long lists may be [`Listed`].
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
#[schemars(rename = "ScanDocument")]
pub struct ScanDocument<D = Vec<DomainDocument>, N = Vec<DisagreementDocument>, G = Vec<GroupDocument>> {
    /// What the host says of itself, where the input is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostDocument>,
    /// What was assumed where no dump can tell.
    pub assumptions: Vec<String>,
    /// Pairs of functions that only those assumptions keep apart.
    pub unsettled: Vec<UnsettledDocument>,
    /// What ACS cannot do, and is not counted.
    pub limits: Vec<String>,
    /// Isolation domains: functions that are not proved to be kept apart.
    pub domains: D,
    /// Where Linux's groups are not the domains, most dangerous first.
    pub disagreements: N,
    /// Groups as Linux forms them.
    pub groups: G,
    /// Functions that Linux puts into no group.
    pub ungrouped: Vec<String>,
    /// The groups that the running kernel formed, where the dump has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_groups: Option<Vec<KernelGroupDocument>>,
    /// Where those differ from `groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<DifferenceDocument>>,
    /// The functions that were asked for; present if any were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<Vec<FunctionDocument>>,
}

/// Decoded registers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ShowDocument {
    /// The selected functions.
    pub functions: Vec<FunctionDocument>,
}

/// One partition.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct GroupsDocument {
    /// The model: `linux`, `spec`, or `spec,linux`, of which `groups` has the first.
    pub model: String,
    /// What was assumed where no dump can tell, if one of the models is `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumptions: Option<Vec<String>>,
    /// Its groups.
    pub groups: Vec<GroupDocument>,
    /// Functions that the model puts into no group.
    pub ungrouped: Vec<String>,
    /// The second model's groups, where two are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Vec<GroupDocument>>,
    /// Where the two disagree, most dangerous first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreements: Option<Vec<DisagreementDocument>>,
    /// The groups that the running kernel formed, where the dump has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_groups: Option<Vec<KernelGroupDocument>>,
    /// Where those differ from `groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<DifferenceDocument>>,
}

/// What was read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SourceDocument {
    /// `sysfs`, `lspci-hex`, `config`, `ecam`, `tree`, …: a word of `--input-format`; `database` where no
    /// dump was read.
    pub kind: String,
    /// Path, or `-`.
    pub path: String,
    /// What of a directory or an archive was read, if not all: the path within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// How many functions.
    pub functions: usize,
    /// Whether everything that the answers need was captured.
    pub complete: bool,
    /// Kernel release of the machine, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Kernel command line of the machine, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// What could not be read, one line each.
    pub problems: Vec<String>,
    /// What-if overlays, one line each: the answer is about the machine as if these held, not about what
    /// was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlays: Option<Vec<String>>,
}

impl SourceDocument {
    /// Describes a source and what was read from it.
    #[must_use]
    pub fn new(source: &Source, topology: &Topology) -> Self {
        Self {
            kind: source.kind.clone(),
            path: source.path.clone(),
            part: source.part.clone(),
            functions: topology.functions().len(),
            complete: !source.has_losses()
                && topology.functions().iter().all(|function| function.is_complete()),
            kernel: source.kernel.as_deref().map(|kernel| clean(kernel).into_owned()),
            cmdline: source.cmdline.as_deref().map(|cmdline| clean(cmdline).into_owned()),
            problems: source.problems.iter().map(|problem| clean(&problem.text).into_owned()).collect(),
            overlays: (!source.overlays.is_empty())
                .then(|| source.overlays.iter().map(|line| clean(line).into_owned()).collect()),
        }
    }
}

impl SourceDocument {
    /// Many inputs, of which the first is named.
    #[must_use]
    pub fn of_many(path: String, complete: bool) -> Self {
        Self { kind: String::from("fleet"), complete, ..Self::nothing(path) }
    }

    /// An input that could not be read.
    #[must_use]
    pub fn unread(path: String, problem: String) -> Self {
        Self { problems: vec![problem], ..Self::nothing(path) }
    }

    fn nothing(path: String) -> Self {
        Self {
            kind: String::from("unknown"),
            path,
            part: None,
            functions: 0,
            complete: false,
            kernel: None,
            cmdline: None,
            overlays: None,
            problems: Vec::new(),
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SeverityDocument {
    /// The answer for these functions cannot be trusted.
    Error,
    /// Isolation is weaker than it looks, or part of the answer is missing.
    Warning,
    /// Worth knowing.
    Note,
}

/// One finding.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FindingDocument {
    /// Stable kebab-case code.
    pub code: &'static str,
    /// How much it matters.
    pub severity: SeverityDocument,
    /// The functions, sorted by address.
    pub functions: Vec<String>,
    /// One sentence.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<EvidenceDocument>,
    /// What to do; empty if nothing can be done.
    pub advice: &'static str,
}

impl SeverityDocument {
    /// The word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl From<Severity> for SeverityDocument {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Note,
        }
    }
}

impl From<&Finding> for FindingDocument {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str(),
            severity: finding.code.severity().into(),
            functions: finding.functions.iter().map(ToString::to_string).collect(),
            message: finding.message.clone(),
            evidence: finding.evidence.iter().map(EvidenceDocument::from).collect(),
            advice: finding.code.advice(),
        }
    }
}

/// One piece of evidence: a register, a structure, a type, or a database entry.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EvidenceDocument {
    /// A register as it reads.
    Register {
        /// Address of the function.
        function: String,
        /// Name of the register.
        register: &'static str,
        /// Offset in configuration space.
        offset: String,
        /// The bits that matter, as lspci's tokens or by name.
        bits: String,
        /// The whole register.
        value: String,
    },
    /// A structure that is absent or not captured.
    Structure {
        /// Address of the function.
        function: String,
        /// Name of the structure.
        structure: &'static str,
        /// `absent` or `not-captured`.
        presence: &'static str,
    },
    /// The Device/Port Type alone.
    PortType {
        /// Address of the function.
        function: String,
        /// The type as Linux corrects it.
        port_type: &'static str,
    },
    /// An entry of the device database.
    Entry {
        /// Address of the function that it matched.
        function: String,
        /// Name of the entry.
        entry: String,
        /// Layer that it comes from.
        layer: &'static str,
        /// File that it comes from; empty for the built-in layer.
        file: String,
        /// Where its statement is known from.
        source: String,
        /// What must be so on the machine for it to hold, in its own words; left out where nothing must.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conditions: Vec<String>,
    },
}

impl From<&Evidence> for EvidenceDocument {
    fn from(evidence: &Evidence) -> Self {
        let function = evidence.function().to_string();
        match evidence {
            Evidence::Register { register, offset, bits, value, .. } => Self::Register {
                function,
                register,
                offset: format!("{offset:#05x}"),
                bits: bits.clone(),
                value: format!("{value:#06x}"),
            },
            Evidence::Structure { structure, presence, .. } => {
                Self::Structure { function, structure, presence }
            }
            Evidence::PortType { port_type, .. } => Self::PortType { function, port_type: port_type.word() },
            Evidence::Database { entry, layer, file, source, conditions, .. } => Self::Entry {
                conditions: conditions.clone(),
                function,
                entry: entry.clone(),
                layer: layer.word(),
                file: file.clone(),
                source: source.clone(),
            },
        }
    }
}

/// The database entries that the ACS of these functions rests on, one for each function.
fn entries(reach: &Reach<'_>, functions: impl Iterator<Item = FunctionIndex>) -> Vec<EvidenceDocument> {
    let address = |index: &FunctionIndex| reach.topology().address(*index).unwrap_or_default();
    let used = reach.entries(functions);
    let evidence =
        used.iter().flat_map(|(entry, of)| of.iter().map(|index| Evidence::entry(address(index), entry)));
    evidence.map(|evidence| EvidenceDocument::from(&evidence)).collect()
}

/// Writes a document and a line end.
///
/// # Errors
///
/// Those of the writer.
pub fn write<B: Serialize>(mut out: impl io::Write, document: &Document<B>) -> io::Result<()> {
    escape::to_writer_pretty(&mut out, document)?;
    out.write_all(b"\n")
}

/// The JSON Schema of [`Document`], as text.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Document);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}
