//! Isolation domains with what holds them together, and where a model's groups differ from them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::addr::Sbdf;
use crate::finding::count;
use crate::report::{Reach, clean, json, words};
use crate::route::RootComplex;
use crate::route::disagree::{Danger, Disagreement, disagreements};
use crate::route::domains::{HeldBy, IsolationDomain, Merge, Unsettled};
use crate::route::evidence::Evidence;
use crate::topology::FunctionIndex;

impl View<'_> {
    /// What was assumed, how many domains there are, and what holds them together.
    pub(super) fn domain_summary(&self, out: &mut impl Write) -> io::Result<()> {
        let assumptions = self.reach.domains.assumptions();
        for assumption in words::assumptions(assumptions, self.reach.unsettled) {
            self.paragraph(out, 0, &format!("{BOLD}Assumed{BOLD:#} {assumption}"))?;
        }
        if assumptions.root_complex == RootComplex::Isolates {
            let mut last: Option<&Unsettled> = None;
            for unsettled in &**self.reach.unsettled {
                self.unsettled(out, unsettled, last)?;
                last = Some(unsettled);
            }
        }
        for limit in words::limits(assumptions) {
            self.paragraph(out, 0, &format!("{BOLD}Limits{BOLD:#}  {limit}"))?;
        }
        let held = |by| self.reach.domains.iter().filter(|domain| domain.held_by() == Some(by)).count();
        let parts: Vec<String> = [HeldBy::Direct, HeldBy::Impersonation, HeldBy::Unproven]
            .into_iter()
            .filter(|by| held(*by) > 0)
            .map(|by| format!("{} held together by {}", held(by), bond(by)))
            .collect();
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        let total = count(self.reach.domains.len(), "isolation domain");
        writeln!(out, "{BOLD}Domains{BOLD:#} {total}{parts}")
    }

    /// What keeps pairs apart by assumption only: how many, and who leaves it open towards whom.
    /// What was listed for the `last` reason is not listed again.
    fn unsettled(
        &self,
        out: &mut impl Write,
        unsettled: &Unsettled,
        last: Option<&Unsettled>,
    ) -> io::Result<()> {
        const SHOWN: usize = 6;
        let list = |functions: &[FunctionIndex]| {
            let shown: Vec<String> = functions.iter().take(SHOWN).map(|index| self.address(*index)).collect();
            let more = functions.len().saturating_sub(shown.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{}{more}", shown.join(", "))
        };
        let again = last.and_then(|last| {
            let open = added(&last.open, &unsettled.open)?;
            Some((open, added(&last.others, &unsettled.others)?))
        });
        let by = match again {
            Some((open, others)) => {
                let open = if open.is_empty() { String::new() } else { format!(" and {}", list(&open)) };
                let others = if others.is_empty() {
                    String::new()
                } else {
                    format!(", also towards {}", list(&others))
                };
                format!("the same{open}{others}")
            }
            None => {
                let towards = match (unsettled.open.len(), unsettled.others.as_slice()) {
                    (1, []) => String::new(),
                    (_, []) => String::from(", towards each other"),
                    (1, others) => format!(", towards {}", list(others)),
                    (_, others) => format!(", towards each other and {}", list(others)),
                };
                format!("{}{towards}", list(&unsettled.open))
            }
        };
        self.paragraph(out, 8, &format!("{}; left open by {by}", words::unsettled(unsettled)))
    }

    /// The domains of several functions, each with the bonds that hold it together.
    pub(super) fn shared_domains(&self, out: &mut impl Write) -> io::Result<()> {
        let (shared, alone): (Vec<_>, Vec<_>) = self
            .reach
            .domains
            .iter()
            .enumerate()
            .partition(|(_, domain)| self.initiators(domain.functions()).len() > 1);
        for (id, domain) in shared {
            self.domain(out, id, domain)?;
        }
        if !alone.is_empty() {
            writeln!(out, "\n{BOLD}each alone in its domain, with the ports that lead to it only{BOLD:#}")?;
        }
        let alone: Vec<_> = alone.into_iter().flat_map(|(_, domain)| domain.functions()).collect();
        for index in &alone {
            self.paragraph(out, 2, &self.line(*index))?;
        }
        self.entries(out, alone.into_iter())
    }

    /// The database entries that the ACS of these functions rests on.
    pub(super) fn entries(
        &self,
        out: &mut impl Write,
        functions: impl Iterator<Item = FunctionIndex>,
    ) -> io::Result<()> {
        for (entry, functions) in self.reach.entries(functions) {
            let shown: Vec<String> = functions.iter().take(8).map(|index| self.address(*index)).collect();
            let more = functions.len().saturating_sub(shown.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let text = format!("{}{more}: {}", shown.join(", "), Evidence::entry(Sbdf::default(), entry));
            self.paragraph(out, 4, &clean(&text))?;
        }
        Ok(())
    }

    /// Those of the functions that are no bridges or ports, which initiate nothing.
    pub(super) fn initiators(&self, functions: impl Iterator<Item = FunctionIndex>) -> Vec<FunctionIndex> {
        let is_bridge = |index: &FunctionIndex| {
            self.topology().function(*index).is_some_and(|function| function.is_bridge())
        };
        functions.filter(|index| !is_bridge(index)).collect()
    }

    pub(super) fn domain(
        &self,
        out: &mut impl Write,
        id: usize,
        domain: IsolationDomain<'_>,
    ) -> io::Result<()> {
        let held = domain.held_by().map(|by| format!(", held together by {YELLOW}{}{YELLOW:#}", bond(by)));
        writeln!(out, "\n{BOLD}domain {id}{BOLD:#}{}", held.unwrap_or_default())?;
        for index in domain.functions() {
            self.paragraph(out, 2, &self.line(index))?;
        }
        for merge in domain.why() {
            self.merge(out, merge)?;
        }
        self.entries(out, domain.functions())?;
        let remains = domain.remains();
        if remains.len() > 1 {
            let parts: Vec<String> = remains
                .iter()
                .filter(|part| part.len() > 1)
                .map(|part| part.iter().map(|index| self.address(*index)).collect::<Vec<_>>().join(" "))
                .collect();
            let together = if parts.is_empty() {
                String::from("no two of them would stay together")
            } else {
                format!("together would stay {}", parts.join("; "))
            };
            self.paragraph(out, 4, &format!("were all unknowns answered well, {together}"))?;
        }
        Ok(())
    }

    /// One bond: the first pair, the reason, and what that rests on.
    pub(super) fn merge(&self, out: &mut impl Write, merge: &Merge) -> io::Result<()> {
        let (from, to) = (self.address(merge.from), self.address(merge.to));
        let Reach { fabric, domains, accepted, .. } = self.reach;
        let accepted = accepted.of_merge(fabric, merge, domains.assumptions());
        let accepted = accepted.map(|accepted| format!("; {accepted}")).unwrap_or_default();
        let Some(class) = merge.class else {
            let reason = merge.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let why = fabric.impersonation(merge.from, merge.to, domains.assumptions());
            let why = why.map(|why| fabric.impersonation_words(merge.from, merge.to, why));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let text = format!(
                "{}: {from} may use the requester ID of {to}{why}{reason}{accepted}",
                bond(merge.held_by)
            );
            self.paragraph(out, 4, &clean(&text))?;
            return self.merge_evidence(out, merge);
        };
        let reason = merge.reason.map(|reason| reason.to_string()).unwrap_or_default();
        let text =
            format!("{}: {} from {from} to {to}: {reason}{accepted}", bond(merge.held_by), class.words());
        self.paragraph(out, 4, &clean(&text))?;
        self.merge_evidence(out, merge)
    }

    /// What a bond rests on; of a long way up only the first ports.
    fn merge_evidence(&self, out: &mut impl Write, merge: &Merge) -> io::Result<()> {
        const SHOWN: usize = 6;
        let evidence = json::merge_evidence(self.reach.fabric, self.reach.domains.assumptions(), merge);
        for evidence in evidence.iter().take(SHOWN) {
            self.paragraph(out, 6, &clean(&format!("{}: {evidence}", evidence.function())))?;
        }
        match evidence.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => self.paragraph(out, 6, &format!("and {more} more")),
        }
    }

    /// Where a model's groups and the domains disagree, most dangerous first.
    pub(super) fn disagreements(
        &self,
        out: &mut impl Write,
        model: &str,
        groups: &[Option<usize>],
    ) -> io::Result<()> {
        let found = disagreements(self.reach.fabric, self.reach.domains, groups);
        if found.is_empty() {
            return writeln!(out, "\nThe groups of {model} are these domains.");
        }
        writeln!(out, "\n{BOLD}Where the groups of {model} are not these domains{BOLD:#}")?;
        for disagreement in found {
            self.disagreement(out, model, &disagreement)?;
        }
        Ok(())
    }

    pub(super) fn disagreement(
        &self,
        out: &mut impl Write,
        model: &str,
        disagreement: &Disagreement,
    ) -> io::Result<()> {
        let numbers = |ids: &std::collections::BTreeSet<usize>| {
            ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let style = match disagreement.kind {
            Danger::JoinedAlthoughIsolated => anstyle::Style::new(),
            _ => YELLOW,
        };
        let functions: Vec<String> =
            disagreement.functions.iter().take(8).map(|index| self.address(*index)).collect();
        let more = disagreement.functions.len().saturating_sub(functions.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        writeln!(out, "  {style}{}{style:#}", disagreement.kind.words())?;
        let text = format!(
            "domain {} here, group {} of {model}: {}{more}",
            numbers(&disagreement.domains),
            numbers(&disagreement.groups),
            functions.join(", ")
        );
        self.paragraph(out, 4, &text)?;
        match &disagreement.example {
            Some(merge) => self.merge(out, merge),
            None => Ok(()),
        }
    }
}

/// A bond in words.
fn bond(by: HeldBy) -> &'static str {
    match by {
        HeldBy::Direct => "direct traffic",
        HeldBy::Impersonation => "impersonation",
        HeldBy::Unproven => "what is not known",
    }
}

/// What a list has more than another; `None` if it lacks some of it.
fn added(before: &[FunctionIndex], now: &[FunctionIndex]) -> Option<Vec<FunctionIndex>> {
    let before: BTreeSet<_> = before.iter().collect();
    let added: Vec<_> = now.iter().filter(|function| !before.contains(function)).copied().collect();
    (now.len().saturating_sub(added.len()) == before.len()).then_some(added)
}
