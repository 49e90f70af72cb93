//! `acsscan check`: the verdict first, then what it rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::report::clean;
use crate::report::json::{CheckDocument, EvidenceDocument, MemberDocument, WayDocument};

/// Addresses that are shown of a list.
const SHOWN: usize = 8;
/// Ways that are shown.
const WAYS: usize = 40;

/// The verdict, what the policy objects to, the unit that goes together, who else reaches it, and what
/// the policies would let through.
///
/// # Errors
///
/// Those of the writer.
pub fn check(out: &mut impl Write, view: &View<'_>, answer: &CheckDocument) -> io::Result<()> {
    let style = match answer.verdict {
        "assignable" => anstyle::Style::new(),
        _ => YELLOW,
    };
    let functions = list(&answer.functions);
    writeln!(
        out,
        "{BOLD}{functions}{BOLD:#}: {style}{}{style:#} (policy {})",
        answer.verdict, answer.policy
    )?;
    for assumption in &answer.assumptions {
        view.paragraph(out, 0, &format!("assumed: {assumption}"))?;
    }
    for accepted in &answer.accepted {
        view.paragraph(
            out,
            2,
            &clean(&format!("{accepted}: {} [entry {}]", accepted.reason, accepted.entry)),
        )?;
    }
    for objection in &answer.objections {
        let certain = if objection.certain { "" } else { "not known: " };
        let others = if objection.others.is_empty() {
            String::new()
        } else {
            format!(": {}", list(&objection.others))
        };
        view.paragraph(out, 2, &format!("{certain}{} {}{others}", objection.function, objection.message))?;
    }
    if answer.unknown != "pass" {
        for missing in &answer.missing {
            view.paragraph(out, 2, &clean(&format!("not in the dump: {missing}")))?;
        }
    }
    writeln!(out, "\n{BOLD}what would have to be assigned together{BOLD:#}")?;
    for member in &answer.unit {
        view.member(out, member)?;
    }
    view.regions(out, answer)?;
    if !answer.reached.is_empty() {
        writeln!(out, "\n{BOLD}who else reaches it, or is reached{BOLD:#}")?;
    }
    view.ways(out, &answer.reached)?;
    if !answer.reached_complete {
        view.paragraph(out, 2, "and more: there are too many pairs to look at each")?;
    }
    for evidence in &answer.database {
        if let EvidenceDocument::Entry { function, entry, layer, file, source, conditions } = evidence {
            let place = if file.is_empty() { String::from(*layer) } else { format!("{layer}, {file}") };
            let when = when(conditions);
            let text = format!("{function}: by database entry {entry} ({place}), source: {source}{when}");
            view.paragraph(out, 2, &clean(&text))?;
        }
    }
    writeln!(out, "\n{BOLD}what each policy says{BOLD:#}")?;
    for policy in &answer.policies {
        view.paragraph(out, 2, &format!("{}: {}", policy.policy, policy.verdict))?;
        let pairs = pairs(&policy.lets_through, answer);
        for ((inside, outside), dispositions) in pairs.iter().take(WAYS) {
            let dispositions: Vec<&str> = dispositions.iter().copied().collect();
            let text = format!(
                "does not see that {} is not kept apart from {}: {}",
                list(inside),
                list(outside),
                dispositions.join(", ")
            );
            view.paragraph(out, 6, &text)?;
        }
        view.more(out, pairs.len())?;
    }
    view.findings(out)
}

impl View<'_> {
    fn member(&self, out: &mut impl Write, member: &MemberDocument) -> io::Result<()> {
        let role = match (member.asked, member.bind) {
            (true, _) => "",
            (false, true) => "  would go with it",
            (false, false) => "  port, need not be bound",
        };
        let name =
            self.index_of(&member.function).map_or_else(|| member.function.clone(), |index| self.line(index));
        self.paragraph(out, 2, &format!("{name}{role}"))?;
        for used in member.host_uses.iter().take(SHOWN) {
            let text = format!("{YELLOW}the host uses it{YELLOW:#}: {}", clean(used));
            self.paragraph(out, 6, &text)?;
        }
        match member.host_uses.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => self.paragraph(out, 6, &format!("and {more} more: see --format json")),
        }
    }

    /// The reserved regions of the members, each once.
    fn regions(&self, out: &mut impl Write, answer: &CheckDocument) -> io::Result<()> {
        let regions = answer.unit.iter().flat_map(|member| &member.reserved_regions);
        let mut texts: Vec<String> =
            regions.map(|region| format!("{}-{} {}", region.first, region.last, region.kind)).collect();
        texts.sort_unstable();
        texts.dedup();
        match texts.is_empty() {
            true => Ok(()),
            false => self.paragraph(out, 2, &format!("reserved regions: {}", texts.join(", "))),
        }
    }

    /// Ways, of which those that differ in the class of transaction alone are one.
    fn ways(&self, out: &mut impl Write, ways: &[WayDocument]) -> io::Result<()> {
        let alike = |a: &WayDocument, b: &WayDocument| {
            let key = |way: &WayDocument| (way.disposition, way.reason, way.tlp.is_some());
            key(a) == key(b) && a.from == b.from && a.to == b.to && a.accepted == b.accepted
        };
        let mut lines: Vec<(&WayDocument, Vec<&str>)> = Vec::new();
        let looked_at = WAYS.saturating_mul(8);
        for way in ways.iter().take(looked_at) {
            match lines.iter_mut().find(|(first, _)| alike(first, way)) {
                Some((_, classes)) => classes.extend(way.tlp),
                None => lines.push((way, way.tlp.into_iter().collect())),
            }
        }
        for (way, classes) in lines.iter().take(WAYS) {
            let classes =
                if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
            let accepted = way.accepted.as_ref().map(|accepted| format!("; {accepted}")).unwrap_or_default();
            let text = format!(
                "{} to {}: {}{classes}: {}{accepted}",
                list(&way.from),
                list(&way.to),
                way.disposition,
                way.message
            );
            self.paragraph(out, 2, &clean(&text))?;
            for evidence in &way.evidence {
                self.paragraph(out, 6, &clean(&words(evidence)))?;
            }
        }
        self.more(out, lines.len().saturating_add(ways.len().saturating_sub(looked_at)))
    }

    fn more(&self, out: &mut impl Write, ways: usize) -> io::Result<()> {
        match ways.saturating_sub(WAYS) {
            0 => Ok(()),
            more => self.paragraph(out, 4, &format!("and {more} more: --format json has all")),
        }
    }
}

/// The functions inside and outside of ways, each two lists once, with what becomes of them.
type Pairs<'w> = BTreeMap<(&'w [String], &'w [String]), BTreeSet<&'static str>>;

fn pairs<'w>(ways: &'w [WayDocument], answer: &CheckDocument) -> Pairs<'w> {
    let mut pairs = Pairs::new();
    for way in ways {
        let outwards = way.from.first().is_some_and(|from| answer.functions.contains(from));
        let (inside, outside) = if outwards { (&way.from, &way.to) } else { (&way.to, &way.from) };
        pairs.entry((inside, outside)).or_default().insert(way.disposition);
    }
    pairs
}

fn list(addresses: &[String]) -> String {
    let shown = addresses.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match addresses.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Evidence in words.
fn words(evidence: &EvidenceDocument) -> String {
    match evidence {
        EvidenceDocument::Register { function, register, offset, bits, value } => {
            format!("{function}: {register} at {offset} reads {value}: {bits}")
        }
        EvidenceDocument::Structure { function, structure, presence: "absent" } => {
            format!("{function}: no {structure}")
        }
        EvidenceDocument::Structure { function, structure, presence } => {
            format!("{function}: {structure}: {presence}")
        }
        EvidenceDocument::PortType { function, port_type } => format!("{function}: type {port_type}"),
        EvidenceDocument::Entry { function, entry, layer, conditions, .. } => {
            format!("{function}: by database entry {entry} ({layer}){}", when(conditions))
        }
    }
}

/// What an entry asks of the machine.
fn when(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("; if {}", conditions.join(" and ")) }
}
