//! From the process's arguments to what was typed, and what to say where lspci's habits lead astray.

use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error, FromArgMatches};

use super::args::{Cli, Verb};
use crate::addr::Sbdf;
use crate::db::Slot;

/// Options of lspci that are none here, or only behind a verb, and what to type.
const HABITS: [(&str, &str); 12] = [
    ("-F", "a dump is named with --dump: acsscan --dump FILE"),
    ("-s", "some functions: acsscan show -s SLOT"),
    ("-d", "some functions: acsscan show -d ID"),
    ("-t", "the hierarchy: acsscan show -t"),
    ("-k", "drivers are always shown: acsscan show"),
    ("-x", "registers are decoded: acsscan show; bytes are kept with acsscan capture"),
    ("-i", "names of devices come from a file with --ids FILE"),
    ("-m", "for programs: --format json"),
    ("-P", "the way down to each function: acsscan show -t"),
    ("-b", "addresses are the kernel's"),
    ("-A", "how a dump is read: --input-format FORMAT"),
    ("-q", "nothing is asked of the network, ever"),
];

/// Options that say which input is read and how, or what if: of use for one host, and not shown for many.
const OF_ONE_HOST: [&str; 12] = [
    "dump",
    "at",
    "segment",
    "start_bus",
    "mmap",
    "sysfs_root",
    "set",
    "enable_acs",
    "kernel_params",
    "firmware",
    "remove",
    "relocate",
];

/// What was typed.
pub(super) fn parse() -> Result<Cli, Error> {
    let mut command = command();
    let typed = command.try_get_matches_from_mut(std::env::args_os());
    typed.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(with_habits)
}

/// The command line, without what means nothing in its place.
pub(super) fn command() -> clap::Command {
    let command = Cli::command();
    let hidden: Vec<_> = command
        .get_arguments()
        .filter(|argument| OF_ONE_HOST.contains(&argument.get_id().as_str()))
        .map(|argument| argument.clone().hide(true))
        .collect();
    command.mut_subcommand("fleet", |fleet| fleet.args(hidden))
}

/// An error about an option of lspci, with what to type in place of how to quote it.
fn with_habits(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return error };
    let tip = match HABITS.iter().find(|(option, _)| typed == option) {
        Some((_, tip)) => String::from(*tip),
        None if !typed.starts_with('-') && Path::new(typed).exists() => {
            format!("a file is named with --dump: --dump {typed}")
        }
        None => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

/// What to say of a file where a function is expected.
pub(super) fn file_for_a_function(verb: &Verb) -> Option<String> {
    let (word, names): (&str, Vec<&String>) = match verb {
        Verb::Show(show) => ("show", show.selection.addresses.iter().collect()),
        Verb::Check(check) => ("check", check.selection.addresses.iter().collect()),
        Verb::Explain(explain) => {
            ("explain", [&explain.function].into_iter().chain(&explain.other).collect())
        }
        Verb::P2p(p2p) => ("p2p", p2p.from.iter().chain(&p2p.to).chain(&p2p.others).collect()),
        _ => return None,
    };
    let is_file = |name: &&&String| {
        name.parse::<Slot>().is_err() && name.parse::<Sbdf>().is_err() && Path::new(name.as_str()).is_file()
    };
    let name = names.iter().find(is_file)?;
    Some(format!("{name}: a file is named with --dump: acsscan {word} --dump {name}"))
}
