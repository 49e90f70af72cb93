//! `fleet`: many hosts at once.

mod args;
mod host;
mod lines;
mod outliers;
mod pool;
mod tally;

pub(super) use args::{Fleet, HELP};
pub(super) use host::fingerprint;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{iter, thread};

use glob::Pattern;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::args::{Common, OutputFormat};
use super::input::Knowledge;
use super::reach::assumptions;
use super::selector::Id;
use super::{Exit, Stop, input, output};
use crate::dump::Options;
use crate::dump::hosts::{HostInput, Hosts};
use crate::finding::Severity;
use crate::report::json::{
    self, Body, Document, FleetErrorDocument, Row, RowDocument, RowError, SourceDocument,
};
use crate::report::{clean, prom, text};
use crate::route::Assumptions;
use crate::route::check::{Policy, Unknown};
use crate::route::matrix::Label;
use crate::topology::{FunctionIndex, Topology};
use args::Rows;
use tally::{Line, Tally};

/// Hexadecimal digits of [`Wanted::run`].
const RUN: usize = 16;

/// What is asked of each host.
struct Wanted {
    options: Options,
    knowledge: Knowledge,
    assumptions: Assumptions,
    rows: Option<Rows>,
    check: Vec<Selector>,
    policy: Policy,
    unknown: Unknown,
    /// The question in short: see [`question`].
    run: String,
}

/// Which functions are asked about.
enum Selector {
    Id(Id),
    Kind(Label),
}

impl Selector {
    fn parse(text: &str) -> Result<Self, Stop> {
        if let Some(label) = Label::from_word(text).filter(|label| *label != Label::Other) {
            return Ok(Self::Kind(label));
        }
        let expected = "expected an ID such as 10de:, or gpu, nic, nvme, storage, accelerator, usb";
        Id::parse(text).map(Self::Id).map_err(|_| Stop::Usage(format!("--check {text}: {expected}")))
    }

    fn holds(&self, topology: &Topology, index: FunctionIndex) -> bool {
        topology.function(index).is_some_and(|function| match self {
            Self::Id(id) => id.holds(topology.ids(index), function.class),
            Self::Kind(label) => function.answers && Label::of(function.class) == *label,
        })
    }
}

/// What a host came to: its lines, and what the report counts.
struct Answer {
    key: String,
    path: PathBuf,
    lines: Vec<u8>,
    counted: Option<Line>,
}

pub(super) fn run(common: &Common, fleet: &Fleet) -> Result<Exit, Stop> {
    if common.dump.is_some() || common.overlays.any() {
        let text =
            "fleet takes paths, and no --dump: acsscan fleet PATH...; what-if options are for one host";
        return Err(Stop::Usage(String::from(text)));
    }
    let (_, options) = input::reading(common, Some(PathBuf::new()))?;
    let knowledge = Knowledge::load(common)?;
    let wanted = Wanted {
        run: question(common, fleet, &options, &knowledge),
        options,
        knowledge,
        assumptions: assumptions(common),
        rows: fleet.rows,
        check: fleet.check.iter().map(|text| Selector::parse(text)).collect::<Result<_, _>>()?,
        policy: fleet.policy.into(),
        unknown: fleet.unknown.into(),
    };
    input::say_refused(&wanted.knowledge.refused);
    let fail_on = common.fail_on.map(Severity::from);
    let mut tally = Tally::default();
    let to_stdout = (common.format == OutputFormat::Jsonl || fleet.rows.is_some())
        && fleet.output.is_none()
        && fleet.resume.is_none();
    let lines::Start { mut out, done } = match (&fleet.output, &fleet.resume) {
        (Some(path), _) => lines::create(path)?,
        (None, Some(path)) => lines::resume(path, fleet.rows.is_some(), &wanted.run, &mut tally, fail_on)?,
        (None, None) => {
            let out = to_stdout.then(|| Box::new(BufWriter::new(io::stdout())) as Box<dyn Write>);
            lines::Start { out, ..lines::Start::default() }
        }
    };
    let hosts = inputs(fleet)?.filter(|host| !done.contains(&host.key));
    // What is written is open by now. What a list will name is not known.
    let read = match listed(fleet) {
        true => vec![Some(PathBuf::from("/"))],
        false => fleet.paths.iter().cloned().map(Some).collect(),
    };
    input::give_up_the_rest(common, &read);
    let progress = progress();
    let workers = fleet.jobs.map_or_else(processors, usize::from);
    pool::in_order(
        workers,
        hosts,
        |host| answer(host, &wanted),
        |answer: Answer| -> Result<(), Stop> {
            if let Some(out) = &mut out {
                out.write_all(&answer.lines)?;
            }
            progress.set_message(answer.key);
            progress.inc(1);
            if let Some(line) = answer.counted {
                tally.add(line, Some(answer.path), fail_on);
            }
            Ok(())
        },
    )?;
    if let Some(mut out) = out {
        out.flush()?;
    }
    progress.finish_and_clear();
    if !to_stdout {
        report(common, fleet, &wanted, &tally)?;
    }
    Ok(exit(&tally))
}

/// A hash of all that decides what is written of a host, so that answers to different questions can be
/// told apart, and a run is not resumed with others.
fn question(common: &Common, fleet: &Fleet, options: &Options, knowledge: &Knowledge) -> String {
    let asked = (fleet.rows, &fleet.check, fleet.policy, fleet.unknown, assumptions(common));
    let known = (knowledge.database.entries(), knowledge.database.acceptances());
    let all = format!("{} {asked:?} {options:?} {known:?}", env!("CARGO_PKG_VERSION"));
    let mut run = host::hexadecimal(&Sha256::digest(all));
    run.truncate(RUN);
    run
}

fn exit(tally: &Tally) -> Exit {
    match () {
        () if tally.read() == 0 => Exit::Failed,
        () if tally.severe > 0 || tally.verdicts.contains_key("not-assignable") => Exit::Negative,
        () if tally.failed > 0 || tally.inconclusive > 0 => Exit::Inconclusive,
        () => Exit::Done,
    }
}

/// What all hosts come to, on standard output.
fn report(common: &Common, fleet: &Fleet, wanted: &Wanted, tally: &Tally) -> Result<(), Stop> {
    let document = outliers::document(tally, &wanted.options, &wanted.knowledge);
    let mut out = BufWriter::new(io::stdout().lock());
    match common.format {
        // Nothing of many hosts is drawn: refused before anything was read.
        OutputFormat::Jsonl | OutputFormat::Dot => {}
        OutputFormat::Json => {
            let mut paths = fleet.paths.iter().map(|path| clean(&path.to_string_lossy()).into_owned());
            let complete = document.failed == 0 && document.inconclusive == 0;
            let source = SourceDocument::of_many(paths.next().unwrap_or_default(), complete);
            let body: Body = Body::Fleet(document);
            json::write(&mut out, &Document { schema: json::SCHEMA, source, body, findings: Vec::new() })?;
        }
        OutputFormat::Prom => prom::fleet(&mut out, &document)?,
        OutputFormat::Line => text::fleet_line(&mut out, &document)?,
        OutputFormat::Text => {
            drop(out);
            output::write_text(common, |out| text::fleet(out, &document))?;
            return Ok(());
        }
    }
    Ok(out.flush()?)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// On a terminal's standard error, and nowhere else.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} hosts, {per_sec}, {elapsed}: {wide_msg}");
    let progress = ProgressBar::new_spinner();
    match style {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

/// Reads and judges a host. Nothing that happens here ends the run.
fn answer(host: HostInput, wanted: &Wanted) -> Answer {
    let HostInput { key, path, error } = host;
    let judged = catch_unwind(AssertUnwindSafe(|| match error {
        Some(error) => {
            let message = format!("{}: cannot be looked into: {error}", path.display());
            Err(("io", clean(&message).into_owned()))
        }
        None => input::one_of_many(&path, &wanted.options, &wanted.knowledge)
            .map(|scanned| host::report(&key, &scanned, wanted))
            .map_err(|error| (error.code(), error.to_string())),
    }));
    let fault = "a fault of acsscan: please report it, with the dump";
    let judged = judged.unwrap_or_else(|_| Err(("internal", String::from(fault))));
    let (document, rows) =
        judged.unwrap_or_else(|(code, message)| failure(&key, &path, code, message, wanted));
    let mut lines = Vec::new();
    let mut host = Vec::new();
    write_line(&mut host, &document);
    match wanted.rows {
        Some(_) => rows.iter().for_each(|row| write_line(&mut lines, row)),
        None => lines.clone_from(&host),
    }
    let counted = serde_json::from_slice(&host).ok();
    Answer { key, path, lines, counted }
}

/// The document and the row of an input that could not be read.
fn failure(
    key: &str,
    path: &Path,
    code: &'static str,
    message: String,
    wanted: &Wanted,
) -> (Document, Vec<RowDocument>) {
    let run = || wanted.run.clone();
    let row = Row::Error(RowError { code, message: message.clone() });
    let document = Document {
        schema: json::SCHEMA,
        source: SourceDocument::unread(clean(&path.to_string_lossy()).into_owned(), message.clone()),
        body: Body::Error(FleetErrorDocument { host: key.to_owned(), run: run(), code, message }),
        findings: Vec::new(),
    };
    (document, vec![RowDocument { schema: json::SCHEMA, host: key.to_owned(), run: run(), row }])
}

/// Writing into memory does not fail.
fn write_line(lines: &mut Vec<u8>, line: &impl Serialize) {
    if json::to_writer(&mut *lines, line).is_ok() {
        lines.push(b'\n');
    }
}

/// Whether paths come from a list.
fn listed(fleet: &Fleet) -> bool {
    fleet.files_from.is_some() || fleet.paths.iter().any(|path| path.as_os_str() == "-")
}

/// The hosts of all paths, in order, found while they are asked for.
fn inputs(fleet: &Fleet) -> Result<impl Iterator<Item = HostInput> + Send, Stop> {
    let open = |path: &Path| -> Result<Box<dyn BufRead + Send>, Stop> {
        if path.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(io::stdin())));
        }
        let shown = || clean(&path.to_string_lossy()).into_owned();
        let file = File::open(path).map_err(|error| Stop::Input(format!("{}: {error}", shown())))?;
        Ok(Box::new(BufReader::new(file)))
    };
    let mut sources: Vec<Box<dyn Iterator<Item = io::Result<PathBuf>> + Send>> = Vec::new();
    for path in &fleet.paths {
        match path.as_os_str() == "-" {
            true => sources.push(Box::new(paths_in(open(path)?))),
            false => sources.push(Box::new(iter::once(Ok(path.clone())))),
        }
    }
    if let Some(path) = &fleet.files_from {
        sources.push(Box::new(paths_in(open(path)?)));
    }
    // Of one directory alone, the names in it are enough.
    let relative = !listed(fleet) && fleet.paths.len() == 1;
    let patterns = fleet.name.clone();
    let below = move |path: PathBuf| {
        let patterns = patterns.clone();
        let named = path.clone();
        Hosts::new(path, relative).filter(move |host| host.path == named || is_named(&patterns, &host.path))
    };
    let hosts = sources.into_iter().flatten().flat_map(move |path| {
        let (path, error) = match path {
            Ok(path) => (Some(path), None),
            Err(error) => {
                (None, Some(HostInput { key: LIST.to_owned(), path: LIST.into(), error: Some(error) }))
            }
        };
        path.map(&below).into_iter().flatten().chain(error)
    });
    Ok(hosts)
}

/// Whether a file has one of the names; directories need none.
fn is_named(patterns: &[Pattern], path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&name)) || path.is_dir()
}

/// What stands for a list of paths that cannot be read to its end.
const LIST: &str = "(list of paths)";

/// The paths in a list, one a line; an error ends it. A name may be any bytes.
fn paths_in(list: Box<dyn BufRead + Send>) -> impl Iterator<Item = io::Result<PathBuf>> + Send {
    let mut ended = false;
    let lines = list.split(b'\n').map_while(move |line| {
        let was = std::mem::replace(&mut ended, line.is_err());
        (!was).then_some(line)
    });
    let path = |line: Vec<u8>| PathBuf::from(OsString::from_vec(line));
    lines
        .filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()) || line.is_err())
        .map(move |line| line.map(path))
}
