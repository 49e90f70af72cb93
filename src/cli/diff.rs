//! `diff`: two dumps, or one as it is and as if.

use std::path::PathBuf;

use clap::Args;

use super::args::Common;
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, input};
use crate::diff::{State, diff};
use crate::report::json::{Body, DiffDocument};
use crate::report::text;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::topology::Topology;

/// Options of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The dump to start from
    #[arg(value_name = "OLD")]
    pub(super) old: Option<PathBuf>,
    /// The dump to compare with it; left out, OLD (or this host) as the what-if options and --db have it
    #[arg(value_name = "NEW")]
    pub(super) new: Option<PathBuf>,
}

pub(super) fn run(common: &Common, options: &Diff) -> Result<Exit, Stop> {
    let (old_source, new_source) = match (&options.old, &options.new) {
        (Some(old), Some(new)) => (Some(old.clone()), Some(new.clone())),
        (old, _) if common.overlays.any() || !common.db.is_empty() => {
            let source = old.clone().or(common.dump.clone().flatten());
            (source.clone(), source)
        }
        _ => {
            let text = "diff compares two dumps, diff OLD NEW, or one with itself as if: diff SOURCE --set … (or --db FILE)";
            return Err(Stop::Usage(String::from(text)));
        }
    };
    if old_source.is_some() && common.dump.is_some() && options.old.is_some() {
        return Err(Stop::Usage(String::from("diff takes its dumps without --dump: diff OLD NEW")));
    }
    let is_stdin = |source: &Option<PathBuf>| source.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if is_stdin(&old_source) && is_stdin(&new_source) {
        return Err(Stop::Usage(String::from(
            "standard input can be read once only: put the dump into a file",
        )));
    }
    input::give_up_the_rest(common, &[old_source.clone(), new_source.clone()]);
    // Against itself, a database file is a what-if, too.
    let against_itself = options.new.is_none();
    let old = input::as_it_is(common, old_source, if against_itself { &[] } else { &common.db })?;
    let mut new = input::as_if(common, new_source)?;
    if against_itself {
        let files = common.db.iter().map(|path| format!("--db {}: its entries count", path.display()));
        new.source.overlays.extend(files);
    }
    let assumed = assumptions(common);
    let old_linux = Linux::new(&old.topology, &old.database);
    let new_linux = Linux::new(&new.topology, &new.database);
    let (old_fabric, new_fabric) = (Fabric::seen_by(&old_linux), Fabric::seen_by(&new_linux));
    let before = Answers::new(&old, &old_linux, &old_fabric, &assumed, None);
    let after = Answers::new(&new, &new_linux, &new_fabric, &assumed, None);
    let found = diff(&state(&before), &state(&after));
    let names = (old.source.path.as_str(), new.source.path.as_str());
    let document = DiffDocument::new((&old.topology, &new.topology), names, &found);
    after.write(
        common,
        |_| Body::Diff(document.clone()),
        |mut out, view| {
            let name = |topology: &Topology, address: &str| -> String {
                let index = address.parse().ok().and_then(|address| topology.index_of(address));
                index.map(|index| view.names.function(topology, index)).unwrap_or_default()
            };
            let named: [&dyn Fn(&str) -> String; 2] =
                [&|address| name(&old.topology, address), &|address| name(&new.topology, address)];
            text::diff(&mut out, &document, named)
        },
    )?;
    if !found.is_alike() {
        return Ok(Exit::Negative);
    }
    Ok(match before.exit(common, None) {
        Exit::Done => after.exit(common, None),
        other => other,
    })
}

fn state<'s>(answers: &'s Answers<'_>) -> State<'s> {
    State {
        fabric: answers.fabric,
        domains: &answers.domains,
        grouping: &answers.grouping,
        findings: &answers.findings,
    }
}
