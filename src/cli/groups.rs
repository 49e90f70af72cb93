//! `groups`: one partition.

use super::args::{Common, Groups, Model};
use super::output::Answers;
use super::{Exit, Stop, input};
use crate::report::json::{self, Body, GroupsDocument};
use crate::report::text;

pub(super) fn run(common: &Common, groups: &Groups) -> Result<Exit, Stop> {
    let Model::Linux = groups.model;
    let scanned = input::read(common, false)?;
    let answers = Answers::new(&scanned);
    answers.write(
        common,
        |answers| {
            let topology = answers.linux.topology();
            Body::Groups(GroupsDocument {
                model: String::from("linux"),
                groups: json::groups(&answers.linux, &answers.grouping),
                ungrouped: json::ungrouped(topology, &answers.grouping),
                kernel_groups: json::kernel_groups(topology),
                differences: json::differences(topology, &answers.grouping),
            })
        },
        |mut out, view| text::groups(&mut out, view),
    )?;
    Ok(answers.exit(common, None))
}
