//! May functions be assigned to one guest together? The answer that the hook needs.

use super::args::{PolicyArg, UnknownArg};
use super::output::Answers;
use crate::report::words::address;
use crate::route::domains::HeldBy;
use crate::topology::FunctionIndex;

/// The answer.
pub(super) enum Assessment {
    /// They may.
    Assignable,
    /// They may not; why.
    Not(String),
    /// Not known; why.
    Inconclusive(String),
}

/// Judges functions (sorted) by a policy.
pub(super) fn assess(
    answers: &Answers<'_>,
    functions: &[FunctionIndex],
    policy: PolicyArg,
    unknown: UnknownArg,
) -> Assessment {
    let topology = &answers.scanned.topology;
    let endpoint = |index: &FunctionIndex| topology.function(*index).is_some_and(|f| !f.is_bridge());
    let mut open = None;
    for function in functions {
        let (others, certain) = match policy {
            PolicyArg::Spec => {
                let domain = answers.domains.domain_of(*function).and_then(|id| answers.domains.get(id));
                let certain = domain.as_ref().is_none_or(|domain| domain.held_by() != Some(HeldBy::Unproven));
                (domain.map(|domain| domain.functions().collect()).unwrap_or_default(), certain)
            }
            PolicyArg::Linux => {
                let group = answers.grouping.group_of.get(*function).copied().flatten();
                let group = group.and_then(|id| answers.grouping.groups.get(id));
                let certain = group.is_none_or(|group| group.is_certain());
                (group.map(|group| group.functions.clone()).unwrap_or_default(), certain)
            }
        };
        let others: Vec<String> = others
            .iter()
            .filter(|other| endpoint(other) && functions.binary_search(other).is_err())
            .map(|other| address(topology, *other))
            .collect();
        if !others.is_empty() {
            let together = if policy == PolicyArg::Linux { "group" } else { "isolation domain" };
            let why = format!(
                "{} shares its {together} with {}; see acsscan explain {}",
                address(topology, *function),
                others.join(", "),
                address(topology, *function)
            );
            if certain {
                return Assessment::Not(why);
            }
            open.get_or_insert(why);
        }
    }
    if open.is_none() && answers.is_inconclusive(Some(functions)) {
        open = Some(String::from("not everything that the answer needs was captured: is this root?"));
    }
    match (open, unknown) {
        (Some(why), UnknownArg::Fail) => Assessment::Inconclusive(why),
        _ => Assessment::Assignable,
    }
}
