//! The command line: what was typed, what it means, and the exit code.
//!
//! Layer 8. `args` is what was typed; `input` turns it into a topology, and `confine` first gives up what
//! that does not take; each verb has a file.

mod address;
mod args;
mod capture;
mod check;
mod clique;
mod confine;
mod db;
mod diff;
mod file;
mod fleet;
mod groups;
mod help;
mod hook;
mod input;
mod output;
mod overlay;
mod plan;
mod reach;
mod repeat;
mod report;
mod scan;
mod selector;
mod show;
mod typed;

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;

use args::{Check, Cli, Db, Hook, OutputFormat, Verb};

use crate::db::Places;

/// Exit codes, as the output contract has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done,
    /// A negative answer, or a finding at or above `--fail-on`.
    Negative,
    /// Not used as it should be.
    Usage,
    /// Something that the answer needed was not captured.
    Inconclusive,
    /// Nothing could be answered.
    Failed,
}

/// What a shell says of a program that a pipe nobody reads has ended: 128 and SIGPIPE.
const BROKEN_PIPE: u8 = 141;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Negative => 1,
            Exit::Usage => 2,
            Exit::Inconclusive => 3,
            Exit::Failed => 4,
        })
    }
}

/// Why a command ended without an answer.
#[derive(Debug)]
enum Stop {
    /// What was typed does not make sense; the text says what does.
    Usage(String),
    /// The input could not be read.
    Input(String),
    /// The output could not be written.
    Output(io::Error),
}

impl Stop {
    /// One line.
    fn text(self) -> String {
        match self {
            Self::Usage(text) | Self::Input(text) => text,
            Self::Output(error) => format!("cannot write the output: {error}"),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs the command with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match typed::parse() {
        Ok(cli) => cli,
        Err(error) => {
            let arguments: Vec<_> = std::env::args_os().collect();
            // Help and version go to standard output and are no error.
            let exit = hook::exit_without_answer(&arguments, error.use_stderr());
            let _ = error.print();
            return exit.into();
        }
    };
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => BROKEN_PIPE.into(),
        Err(stop) => {
            let exit = if matches!(stop, Stop::Usage(_)) { Exit::Usage } else { Exit::Failed };
            eprintln!("acsscan: {}", crate::report::clean(&stop.text()));
            exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, Stop> {
    let draws = match &cli.verb {
        None => cli.addresses.is_empty() && !cli.summary,
        Some(Verb::Show(show)) => show.tree,
        Some(_) => false,
    };
    if cli.common.format == OutputFormat::Dot && !draws && !matches!(cli.verb, Some(Verb::Hook { .. })) {
        let text = "--format dot draws the whole hierarchy: acsscan --format dot, or show -t --format dot";
        return Err(Stop::Usage(String::from(text)));
    }
    if let Some(text) = cli.verb.as_ref().and_then(typed::file_for_a_function) {
        return Err(Stop::Usage(text));
    }
    let to = match &cli.verb {
        Some(Verb::Report(report)) => Some(&report.to),
        Some(Verb::Capture(capture)) => Some(&capture.to),
        _ => None,
    };
    if let Some((to, file)) = to.and_then(|to| Some((to, to.file()?))) {
        return to.write(file);
    }
    match &cli.verb {
        // The first does so when it is asked something, the last two name their inputs themselves.
        Some(Verb::Hook { .. } | Verb::Schema | Verb::Diff(_) | Verb::Fleet(_)) => {}
        // Reads the files that it names, and no machine.
        Some(Verb::Db { verb: Db::Check { files } }) if !files.is_empty() => {
            let places = Places { root: None, named: files.clone(), ..Places::default() };
            let files: Vec<_> = places.paths().into_iter().map(Some).collect();
            input::give_up_the_rest(&cli.common, &files);
        }
        Some(Verb::Check(Check { domain: Some(domain), .. })) => {
            input::give_up_the_rest(&cli.common, &[cli.common.dump.clone().flatten(), Some(domain.clone())]);
        }
        _ => input::give_up_the_rest(&cli.common, &[cli.common.dump.clone().flatten()]),
    }
    match &cli.verb {
        None => scan::run(&cli.common, &cli.addresses, cli.summary),
        Some(Verb::Show(show)) => show::run(&cli.common, show),
        Some(Verb::Groups(groups)) => groups::run(&cli.common, groups),
        Some(Verb::P2p(p2p)) if p2p.cliques => clique::run(&cli.common, p2p),
        Some(Verb::P2p(p2p)) => reach::p2p(&cli.common, p2p),
        Some(Verb::Explain(explain)) => reach::explain(&cli.common, explain),
        Some(Verb::Diff(diff)) => diff::run(&cli.common, diff),
        Some(Verb::Plan { goal }) => plan::run(&cli.common, goal),
        Some(Verb::Fleet(fleet)) => fleet::run(&cli.common, fleet),
        Some(Verb::Check(check)) => check::run(&cli.common, check),
        Some(Verb::Db { verb }) => db::run(&cli.common, verb),
        Some(Verb::Capture(capture)) => capture::run(&cli.common, capture),
        Some(Verb::Report(_)) => report::run(&cli.common),
        Some(Verb::Hook { hook: Hook::Libvirt(hook) }) => hook::run(&cli.common, hook),
        Some(Verb::Schema) => output::schema(&cli.common),
    }
}

/// All that can be typed, for manual pages and completions: see `examples/make_assets.rs`.
#[cfg(feature = "testkit")]
#[doc(hidden)]
#[must_use]
pub fn command() -> clap::Command {
    typed::command()
}

/// The names of the verbs.
fn verbs() -> Vec<String> {
    let names = Cli::command();
    names.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}
