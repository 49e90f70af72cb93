//! The slow and plain engine: pairs one by one. What the fast one says has to agree with it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::db::Database;
use crate::route::domains::HeldBy;
use crate::route::fabric::Fabric;
use crate::route::port::TlpClass;
use crate::route::{Assumptions, Disposition, Reason, RootComplex};
use crate::topology::Topology;

/// Labels of the closure of all pairs of initiators, the lowest function of each part.
fn closure(fabric: &Fabric<'_>, assumptions: &Assumptions) -> Vec<usize> {
    let count = fabric.topology().functions().len();
    let mut label: Vec<usize> = (0..count).collect();
    let initiators: Vec<usize> = (0..count).filter(|index| fabric.initiates(*index)).collect();
    for &s in &initiators {
        for &t in &initiators {
            if s == t || label[s] == label[t] {
                continue;
            }
            let merged = assumptions.counted().any(|class| {
                let (disposition, reason) = fabric.disposition(s, t, class, assumptions);
                assumptions.merges(disposition, reason)
            });
            if merged || fabric.may_impersonate(s, t, assumptions) {
                let (keep, drop) = (label[s].min(label[t]), label[s].max(label[t]));
                label.iter_mut().filter(|l| **l == drop).for_each(|l| *l = keep);
            }
        }
    }
    label
}

/// All assumptions under which domains can be asked for.
pub fn all_assumptions() -> impl Iterator<Item = Assumptions> {
    (0..8).map(|bits| Assumptions {
        hostile: true,
        root_complex: if bits & 1 != 0 { RootComplex::Unknown } else { RootComplex::Isolates },
        count_relaxed_and_io: bits & 2 != 0,
        trust_routing_ids: bits & 4 == 0,
    })
}

/// What differs between the two engines, in words.
#[must_use]
pub fn disagreement(topology: &Topology, database: &Database) -> Option<String> {
    let fabric = Fabric::new(topology, database);
    let name = |index: usize| topology.functions()[index].address.to_string();
    for assumptions in all_assumptions() {
        let label = closure(&fabric, &assumptions);
        let domains = fabric.domains(&assumptions);
        let initiators: Vec<usize> = (0..label.len()).filter(|index| fabric.initiates(*index)).collect();
        for &a in &initiators {
            for &b in &initiators {
                let (pairs, one_pass) = (label[a] == label[b], domains.domain_of(a) == domains.domain_of(b));
                if pairs != one_pass && pairs {
                    // The pair that the one pass has missed.
                    for &s in &initiators {
                        for &t in &initiators {
                            if domains.domain_of(s) == domains.domain_of(t) {
                                continue;
                            }
                            for class in assumptions.counted() {
                                let route = fabric.trace(s, t, class, &assumptions);
                                if assumptions.merges(route.disposition, route.reason) {
                                    return Some(format!("missed: {} to {}: {route:?}", name(s), name(t)));
                                }
                            }
                            if fabric.may_impersonate(s, t, &assumptions) {
                                return Some(format!(
                                    "missed: {} as {}, {:?}",
                                    name(s),
                                    name(t),
                                    fabric.scope(s)
                                ));
                            }
                        }
                    }
                }
                if pairs != one_pass {
                    let why: Vec<_> = domains.get(domains.domain_of(a)?)?.why().collect();
                    return Some(format!(
                        "{assumptions:?}: {} and {}: pairs {pairs}, one pass {one_pass}; {why:?}",
                        name(a),
                        name(b)
                    ));
                }
            }
        }
        let members: usize = domains.iter().map(|domain| domain.functions().len()).sum();
        if members != label.len() {
            return Some(format!("{members} functions in domains, {} in all", label.len()));
        }
        for domain in domains.iter() {
            let initiators = domain.functions().filter(|f| fabric.initiates(*f)).count();
            if (initiators > 1) != domain.held_by().is_some() {
                return Some(format!(
                    "{assumptions:?}: {initiators} together, held by {:?}",
                    domain.held_by()
                ));
            }
            let remains = domain.remains();
            let unproven = domain.held_by() == Some(HeldBy::Unproven);
            if unproven != (remains.len() > 1) {
                return Some(format!("{assumptions:?}: {:?}, remains {remains:?}", domain.held_by()));
            }
        }
    }
    None
}

/// What becomes of each class between each two functions: all classes of a pair, then the next pair.
#[must_use]
pub fn answers(topology: &Topology, assumptions: &Assumptions) -> Vec<(Disposition, Reason)> {
    let database = Database::default();
    let fabric = Fabric::new(topology, &database);
    let count = topology.functions().len();
    let mut answers = Vec::new();
    for s in 0..count {
        for t in 0..count {
            answers.extend(TlpClass::ALL.map(|class| fabric.disposition(s, t, class, assumptions)));
        }
    }
    answers
}

/// An answer that is turned round between a machine and the same machine with bytes taken away: what is known
/// may become unknown, and nothing else. `None` if there is none.
///
/// What closed a route may have been among the bytes, so that one that is blocked comes to be redirected: neither
/// reaches its target. A port that does not answer any more counts as what is kept apart, an initiator, and no
/// more as a port with memory of its own; for that the root complex is asked what it redirects.
#[must_use]
pub fn turned_round(before: &Topology, after: &Topology, assumptions: &Assumptions) -> Option<String> {
    let count = before.functions().len();
    let (old, new) = (answers(before, assumptions), answers(after, assumptions));
    let classes = TlpClass::ALL.len();
    let silenced = |n: usize| {
        let target = n / classes % count;
        before.functions()[target].is_bridge() && !after.functions()[target].answers
    };
    let turned = |n: &usize| match (old[*n].0, new[*n].0) {
        (_, Disposition::Undetermined) | (Disposition::Blocked, Disposition::Redirected) => false,
        (Disposition::Undetermined, Disposition::Redirected) => !silenced(*n),
        (old, new) => old != new,
    };
    let n = (0..old.len()).find(turned)?;
    let pair = [n / classes / count, n / classes % count].map(|index| before.functions()[index].address);
    Some(format!(
        "{} to {}, {:?}: {:?} became {:?}",
        pair[0],
        pair[1],
        TlpClass::ALL[n % classes],
        old[n],
        new[n]
    ))
}
