//! `p2p --cliques`: what a guest may be told.

use super::args::{Common, P2p};
use super::output::Answers;
use super::reach::assumptions;
use super::{Exit, Stop, address, input};
use crate::report::json::{Body, CliquesDocument};
use crate::report::{text, words};
use crate::route::clique::{Hindered, MAX_FUNCTIONS, cliques, takes_number};
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::route::matrix::Label;
use crate::topology::FunctionIndex;

pub(super) fn run(common: &Common, options: &P2p) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let topology = &scanned.topology;
    let linux = Linux::new(topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let names: Vec<String> = options.from.iter().chain(&options.to).chain(&options.others).cloned().collect();
    let functions = match (names.is_empty(), options.class.as_slice()) {
        (false, _) => address::resolve(topology, &names)?,
        (true, []) => {
            let initiators = of_labels(&fabric, &[Label::Gpu]).into_iter();
            initiators.filter(|index| takes_number(topology, *index)).collect()
        }
        (true, labels) => of_labels(&fabric, labels),
    };
    if let Some(port) = functions.iter().find(|index| !fabric.initiates(**index)) {
        return Err(Stop::Usage(format!(
            "{}: no guest is given ports or host bridges; name the functions that are below",
            words::address(topology, *port)
        )));
    }
    if functions.len() < 2 {
        return Err(match names.is_empty() {
            true => Stop::Input(String::from(
                "--cliques: fewer than two such functions are in the dump; without --class those are display \
                 controllers of NVIDIA, and --class or addresses name others",
            )),
            false => {
                Stop::Usage(String::from("--cliques needs two functions, or none for all that take a number"))
            }
        });
    }
    let assumed = assumptions(common);
    let found = cliques(&fabric, &functions, &assumed).map_err(|error| {
        Stop::Usage(format!(
            "{} functions are too many for cliques, {MAX_FUNCTIONS} are not: name them",
            error.functions
        ))
    })?;
    let answers = Answers::new(&scanned, &linux, &fabric, &assumed, Some(&functions));
    let document = CliquesDocument::new(topology, &found, answers.assumptions(&assumed));
    answers.write(
        common,
        |_| Body::Cliques(document.clone()),
        |mut out, view| text::cliques(&mut out, view, &document),
    )?;
    let is_open = |hindered: Hindered| hindered.by.is_not_captured();
    let rests = || found.pairs.iter().filter_map(|pair| pair.way.err()).any(is_open);
    Ok(answers.exit_if(common, rests))
}

/// All functions of these kinds that a guest can be given.
pub(super) fn of_labels(fabric: &Fabric<'_>, labels: &[Label]) -> Vec<FunctionIndex> {
    let functions = fabric.topology().functions().iter().enumerate();
    let wanted =
        functions.filter(|(index, f)| fabric.initiates(*index) && labels.contains(&Label::of(f.class)));
    wanted.map(|(index, _)| index).collect()
}
