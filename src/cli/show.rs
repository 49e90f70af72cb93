//! `show`: decoded registers.

use super::args::{Common, OutputFormat, Show};
use super::output::Answers;
use super::reach::assumptions;
use super::selector::Wanted;
use super::{Exit, Stop, input};
use crate::report::json::{Body, FunctionDocument, Line, ShowDocument};
use crate::report::text;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::topology::FunctionIndex;

pub(super) fn run(common: &Common, show: &Show) -> Result<Exit, Stop> {
    let wanted = Wanted::parse(&show.selection)?;
    if show.tree && !matches!(common.format, OutputFormat::Text | OutputFormat::Dot) {
        return Err(Stop::Usage(String::from("-t is text: leave out --format json, or -t")));
    }
    if show.tree && common.format == OutputFormat::Dot && !wanted.is_all() {
        return Err(Stop::Usage(String::from("--format dot draws the whole hierarchy: leave out -s and -d")));
    }
    let scanned = input::read(common, !show.tree)?;
    let selected = wanted.select(&scanned.topology)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), Some(&selected));
    let documents = || selected.iter().filter_map(|index| FunctionDocument::new(answers.linux, *index));
    if common.format == OutputFormat::Jsonl {
        answers.write_lines(documents().map(|function| Line::Function(Box::new(function))))?;
        return Ok(answers.exit(common, Some(&selected)));
    }
    answers.write(
        common,
        |_| Body::Show(ShowDocument { functions: documents().collect() }),
        |mut out, view| match (show.tree, common.format) {
            (true, OutputFormat::Dot) => text::dot(&mut out, view),
            (true, _) if wanted.is_all() => text::tree(&mut out, view),
            (true, _) => text::tree_of(&mut out, view, &selected),
            (false, _) => text::show(&mut out, view, &selected),
        },
    )?;
    if show.tree {
        return Ok(answers.exit(common, Some(&selected)));
    }
    // Registers are shown as they are: no answer rests on more than the functions themselves.
    let functions = scanned.topology.functions();
    let incomplete = |index: &FunctionIndex| functions.get(*index).is_some_and(|f| !f.is_complete());
    Ok(answers.exit_if(common, || selected.iter().any(incomplete)))
}
