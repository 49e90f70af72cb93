//! `acsscan db` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::db::{
    Acceptance, Alias, Claim, Date, Entry, IdRange, Loaded, Match, Refused, RefusedBy, Subjects,
};
use crate::route::evidence::control_tokens;

/// `acsscan db list`: everything in the database, the winning entries first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DbListDocument {
    /// The files that were read, the winning one last.
    pub files: Vec<FileDocument>,
    /// Facts about devices.
    pub entries: Vec<EntryDocument>,
    /// What somebody accepts.
    pub acceptances: Vec<AcceptanceDocument>,
}

/// `acsscan db lookup`: what the database has about a device.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DbLookupDocument {
    /// What was asked: an address or IDs.
    pub asked: String,
    /// The entries about it, in order of precedence. Asked with IDs alone: those that may apply, where
    /// the rest of what they match holds.
    pub entries: Vec<EntryDocument>,
    /// The acceptances that name it.
    pub acceptances: Vec<AcceptanceDocument>,
}

/// `acsscan db explain`: what the database does to one function.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DbExplainDocument {
    /// The function.
    pub function: String,
    /// Vendor and device ID.
    pub ids: String,
    /// Its ACS controls as its registers have them.
    pub registers: String,
    /// Its ACS controls as they count.
    pub counts: String,
    /// The entries about it, each with what becomes of it.
    pub entries: Vec<RoleDocument>,
    /// The acceptances that name it.
    pub acceptances: Vec<AcceptanceDocument>,
}

/// An entry and what becomes of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RoleDocument {
    /// The entry.
    pub entry: EntryDocument,
    /// `decides`, `overruled`, `not-applied`, `applies`, `note`.
    pub role: &'static str,
    /// In words.
    pub message: String,
}

/// `acsscan db check`: whether files are right.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DbCheckDocument {
    /// The files.
    pub files: Vec<FileDocument>,
}

/// `acsscan db accept`: an entry that is ready to be put into a file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DbAcceptDocument {
    /// The function.
    pub function: String,
    /// The file's text.
    pub toml: String,
}

/// One file of the database.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FileDocument {
    /// `built-in`, `distribution`, `administrator`, `command-line`.
    pub layer: &'static str,
    /// Its path; empty for the built-in layer.
    pub file: String,
    /// How many entries and acceptances it has; 0 if it is refused.
    pub entries: usize,
    /// What is wrong with it; nothing if it is right.
    pub problems: Vec<ProblemDocument>,
}

/// Something wrong with a file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProblemDocument {
    /// Line, from 1 on; 0 if it is about the file as a whole.
    pub line: usize,
    /// Column, from 1 on; 0 if it is about the file as a whole.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// One entry.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EntryDocument {
    /// Its name.
    pub name: String,
    /// Layer that it comes from.
    pub layer: &'static str,
    /// File that it comes from; empty for the built-in layer.
    pub file: String,
    /// `isolates`, `does-not-isolate`, …: its kind.
    pub kind: &'static str,
    /// Which functions it is about, in words.
    pub matches: String,
    /// What it says of them, in words.
    pub claim: String,
    /// What must hold beside that, and a dump cannot show.
    pub conditions: Vec<String>,
    /// Where it is known from.
    pub source: String,
    /// Why it is so.
    pub reason: String,
}

/// One acceptance.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AcceptanceDocument {
    /// Its name.
    pub name: String,
    /// Layer that it comes from.
    pub layer: &'static str,
    /// File that it comes from.
    pub file: String,
    /// Whose pairs are accepted, in words.
    pub subject: String,
    /// With whom only, in words; `null` is anybody.
    pub with: Option<String>,
    /// Whether what is proved is accepted, too.
    pub direct: bool,
    /// Who decided.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds; `null` is without end.
    pub until: Option<String>,
    /// Whether that day is over.
    pub expired: bool,
}

impl DbListDocument {
    /// Everything that was loaded.
    #[must_use]
    pub fn new(loaded: &Loaded, today: Date) -> Self {
        let acceptances = loaded.database.acceptances().iter();
        Self {
            files: FileDocument::all(loaded),
            entries: loaded.database.entries().iter().map(EntryDocument::from).collect(),
            acceptances: acceptances.map(|one| AcceptanceDocument::new(one, today)).collect(),
        }
    }
}

impl FileDocument {
    /// The files that were read, and those that were refused.
    #[must_use]
    pub fn all(loaded: &Loaded) -> Vec<Self> {
        let read = loaded.files.iter().map(|(layer, file, entries)| Self {
            layer: layer.word(),
            file: file.clone(),
            entries: *entries,
            problems: Vec::new(),
        });
        let refused = loaded.refused.iter().map(|refused| Self {
            layer: refused.layer.word(),
            file: refused.file.clone(),
            entries: 0,
            problems: problems(refused),
        });
        read.chain(refused).collect()
    }
}

fn problems(refused: &Refused) -> Vec<ProblemDocument> {
    let whole = |message: String| Vec::from([ProblemDocument { line: 0, column: 0, message }]);
    match &refused.error {
        RefusedBy::Missing => whole(String::from("there is no such file or directory")),
        RefusedBy::Unreadable(text) => whole(text.clone()),
        RefusedBy::Wrong(error) => {
            let problem = |problem: &crate::db::Problem| ProblemDocument {
                line: problem.line,
                column: problem.column,
                message: problem.message.clone(),
            };
            let mut found: Vec<_> = error.problems().iter().map(problem).collect();
            if error.more() > 0 {
                found.extend(whole(format!("and {} more", error.more())));
            }
            found
        }
    }
}

impl From<&Entry> for EntryDocument {
    fn from(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            layer: entry.layer.word(),
            file: entry.file.clone(),
            kind: entry.claim.word(),
            matches: matching(&entry.matches),
            claim: claim(&entry.claim),
            conditions: entry.conditions.iter().map(|condition| condition.kind.to_string()).collect(),
            source: entry.source.clone(),
            reason: entry.reason.clone(),
        }
    }
}

impl AcceptanceDocument {
    /// Describes an acceptance on a day.
    #[must_use]
    pub fn new(acceptance: &Acceptance, today: Date) -> Self {
        Self {
            name: acceptance.name.clone(),
            layer: acceptance.layer.word(),
            file: acceptance.file.clone(),
            subject: subjects(&acceptance.subject),
            with: acceptance.with.as_ref().map(subjects),
            direct: acceptance.direct,
            who: acceptance.who.clone(),
            reason: acceptance.reason.clone(),
            until: acceptance.until.map(|until| until.to_string()),
            expired: !acceptance.holds_on(today),
        }
    }
}

fn subjects(subjects: &Subjects) -> String {
    match subjects {
        Subjects::Matching(wanted) => matching(wanted),
        Subjects::Slot(slot) => format!("slot {slot}"),
    }
}

/// A match in words.
fn matching(wanted: &Match) -> String {
    let mut parts = Vec::new();
    if let Some(vendor) = wanted.vendor {
        parts.push(format!("vendor {vendor:04x}"));
    }
    let range = |ids: &IdRange| match ids.first == ids.last {
        true => format!("{:04x}", ids.first),
        false => format!("{:04x}-{:04x}", ids.first, ids.last),
    };
    let mut list = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            parts.push(format!("{name} {}", values.join(" ")));
        }
    };
    list("device", wanted.devices.iter().map(range).collect());
    let pairs = wanted.subsystems.iter();
    list("subsystem", pairs.map(|(vendor, device)| format!("{vendor:04x}:{device:04x}")).collect());
    let revisions = wanted.revisions.iter();
    list("revision", revisions.map(|(first, last)| format!("{first:02x}-{last:02x}")).collect());
    let class = |(base, sub): &(u8, Option<u8>)| match sub {
        Some(sub) => format!("{base:02x}{sub:02x}"),
        None => format!("{base:02x}"),
    };
    list("class", wanted.classes.iter().map(class).collect());
    list("type", wanted.port_types.iter().copied().map(DevicePortType::word).map(String::from).collect());
    for (what, is, is_not) in [
        (wanted.pcie, "PCI Express", "no PCI Express"),
        (wanted.bridge, "bridge", "no bridge"),
        (wanted.multi_function, "multi-function", "single function"),
        (wanted.root_bus, "on a root bus", "not on a root bus"),
        (wanted.acs, "with ACS", "without ACS"),
    ] {
        list("", what.map(|what| String::from(if what { is } else { is_not })).into_iter().collect());
    }
    list("not function", wanted.not_function.map(|function| function.to_string()).into_iter().collect());
    if parts.is_empty() {
        return String::from("any function");
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
    parts.join(", ")
}

/// A claim in words.
fn claim(claim: &Claim) -> String {
    let tokens = |controls: AcsControl| control_tokens(controls, '+');
    match claim {
        Claim::Isolates { services, ignored, open } => {
            let open = match open.is_empty() {
                true => String::new(),
                false => format!(", says nothing of what {} would let through", tokens(*open)),
            };
            let ignored = match ignored.is_empty() {
                true => String::new(),
                false => format!(", not asked for: {}", control_tokens(*ignored, '-')),
            };
            format!("isolates as with {}{ignored}{open}", tokens(*services))
        }
        Claim::DoesNotIsolate => String::from("does not isolate, whatever its registers say"),
        Claim::AcsLayout { capability_offset, control_offset } => format!(
            "ACS registers of 32 bits, capability at +{capability_offset:#x}, control at +{control_offset:#x}"
        ),
        Claim::IgnoreAcsCapability { cleared } => {
            format!("these ACS capability bits read as clear: {}", control_tokens(*cleared, '-'))
        }
        Claim::RequesterIdAlias(alias) => match alias {
            Alias::FunctionOfSlot(function) => format!("also uses the requester ID of function {function}"),
            Alias::Fixed(devfns) => {
                let ids: Vec<String> =
                    devfns.iter().map(|devfn| format!("{:02x}.{}", devfn >> 3, devfn & 7)).collect();
                format!("also uses the requester IDs {} of its bus", ids.join(" "))
            }
            Alias::FunctionsOfEverySlot(last) => {
                format!("also uses the requester IDs of functions 0 to {last} of every slot of its bus")
            }
            Alias::All => String::from("also uses every requester ID of its bus"),
            Alias::Unknown => String::from("also uses other requester IDs, not known which"),
        },
        Claim::BridgeSubstitutesSecondary => {
            String::from("puts its secondary bus's requester ID in place of those below it")
        }
        Claim::BridgeKeepsRequesterId => String::from("keeps the requester IDs of what is below it"),
        Claim::TranslationRoot => String::from("the IOMMU is attached here"),
        Claim::OwnsSegment => String::from("the segments that its driver makes use its requester ID"),
        Claim::HostBridgeP2p { same_host_bridge: true } => {
            String::from("passes traffic between peers below it")
        }
        Claim::HostBridgeP2p { same_host_bridge: false } => String::from("passes traffic between peers"),
        Claim::Note => String::from("a note"),
    }
}
