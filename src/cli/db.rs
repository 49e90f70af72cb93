//! `db`: the device database.

use super::args::{Accept, Common, Db, OutputFormat};
use super::output::{self, write_json, write_text};
use super::reach::assumptions;
use super::{Exit, Stop, address, input};
use crate::addr::Sbdf;
use crate::cap::acs::AcsControl;
use crate::db::{self, Claim, Date, Entry, Layer, Loaded, Match, Places, Slot};
use crate::function::Function;
use crate::report::clean;
use crate::report::json::{
    AcceptanceDocument, Body, DbAcceptDocument, DbCheckDocument, DbExplainDocument, DbListDocument,
    DbLookupDocument, EntryDocument, FileDocument, RoleDocument, SourceDocument,
};
use crate::report::text;
use crate::route::accept::subjects;
use crate::route::check::Assignment;
use crate::route::evidence::control_tokens;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::route::port::Acs;
use crate::topology::{FunctionIndex, Topology};

pub(super) fn run(common: &Common, verb: &Db) -> Result<Exit, Stop> {
    match verb {
        Db::List => list(common),
        Db::Lookup { asked } => lookup(common, asked),
        Db::Check { files } => check(common, files),
        Db::Explain { function } => explain(common, function),
        Db::Accept(accept) => self::accept(common, accept),
    }
}

fn list(common: &Common) -> Result<Exit, Stop> {
    let loaded = input::database(common)?;
    let document = DbListDocument::new(&loaded, input::today(common));
    write(common, &loaded, Body::DbList(document.clone()), |mut out, width| {
        text::db_list(&mut out, width, &document)
    })?;
    Ok(Exit::Done)
}

fn check(common: &Common, files: &[std::path::PathBuf]) -> Result<Exit, Stop> {
    let mut places = input::places(common);
    if !files.is_empty() {
        places = Places { root: None, named: files.to_vec(), ..places };
    }
    let loaded = db::load(&places);
    let mut documents = FileDocument::all(&loaded);
    // What is compiled in was checked before.
    documents.retain(|file| file.layer != Layer::BuiltIn.word());
    let wrong = !loaded.refused.is_empty();
    let document = DbCheckDocument { files: documents };
    write(common, &loaded, Body::DbCheck(document.clone()), |mut out, width| {
        if document.files.is_empty() {
            let named: Vec<_> =
                files.iter().map(|file| clean(&file.to_string_lossy()).into_owned()).collect();
            if named.is_empty() {
                let text =
                    "there are no database files: name one, or see acsscan db --help for the directories";
                writeln!(out, "{text}")?;
            } else {
                writeln!(out, "there are no files *.toml in {}", named.join(", "))?;
            }
        }
        text::db_files(&mut out, width, &document.files)
    })?;
    Ok(if wrong { Exit::Negative } else { Exit::Done })
}

/// What is asked for with IDs, or of a function.
fn lookup(common: &Common, asked: &str) -> Result<Exit, Stop> {
    if let Some((vendor, device)) = ids(asked) {
        let loaded = input::database(common)?;
        let may_hold = |matches: &Match| {
            let own =
                matches.devices.iter().any(|ids| device.is_some_and(|d| (ids.first..=ids.last).contains(&d)));
            matches.vendor == Some(vendor) && (matches.devices.is_empty() || device.is_none() || own)
        };
        let accepted = loaded.database.acceptances().iter().filter(|one| {
            let named = [Some(&one.subject), one.with.as_ref()];
            named.into_iter().flatten().any(|s| matches!(s, db::Subjects::Matching(m) if may_hold(m)))
        });
        let today = input::today(common);
        let document = DbLookupDocument {
            asked: asked.to_owned(),
            entries: loaded
                .database
                .entries()
                .iter()
                .filter(|entry| may_hold(&entry.matches))
                .map(EntryDocument::from)
                .collect(),
            acceptances: accepted.map(|one| AcceptanceDocument::new(one, today)).collect(),
        };
        write(common, &loaded, Body::DbLookup(document.clone()), |mut out, width| {
            text::db_lookup(&mut out, width, &document)
        })?;
        return Ok(Exit::Done);
    }
    if asked.parse::<Sbdf>().is_err() && asked.parse::<Slot>().is_err() {
        let text =
            format!("{asked}: neither IDs such as 8086:10fb (or 8086:) nor an address such as 01:00.0");
        return Err(Stop::Usage(text));
    }
    let scanned = input::read(common, false)?;
    let function = address::find(&scanned.topology, asked)?;
    let accepted = scanned.acceptances();
    let document = DbLookupDocument {
        asked: asked.to_owned(),
        entries: entries(&scanned.topology, &scanned.database, function)
            .map(|(_, entry)| EntryDocument::from(entry))
            .collect(),
        acceptances: accepted
            .naming(function)
            .map(|one| AcceptanceDocument::new(one, scanned.today))
            .collect(),
    };
    let source = SourceDocument::new(&scanned.source, &scanned.topology);
    write_from(common, source, Body::DbLookup(document.clone()), |mut out, width| {
        text::db_lookup(&mut out, width, &document)
    })?;
    Ok(Exit::Done)
}

/// `8086:10fb`, or a vendor's all: `8086:`.
fn ids(text: &str) -> Option<(u16, Option<u16>)> {
    let (vendor, device) = text.split_once(':')?;
    let id = |text: &str| {
        let right = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        right.then(|| u16::from_str_radix(text, 16).ok())?
    };
    Some((id(vendor)?, if device.is_empty() { None } else { Some(id(device)?) }))
}

/// The entries about a function, with their positions.
fn entries<'d>(
    topology: &Topology,
    database: &'d db::Database,
    function: FunctionIndex,
) -> impl Iterator<Item = (usize, &'d Entry)> {
    let subject = subjects(topology).find(|(index, _)| *index == function).map(|(_, subject)| subject);
    let found: Vec<usize> = subject.iter().flat_map(|subject| database.lookup_indices(subject)).collect();
    found.into_iter().filter_map(|at| Some((at, database.entries().get(at)?)))
}

fn explain(common: &Common, name: &str) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let (topology, database) = (&scanned.topology, &scanned.database);
    let function = address::find(topology, name)?;
    let fabric = Fabric::new(topology, database);
    let decides = fabric.claim(function);
    let bare = db::Database::default();
    let registers = Fabric::new(topology, &bare).acs(function);
    let role = |(at, entry): (usize, &Entry)| {
        let about_acs = matches!(
            entry.claim,
            Claim::Isolates { .. }
                | Claim::DoesNotIsolate
                | Claim::AcsLayout { .. }
                | Claim::IgnoreAcsCapability { .. }
        );
        let (role, message) = match (about_acs, decides) {
            (true, Some(decides)) if decides == at => ("decides", "its ACS is as this entry says"),
            (true, Some(decides)) if decides < at => ("overruled", "an entry before it has answered"),
            (true, Some(_)) => ("not-applied", "its condition is known not to hold here"),
            (true, None) => (
                "not-applied",
                "its condition does not hold, or ACS does not matter: the function is alone in its device",
            ),
            (false, _) => beside_acs(entry),
        };
        RoleDocument { entry: EntryDocument::from(entry), role, message: message.to_owned() }
    };
    let accepted = scanned.acceptances();
    let ids = topology.ids(function).map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"));
    let document = DbExplainDocument {
        function: topology.address(function).unwrap_or_default().to_string(),
        ids: ids.unwrap_or_else(|| String::from("not known")),
        registers: controls(registers),
        counts: controls(fabric.acs(function)),
        entries: entries(topology, database, function).map(role).collect(),
        acceptances: accepted
            .naming(function)
            .map(|one| AcceptanceDocument::new(one, scanned.today))
            .collect(),
    };
    let source = SourceDocument::new(&scanned.source, topology);
    write_from(common, source, Body::DbExplain(document.clone()), |mut out, width| {
        text::db_explain(&mut out, width, &document)
    })?;
    Ok(Exit::Done)
}

/// What becomes of an entry that is not about ACS.
fn beside_acs(entry: &Entry) -> (&'static str, &'static str) {
    match entry.claim {
        Claim::Note => ("note", "it explains; no answer uses it"),
        Claim::RequesterIdAlias(_) if entry.layer == Layer::BuiltIn => {
            ("applies", "to isolation domains and to the kernel's groups: functions share a requester ID")
        }
        Claim::RequesterIdAlias(_) => (
            "applies",
            "to isolation domains: functions share a requester ID; the kernel knows the built-in layer only",
        ),
        Claim::BridgeKeepsRequesterId => ("applies", "to the requester IDs of what is below it"),
        Claim::BridgeSubstitutesSecondary => (
            "applies",
            "to the requester ID of what is below it, if the bridge above is a PCI Express port; the kernel's groups \
             do not depend on it",
        ),
        Claim::HostBridgeP2p { .. } => ("applies", "to the answer of the kernel's p2pdma"),
        _ if entry.layer == Layer::BuiltIn => ("applies", "to the kernel's groups"),
        _ => (
            "not-applied",
            "only the kernel's groups ask for such entries, and the kernel knows the built-in layer only",
        ),
    }
}

/// ACS in words.
fn controls(acs: Acs) -> String {
    match acs {
        Acs::Absent => String::from("no ACS: it does not isolate"),
        Acs::Unknown(reason) => format!("not known: {reason}"),
        Acs::Present(services) if services.enabled().is_empty() => String::from("ACS with no control on"),
        Acs::Present(services) => {
            control_tokens(AcsControl::from_bits_truncate(services.enabled().bits()), '+')
        }
    }
}

/// Prints an entry that accepts what is open about a function. Writes no file.
fn accept(common: &Common, options: &Accept) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let topology = &scanned.topology;
    let function = address::find(topology, &options.function)?;
    let with = options.with.as_deref().map(|with| address::find(topology, with)).transpose()?;
    let linux = Linux::new(topology, &scanned.database);
    // As check sees it, whose objections are to be accepted.
    let fabric = Fabric::seen_by(&linux);
    let accepted = scanned.acceptances();
    let domains = fabric.domains(&assumptions(common));
    let assignment = Assignment::new(&fabric, &domains, &accepted, &[function]);
    let open = |proved| assignment.ways().iter().filter(|way| way.proved == proved).count();
    // What passes a port is open between others, about which the port does not tell.
    let is_port = topology.function(function).is_some_and(Function::is_bridge);
    if assignment.ways().is_empty() && !is_port {
        eprintln!("acsscan: nothing is open about {}: there is nothing to accept", options.function);
    } else if open(true) > 0 && !options.direct {
        eprintln!("acsscan: some of what is open is proved, and is accepted only with --direct");
    }
    let today = input::today(common);
    if let Some(until) = options.until.filter(|until| *until < today) {
        eprintln!("acsscan: {until} is over (today is {today}): the entry accepts nothing");
    }
    let text = entry(topology, options, (function, with), today)?;
    // What is printed has to be right.
    db::parse(&text, Layer::CommandLine, "the entry").map_err(|error| Stop::Usage(error.to_string()))?;
    let address = topology.address(function).unwrap_or_default().to_string();
    let document = DbAcceptDocument { function: address, toml: text.clone() };
    let source = SourceDocument::new(&scanned.source, topology);
    write_from(common, source, Body::DbAccept(document), |out, _| out.write_all(text.as_bytes()))?;
    Ok(Exit::Done)
}

fn entry(
    topology: &Topology,
    options: &Accept,
    (function, with): (FunctionIndex, Option<FunctionIndex>),
    today: Date,
) -> Result<String, Stop> {
    let address = topology.address(function).unwrap_or_default();
    let subject = |index: FunctionIndex| -> Result<String, Stop> {
        if options.by_id {
            let ids = topology.ids(index);
            let no_ids = || Stop::Input(format!("{}: its IDs are not known", options.function));
            let (vendor, device) = ids.ok_or_else(no_ids)?;
            return Ok(format!("match = {{ vendor = \"{vendor:04x}\", devices = [\"{device:04x}\"] }}"));
        }
        let here = || Slot { start: topology.address(index).unwrap_or_default(), hops: Vec::new() };
        Ok(format!("slot = \"{}\"", topology.place_of(index).unwrap_or_else(here)))
    };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let next_year = Date { year: today.year.saturating_add(1), day: today.day.min(28), ..today };
    let name: String =
        address.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut text = format!(
        "schema = 1\n\n# {address}: put this into /etc/acsscan/devices.d, or name the file with --db.\n[[entry]]\n\
         name = \"accept-{name}\"\nkind = \"accept\"\n{}\n",
        subject(function)?
    );
    if let Some(with) = with {
        text.push_str(&format!("with = {{ {} }}\n", subject(with)?));
    }
    if options.direct {
        text.push_str("direct = true\n");
    }
    text.push_str(&format!(
        "who = \"{}\"\nreason = \"{}\"\nuntil = {}\n",
        quoted(&options.who),
        quoted(&options.reason),
        options.until.unwrap_or(next_year)
    ));
    Ok(text)
}

/// Writes an answer about the database alone.
fn write(
    common: &Common,
    loaded: &Loaded,
    body: Body,
    text: impl FnOnce(&mut dyn std::io::Write, Option<usize>) -> std::io::Result<()>,
) -> Result<(), Stop> {
    let source = SourceDocument {
        kind: String::from("database"),
        path: loaded.files.last().map(|(_, file, _)| file.clone()).unwrap_or_default(),
        functions: 0,
        part: None,
        complete: loaded.refused.is_empty(),
        kernel: None,
        cmdline: None,
        problems: loaded.refused.iter().map(ToString::to_string).collect(),
        overlays: None,
    };
    write_from(common, source, body, text)
}

fn write_from(
    common: &Common,
    source: SourceDocument,
    body: Body,
    text: impl FnOnce(&mut dyn std::io::Write, Option<usize>) -> std::io::Result<()>,
) -> Result<(), Stop> {
    if common.format == OutputFormat::Json {
        return write_json(source, body, &[]);
    }
    write_text(common, |mut out| {
        text::as_if(&mut out, source.overlays.as_deref().unwrap_or_default())?;
        text(out, output::width())
    })
}
