//! Reads database files (TOML) into entries. The form is explained at the top of `builtin.toml`.
//!
//! The document is walked by hand, so that each problem is told with its line and column, and all of
//! them at once: an administrator corrects a file in one go.

mod accept;
mod error;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::accept::date;
pub use self::error::{ParseError, Problem};
use self::error::{Problems, instead, quoted};
use super::{Acceptance, Alias, Claim, Condition, ConditionKind, Contents, Database, Entry, Layer, Match};
use crate::cap::acs::AcsControl;
use crate::limits::{Limit, Limits};

/// The built-in entries as a file, with the explanation of the form at its top.
pub const BUILTIN: &str = include_str!("builtin.toml");

/// The built-in database.
///
/// [`load`](super::load) puts the layers of a host before it.
///
/// # Errors
///
/// None in a program whose tests have passed: the data is compiled in.
pub fn builtin() -> Result<Database, ParseError> {
    parse(BUILTIN, Layer::BuiltIn, "").map(Database::from)
}

/// Reads one database file. `file` is its name, for the entries and for what is told about problems.
///
/// ```
/// use acsscan::db::{Layer, parse};
/// let text = r#"
///     schema = 1
///     [[entry]]
///     name = "example"
///     kind = "does-not-isolate"
///     match = { vendor = "1af4", device = ["1041"] }
///     source = "measured on 2026-03-02"
///     reason = "Functions reached each other."
/// "#;
/// let error = parse(text, Layer::CommandLine, "own.toml").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "own.toml:6:32: `device` is not a key here: did you mean `devices`?"
/// );
/// ```
///
/// # Errors
///
/// If the file is not TOML, is larger or has more entries than [`Limits`] has by default, or if an entry
/// is not as it must be; all problems of all entries are told.
pub fn parse(text: &str, layer: Layer, file: &str) -> Result<Contents, ParseError> {
    parse_within(&Limits::default(), text, layer, file)
}

/// As [`parse`], with other [`Limits::database`] and [`Limits::db_entries`].
///
/// # Errors
///
/// Those of [`parse`].
pub fn parse_within(limits: &Limits, text: &str, layer: Layer, file: &str) -> Result<Contents, ParseError> {
    let mut reader = Reader {
        layer,
        file,
        names: BTreeSet::new(),
        acceptances: Vec::new(),
        problems: Problems::default(),
    };
    let entries = reader.document(limits, text);
    let acceptances = core::mem::take(&mut reader.acceptances);
    reader.problems.none_or(Contents { entries, acceptances }, text, file)
}

/// The only schema so far.
const SCHEMA: u16 = 1;

/// Keys that every entry may have.
const COMMON: [&str; 6] = ["name", "kind", "match", "conditions", "source", "reason"];

/// Keys of `match`.
const MATCH: [&str; 12] = [
    "vendor",
    "devices",
    "subsystems",
    "revisions",
    "classes",
    "port_types",
    "pcie",
    "bridge",
    "multi_function",
    "root_bus",
    "not_function",
    "acs",
];

/// Kinds of entries ([`Claim::word`]), and the keys that go with each.
const KINDS: [(&str, &[&str]); 12] = [
    ("isolates", &["services", "ignored", "open"]),
    ("does-not-isolate", &[]),
    ("acs-layout", &["capability_offset", "control_offset"]),
    ("ignore-acs-capability", &["cleared"]),
    ("requester-id-alias", &["alias"]),
    ("bridge-substitutes-secondary", &[]),
    ("bridge-keeps-requester-id", &[]),
    ("translation-root", &[]),
    ("owns-segment", &[]),
    ("host-bridge-p2p", &["same_host_bridge"]),
    ("note", &[]),
    (ACCEPT, &["slot", "with", "who", "until", "direct"]),
];

/// The kind that is no fact: it becomes an [`Acceptance`].
const ACCEPT: &str = "accept";

/// Keys of other entries that acceptances have no use for, and what to write instead.
const NOT_OF_ACCEPT: [(&str, &str); 2] = [
    ("source", "a decision has no source; say who made it in `who`"),
    ("conditions", "an acceptance holds from today on, until `until`"),
];

type Value<'a> = &'a Spanned<DeValue<'a>>;

/// A table of the file and where it begins.
#[derive(Clone, Copy)]
struct Table<'a> {
    keys: &'a DeTable<'a>,
    at: usize,
}

impl<'a> Table<'a> {
    fn of(value: Value<'a>) -> Option<Self> {
        Some(Self { keys: value.get_ref().as_table()?, at: value.span().start })
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        self.keys.get(key)
    }
}

/// Reads on after a problem. What it answers counts only if there was none, so that a value that is
/// wrong and one that is missing may both be `None`.
struct Reader<'f> {
    layer: Layer,
    file: &'f str,
    names: BTreeSet<String>,
    /// What was found of them so far.
    acceptances: Vec<Acceptance>,
    problems: Problems,
}

impl Reader<'_> {
    fn document(&mut self, limits: &Limits, text: &str) -> Vec<Entry> {
        if text.len() > limits.count(Limit::Database) {
            self.problems.push(0, limits.passed(Limit::Database));
            return Vec::new();
        }
        let document = match DeTable::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let message = value::prose(error.message()).unwrap_or_default();
                self.problems.push(at, format!("not TOML: {message}"));
                return Vec::new();
            }
        };
        let top = Table { keys: document.get_ref(), at: 0 };
        self.deny_unknown(top, &["schema", "entry"]);
        match top.get("schema") {
            None => self.problems.push(0, format!("there is no `schema`: write `schema = {SCHEMA}`")),
            Some(schema) if integer(schema) == Some(SCHEMA) => {}
            Some(schema) => {
                let at = schema.span().start;
                let message = match schema.get_ref().as_str() {
                    Some(_) => {
                        format!("`schema` must be a number, without quotation marks: `schema = {SCHEMA}`")
                    }
                    None => format!("unknown `schema`: this program reads {SCHEMA}"),
                };
                self.problems.push(at, message);
            }
        }
        let Some(entries) = top.get("entry") else {
            return Vec::new();
        };
        let at = entries.span().start;
        let Some(entries) = entries.get_ref().as_array() else {
            self.problems.push(at, "`entry` must be an array of tables: write [[entry]] before each");
            return Vec::new();
        };
        if entries.len() > limits.count(Limit::DbEntries) {
            self.problems.push(at, limits.passed(Limit::DbEntries));
            return Vec::new();
        }
        let tables = entries.iter().map(|entry| (entry.span().start, Table::of(entry)));
        tables.filter_map(|(at, table)| self.entry(at, table)).collect()
    }

    fn entry(&mut self, at: usize, table: Option<Table<'_>>) -> Option<Entry> {
        let Some(table) = table else {
            self.problems.push(at, "an entry must be a table: write [[entry]] before each");
            return None;
        };
        let name = self.required(table, "this entry", "name");
        let name = name.and_then(|_| self.string(table, "name", "a string", value::name));
        if let Some(name) = &name {
            if !self.names.insert(name.clone()) {
                let at = table.get("name").map_or(at, |name| name.span().start);
                self.problems.push(at, format!("`{name}` is the name of an entry above: choose another"));
            }
        }
        let kind = self.kind(table);
        self.entry_keys(table, kind);
        if kind.is_some_and(|(word, _)| word == ACCEPT) {
            let acceptance = self.acceptance(table, name);
            self.acceptances.extend(acceptance);
            return None;
        }
        let matches = self.matches(table, kind.map(|(word, _)| word));
        let conditions = self.conditions(table, kind.map(|(word, _)| word));
        let claim = kind.and_then(|(word, keys)| self.claim(table, word, keys));
        let [source, reason] = ["source", "reason"].map(|key| {
            self.required(table, "this entry", key)?;
            self.string(table, key, "a string", |text| value::prose(text).map_err(|e| format!("`{key}` {e}")))
        });
        Some(Entry {
            name: name?,
            layer: self.layer,
            file: self.file.to_string(),
            matches,
            claim: claim?,
            conditions,
            source: source?,
            reason: reason?,
        })
    }

    fn kind(&mut self, table: Table<'_>) -> Option<(&'static str, &'static [&'static str])> {
        self.required(table, "this entry", "kind")?;
        self.string(table, "kind", "a string", |text| {
            let kind = KINDS.iter().find(|(word, _)| *word == text).copied();
            let words = KINDS.map(|(word, _)| word);
            kind.ok_or_else(|| format!("unknown kind {}: {}", quoted(text), instead(text, &words)))
        })
    }

    /// Refuses keys that no entry has, and those that belong to another kind or to `match`.
    fn entry_keys(&mut self, table: Table<'_>, kind: Option<(&str, &[&str])>) {
        for key in table.keys.keys() {
            let (at, key) = (key.span().start, key.get_ref().as_ref());
            let owner = KINDS.iter().find(|(_, keys)| keys.contains(&key)).map(|(word, _)| *word);
            match (owner, kind) {
                (None, Some((ACCEPT, _))) if NOT_OF_ACCEPT.iter().any(|(other, _)| *other == key) => {
                    let instead = NOT_OF_ACCEPT.iter().find(|(other, _)| *other == key);
                    let instead = instead.map_or("", |(_, instead)| instead);
                    self.problems.push(at, format!("`{key}` does not go with kind `{ACCEPT}`: {instead}"));
                }
                (None, _) if COMMON.contains(&key) => {}
                (None, _) if MATCH.contains(&key) => {
                    self.problems.push(at, format!("`{key}` is not a key here: write `match.{key}`"));
                }
                (None, _) => {
                    let own = kind.map_or(&[][..], |(_, keys)| keys);
                    let keys: Vec<_> = COMMON.iter().chain(own).copied().collect();
                    self.unknown(at, key, &keys);
                }
                (Some(owner), Some((word, keys))) if !keys.contains(&key) => {
                    let problem = format!("`{key}` does not go with kind `{word}`: it belongs to `{owner}`");
                    self.problems.push(at, problem);
                }
                (Some(_), _) => {}
            }
        }
    }

    fn matches(&mut self, entry: Table<'_>, kind: Option<&str>) -> Match {
        let table = match entry.get("match").map(|value| (value.span().start, Table::of(value))) {
            Some((at, None)) => {
                self.problems.push(at, "`match` must be a table, such as { vendor = \"8086\" }");
                return Match::default();
            }
            Some((_, Some(table))) => Some(table),
            None => None,
        };
        let Some(table) = table.filter(|table| !table.keys.is_empty()) else {
            if let Some(kind) = kind.filter(|kind| *kind != "note") {
                let problem = format!("kind `{kind}` needs `match`: without it, it is about every function");
                self.problems.push(entry.at, problem);
            }
            return Match::default();
        };
        self.match_table(table)
    }

    fn match_table(&mut self, table: Table<'_>) -> Match {
        self.deny_unknown(table, &MATCH);
        if let (None, Some(devices)) = (table.get("vendor"), table.get("devices")) {
            let at = devices.span().start;
            self.problems.push(at, "`devices` needs `vendor`: each vendor numbers its own devices");
        }
        let ids = "an array of hexadecimal IDs and ranges, such as [\"10c6\", \"a110-a11f\"]";
        let pairs = "an array of vendor:device, such as [\"9005:02bb\"]";
        let classes = "an array of classes, such as [\"03\", \"0680\"]";
        let port_types = "an array of port types, such as [\"root-port\"]";
        Match {
            vendor: self.string(table, "vendor", "a hexadecimal ID in quotes, such as \"8086\"", value::id),
            devices: self.strings(table, "devices", ids, value::id_range),
            subsystems: self.strings(table, "subsystems", pairs, value::subsystem),
            revisions: self.string(table, "revisions", "a string, such as \"00-0f\"", value::revisions),
            classes: self.strings(table, "classes", classes, value::class),
            port_types: self.strings(table, "port_types", port_types, value::port_type),
            pcie: self.boolean(table, "pcie"),
            bridge: self.boolean(table, "bridge"),
            multi_function: self.boolean(table, "multi_function"),
            root_bus: self.boolean(table, "root_bus"),
            not_function: self.function(table, "not_function"),
            acs: self.boolean(table, "acs"),
        }
    }

    fn claim(&mut self, table: Table<'_>, kind: &str, keys: &[&str]) -> Option<Claim> {
        let about = format!("kind `{kind}`");
        for key in keys.iter().filter(|key| !["ignored", "open"].contains(*key)) {
            self.required(table, &about, key);
        }
        Some(match kind {
            "isolates" => Claim::Isolates {
                services: self.controls(table, "services"),
                ignored: self.controls(table, "ignored"),
                open: self.controls(table, "open"),
            },
            "does-not-isolate" => Claim::DoesNotIsolate,
            "acs-layout" => Claim::AcsLayout {
                capability_offset: self.offset(table, "capability_offset", 4)?,
                control_offset: self.offset(table, "control_offset", 8)?,
            },
            "ignore-acs-capability" => {
                Claim::IgnoreAcsCapability { cleared: self.controls(table, "cleared") }
            }
            "requester-id-alias" => Claim::RequesterIdAlias(self.alias(table)?),
            "bridge-substitutes-secondary" => Claim::BridgeSubstitutesSecondary,
            "bridge-keeps-requester-id" => Claim::BridgeKeepsRequesterId,
            "translation-root" => Claim::TranslationRoot,
            "owns-segment" => Claim::OwnsSegment,
            "host-bridge-p2p" => {
                Claim::HostBridgeP2p { same_host_bridge: self.boolean(table, "same_host_bridge")? }
            }
            _ => Claim::Note,
        })
    }

    fn alias(&mut self, table: Table<'_>) -> Option<Alias> {
        let value = table.get("alias")?;
        match value.get_ref().as_str() {
            Some("all") => return Some(Alias::All),
            Some("unknown") => return Some(Alias::Unknown),
            _ => {}
        }
        let table = Table::of(value).filter(|table| table.keys.len() == 1);
        let Some(table) = table else {
            let right =
                "\"all\", \"unknown\" or a table with one of function, fixed, functions_of_every_slot";
            self.problems.push(value.span().start, format!("`alias` must be {right}"));
            return None;
        };
        self.deny_unknown(table, &["function", "fixed", "functions_of_every_slot"]);
        if table.get("fixed").is_some() {
            let form = "an array of devices and functions, such as [\"01.0\"]";
            return Some(Alias::Fixed(self.strings(table, "fixed", form, value::devfn)));
        }
        let function = self.function(table, "function").map(Alias::FunctionOfSlot);
        function.or_else(|| self.function(table, "functions_of_every_slot").map(Alias::FunctionsOfEverySlot))
    }

    fn conditions(&mut self, entry: Table<'_>, kind: Option<&str>) -> Vec<Condition> {
        let form = "an array of tables, such as [{ acpi_table = \"IVRS\" }]";
        let mut conditions = Vec::new();
        for value in self.elements(entry, "conditions", form) {
            match Table::of(value) {
                Some(table) => conditions.extend(self.condition(table, kind)),
                None => self.problems.push(value.span().start, format!("`conditions` must be {form}")),
            }
        }
        conditions
    }

    fn condition(&mut self, table: Table<'_>, kind: Option<&str>) -> Option<Condition> {
        let asked = ["acpi_table", "boot_step", "other"];
        self.deny_unknown(table, &["acpi_table", "boot_step", "other", "otherwise"]);
        if asked.iter().filter(|key| table.get(key).is_some()).count() != 1 {
            self.problems.push(table.at, format!("a condition needs exactly one of {}", asked.join(", ")));
            return None;
        }
        let denies = self.string(table, "otherwise", "a string", |text| match text {
            "does-not-apply" => Ok(false),
            "does-not-isolate" if kind.is_none_or(|kind| kind == "isolates") => Ok(true),
            "does-not-isolate" => Err(String::from("`does-not-isolate` goes only with kind `isolates`")),
            _ => {
                let words = ["does-not-apply", "does-not-isolate"];
                Err(format!("unknown `otherwise` {}: {}", quoted(text), instead(text, &words)))
            }
        });
        let form = "a string";
        let prose = |text: &str| value::prose(text).map_err(|problem| format!("condition {problem}"));
        let acpi = self.string(table, "acpi_table", form, value::acpi_table).map(ConditionKind::AcpiTable);
        let step = self.string(table, "boot_step", form, prose).map(ConditionKind::BootStep);
        let other = self.string(table, "other", form, prose).map(ConditionKind::Other);
        Some(Condition { kind: acpi.or(step).or(other)?, denies: denies.unwrap_or(false) })
    }

    fn deny_unknown(&mut self, table: Table<'_>, known: &[&str]) {
        for key in table.keys.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.unknown(key.span().start, key.get_ref(), known);
        }
    }

    fn unknown(&mut self, at: usize, key: &str, known: &[&str]) {
        self.problems.push(at, format!("{} is not a key here: {}", quoted(key), instead(key, known)));
    }

    fn required<'a>(&mut self, table: Table<'a>, about: &str, key: &str) -> Option<Value<'a>> {
        let value = table.get(key);
        if value.is_none() {
            self.problems.push(table.at, format!("{about} needs `{key}`"));
        }
        value
    }

    fn wrong_type(&mut self, value: Value<'_>, key: &str, form: &str) {
        let is = value.get_ref().type_str();
        self.problems.push(value.span().start, format!("`{key}` must be {form}; this is of type {is}"));
    }

    /// The string of this key, as `read` understands it; `form` says what it looks like.
    fn string<T>(
        &mut self,
        table: Table<'_>,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = table.get(key)?;
        self.read_string(value, key, form, read)
    }

    fn read_string<T>(
        &mut self,
        value: Value<'_>,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, key, form);
            return None;
        };
        read(text).map_err(|problem| self.problems.push(value.span().start, problem)).ok()
    }

    /// The strings of this key; an empty array is refused, because a reader may take it for "none" and
    /// the program for "any".
    fn strings<T>(
        &mut self,
        table: Table<'_>,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let values = self.elements(table, key, form);
        values.iter().filter_map(|value| self.read_string(value, key, form, &read)).collect()
    }

    fn elements<'a>(&mut self, table: Table<'a>, key: &str, form: &str) -> &'a [Spanned<DeValue<'a>>] {
        let Some(value) = table.get(key) else {
            return &[];
        };
        match value.get_ref().as_array() {
            None => {
                self.wrong_type(value, key, form);
                &[]
            }
            Some(array) if array.is_empty() => {
                self.problems
                    .push(value.span().start, format!("`{key}` is empty: it needs at least one element"));
                &[]
            }
            Some(array) => array,
        }
    }

    fn controls(&mut self, table: Table<'_>, key: &str) -> AcsControl {
        let form = "an array of ACS controls, such as [\"ReqRedir\", \"CmpltRedir\"]";
        let controls = self.strings(table, key, form, value::control);
        controls.into_iter().fold(AcsControl::empty(), AcsControl::union)
    }

    fn boolean(&mut self, table: Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(value, key, "true or false");
        }
        boolean
    }

    /// A function number.
    fn function(&mut self, table: Table<'_>, key: &str) -> Option<u8> {
        let value = table.get(key)?;
        let function = integer(value).and_then(|n| u8::try_from(n).ok()).filter(|n| *n < 8);
        if function.is_none() {
            self.problems.push(value.span().start, format!("`{key}` must be a function number from 0 to 7"));
        }
        function
    }

    /// Offset of a register of 32 bits within a structure, behind the structure's header.
    /// An offset of which one value is known to occur: a function's record keeps no other registers.
    fn offset(&mut self, table: Table<'_>, key: &str, only: u16) -> Option<u16> {
        let value = table.get(key)?;
        let offset = integer(value).filter(|n| *n == only);
        if offset.is_none() {
            let problem = format!(
                "`{key}` must be {only}: of registers with 32 bits only the capability at 4 and the control at 8 are \
                 read; what other registers control can be said with kind `isolates`"
            );
            self.problems.push(value.span().start, problem);
        }
        offset
    }
}

fn integer(value: Value<'_>) -> Option<u16> {
    let integer = value.get_ref().as_integer()?;
    u16::from_str_radix(integer.as_str(), integer.radix()).ok()
}
