//! `fleet`: many hosts at once.

mod args;
mod host;
mod inputs;
mod lines;
mod outliers;
mod pool;
mod tally;

pub(super) use args::{Fleet, HELP};
pub(super) use host::fingerprint;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::args::{Common, OutputFormat};
use super::input::Knowledge;
use super::reach::assumptions;
use super::selector::Id;
use super::{Exit, Stop, input, output};
use crate::dump::hosts::HostInput;
use crate::dump::{Error, Options};
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
use inputs::listed;
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
    /// What was named, if that is all that is read, links resolved.
    named: Option<Vec<PathBuf>>,
}

/// Which functions are asked about.
enum Selector {
    Id(Id),
    Kind(Label),
}

impl Selector {
    fn parse(text: &str) -> Result<Self, Stop> {
        let text = text.trim();
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
    say_where_the_report_goes(common, fleet)?;
    let (_, mut options) = input::reading(common, Some(PathBuf::new()))?;
    // The hosts are read side by side.
    options.threads = 1;
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
        named: (!listed(fleet)).then(|| real_paths(&fleet.paths)),
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
    let links = Arc::new(AtomicUsize::new(0));
    // Of the hosts that are done, those that are read once more: their lines have their paths as they can
    // be shown, and not as they are.
    let (first, paths) = (HashSet::<String>::from_iter(tally.first_names()), Arc::new(Mutex::default()));
    let found: Arc<Mutex<BTreeMap<String, PathBuf>>> = Arc::clone(&paths);
    let hosts = inputs::inputs(fleet, &links)?.filter(move |host| {
        let is_done = done.contains(&host.key);
        if is_done && first.contains(&host.key) {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(host.key.clone(), host.path.clone());
        }
        !is_done
    });
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
        |answer: Option<Answer>| -> Result<(), Stop> {
            let Some(answer) = answer else {
                // Whoever reads has what there is while a list is waited for.
                return Ok(out.as_mut().map_or(Ok(()), |out| out.flush())?);
            };
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
    tally.set_paths(&paths.lock().unwrap_or_else(PoisonError::into_inner));
    let links = links.load(Ordering::Relaxed);
    if links > 0 {
        eprintln!("acsscan: {links} link(s) to directories, not looked into: name the directories");
    }
    if tally.rows_only > 0 {
        let hosts = tally.rows_only;
        eprintln!(
            "acsscan: no report: of {hosts} host(s) of the earlier run the file has rows only; without --resume, \
             or of lines without --rows, there is one"
        );
    } else if !to_stdout {
        report(common, fleet, &wanted, &tally, links)?;
    }
    Ok(exit(&tally, !wanted.check.is_empty()))
}

/// Refuses to write one thing where its name promises another.
fn say_where_the_report_goes(common: &Common, fleet: &Fleet) -> Result<(), Stop> {
    let is_report = !matches!(common.format, OutputFormat::Text | OutputFormat::Jsonl);
    let lines = fleet.output.as_deref().or(fleet.resume.as_deref());
    let text = match (lines, fleet.rows) {
        (None, Some(_)) if is_report => {
            "--rows writes JSON lines to standard output: leave --format out, or let -o FILE take the rows beside the report"
        }
        (Some(path), _)
            if is_report && path.extension().is_some_and(|end| end == "prom" || end == "json") =>
        {
            "-o takes one JSON line a host, and the report goes to standard output: write it with > FILE"
        }
        _ => return Ok(()),
    };
    Err(Stop::Usage(String::from(text)))
}

/// Paths with all links resolved; as they are, where that cannot be done.
fn real_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect()
}

/// A hash of all that decides what is written of a host and which hosts there are, so that answers to
/// different questions can be told apart, and a run is not resumed with others.
fn question(common: &Common, fleet: &Fleet, options: &Options, knowledge: &Knowledge) -> String {
    let asked = (fleet.rows, &fleet.check, fleet.policy, fleet.unknown, assumptions(common));
    let known = (knowledge.database.entries(), knowledge.database.acceptances());
    let of =
        (real_paths(&fleet.paths), fleet.files_from.as_deref().map(Path::canonicalize).and_then(Result::ok));
    let all = format!("{} {asked:?} {options:?} {known:?} {of:?}", env!("CARGO_PKG_VERSION"));
    let mut run = host::hexadecimal(&Sha256::digest(all));
    run.truncate(RUN);
    run
}

/// `asked`: whether functions were asked about.
fn exit(tally: &Tally, asked: bool) -> Exit {
    match () {
        () if tally.read() == 0 => Exit::Failed,
        () if tally.severe > 0 || tally.verdicts.contains_key("not-assignable") => Exit::Negative,
        () if tally.failed > 0 || tally.inconclusive > 0 => Exit::Inconclusive,
        // Nothing was decided about anything.
        () if asked && tally.without_device == tally.read() => Exit::Inconclusive,
        // What the earlier run found of its hosts is not known.
        () if tally.rows_only > 0 => Exit::Inconclusive,
        () => Exit::Done,
    }
}

/// What all hosts come to, on standard output.
fn report(common: &Common, fleet: &Fleet, wanted: &Wanted, tally: &Tally, links: usize) -> Result<(), Stop> {
    let asked = !wanted.check.is_empty();
    let document = outliers::document(tally, asked, links, &wanted.options, &wanted.knowledge);
    let mut out = BufWriter::new(output::Stdout::lock());
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
            let code = match error.kind() {
                io::ErrorKind::PermissionDenied => "permission-denied",
                _ => "io",
            };
            let message = format!("{}: cannot be looked into: {error}", path.display());
            Err((code, clean(&message).into_owned()))
        }
        None => input::one_of_many(&path, &wanted.options, &wanted.knowledge)
            .map(|scanned| host::report(&key, &scanned, wanted))
            .map_err(|error| leads_out(&path, &error, wanted).unwrap_or((error.code(), error.to_string()))),
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

/// What to say of a link out of what was named, which nothing may follow any more.
fn leads_out(path: &Path, error: &Error, wanted: &Wanted) -> Option<(&'static str, String)> {
    if !matches!(error, Error::PermissionDenied { .. }) || !path.is_symlink() {
        return None;
    }
    let target = path.canonicalize().ok()?;
    if wanted.named.as_ref()?.iter().any(|named| target.starts_with(named)) {
        return None;
    }
    let message =
        format!("{}: a link out of what was named, to {}: name that, too", path.display(), target.display());
    Some(("leads-out", clean(&message).into_owned()))
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
