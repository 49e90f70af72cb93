//! `show`: decoded registers.

use super::args::{Common, OutputFormat, Show};
use super::output::Answers;
use super::reach::assumptions;
use super::selector::{Id, Slot};
use super::{Exit, Stop, address, input};
use crate::report::json::{Body, FunctionDocument, Line, ShowDocument};
use crate::report::text;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::topology::{FunctionIndex, Topology};

pub(super) fn run(common: &Common, show: &Show) -> Result<Exit, Stop> {
    let slot = show.slot.as_deref().map(Slot::parse).transpose().map_err(Stop::Usage)?;
    let id = show.device.as_deref().map(Id::parse).transpose().map_err(Stop::Usage)?;
    if show.tree && !matches!(common.format, OutputFormat::Text | OutputFormat::Dot) {
        return Err(Stop::Usage(String::from("-t is text: leave out --format json, or -t")));
    }
    let scanned = input::read(common, !show.tree)?;
    let selected = select(&scanned.topology, &show.addresses, slot, id)?;
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
            (true, _) => text::tree(&mut out, view),
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

/// The functions that the options select; all if they select none.
pub(super) fn select(
    topology: &Topology,
    names: &[String],
    slot: Option<Slot>,
    id: Option<Id>,
) -> Result<Vec<FunctionIndex>, Stop> {
    let named = address::resolve(topology, names)?;
    let functions = topology.functions().iter().enumerate();
    let selected: Vec<FunctionIndex> = functions
        .filter(|(index, _)| names.is_empty() || named.binary_search(index).is_ok())
        .filter(|(_, function)| slot.is_none_or(|slot| slot.holds(function.address)))
        .filter(|(index, function)| id.is_none_or(|id| id.holds(topology.ids(*index), function.class)))
        .map(|(index, _)| index)
        .collect();
    if selected.is_empty() {
        eprintln!("acsscan: no function is selected; show -t lists them all");
    }
    Ok(selected)
}
