//! Findings about acceptances: those that have run out, and those that name nothing.

use alloc::format;
use alloc::vec::Vec;

use super::{Code, Finding};
use crate::route::accept::{Acceptances, Doubt};
use crate::topology::Topology;

/// What is wrong with acceptances, each with the functions that it names.
#[must_use]
pub fn acceptance_findings(topology: &Topology, acceptances: &Acceptances<'_>) -> Vec<Finding> {
    let finding = |(acceptance, doubt, functions): (&crate::db::Acceptance, Doubt, &[usize])| {
        let about = format!(
            "acceptance {} ({}, {}), by {}",
            acceptance.name,
            acceptance.layer.word(),
            acceptance.file,
            acceptance.who
        );
        let (code, message) = match (doubt, acceptance.until) {
            (Doubt::Expired, Some(until)) => {
                (Code::AcceptanceExpired, format!("{about}, was good until {until}"))
            }
            (Doubt::Expired, None) | (Doubt::Unmatched, _) => {
                (Code::AcceptanceUnmatched, format!("{about}, names nothing that is in the dump"))
            }
            (Doubt::Elsewhere, _) => {
                (Code::AcceptanceElsewhere, format!("{about}, names a place of the host that it is kept on"))
            }
            (Doubt::ByAddress, _) => {
                (Code::AcceptanceByAddress, format!("{about}, names an address below a bridge"))
            }
        };
        let functions = functions.iter().filter_map(|index| topology.address(*index)).collect();
        Finding::new(code, functions, message)
    };
    acceptances.doubts().map(finding).collect()
}
