//! `acsscan diff`: what changed, for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::BOLD;
use crate::finding::count;
use crate::report::clean;
use crate::report::json::{
    CauseDocument, DiffDocument, EffectDocument, FromToDocument, RegisterDocument, RegroupedDocument,
};

/// Why pairs are not told.
pub(super) const TOO_MANY: &str = "there are too many classes of functions to compare them all";

/// Lines of one kind that are shown at most; JSON has all.
const SHOWN: usize = 40;

/// Everything that changed, and what caused it. `named` says what a function of the first and of the second
/// state is called, by its address.
///
/// # Errors
///
/// Those of the writer.
pub fn diff(
    out: &mut impl Write,
    diff: &DiffDocument,
    named: [&dyn Fn(&str) -> String; 2],
) -> io::Result<()> {
    writeln!(out, "{BOLD}Old{BOLD:#}     {}", clean(&diff.old))?;
    writeln!(out, "{BOLD}New{BOLD:#}     {}", clean(&diff.new))?;
    if diff.renumbered > 0 {
        let which = count(diff.renumbered, "function");
        writeln!(out, "{which} with another address in the same place, which is no difference")?;
    }
    let lost = [&diff.added, &diff.removed].map(|list| list.len().saturating_add(diff.replaced.len()));
    if lost.iter().any(|lost| *lost > diff.matched) {
        let found = count(diff.matched, "function");
        writeln!(out, "only {found} in both: these are hardly two states of one machine")?;
    }
    match (diff.alike, &diff.pairs) {
        (true, Some(_)) => return writeln!(out, "alike"),
        (true, None) => return writeln!(out, "alike, but for pairs, which are not compared: {TOO_MANY}"),
        (false, _) => {}
    }
    let [old, new] = named;
    let one = |named: &dyn Fn(&str) -> String, address: &String| {
        format!("{address} {}", clean(&named(address))).trim_end().to_owned()
    };
    let arrow =
        |changed: &FromToDocument| format!("{} -> {}", one(old, &changed.from), one(new, &changed.to));
    let moved = |changed: &FromToDocument| format!("{} -> {}", changed.from, one(new, &changed.to));
    section(out, "Added", diff.added.iter().map(|address| one(new, address)))?;
    section(out, "Removed", diff.removed.iter().map(|address| one(old, address)))?;
    section(out, "Replaced by another device", diff.replaced.iter().map(arrow))?;
    section(out, "Moved", diff.moved.iter().map(moved))?;
    section(out, "Registers", diff.registers.iter().map(register))?;
    regrouped(out, "Isolation domains that changed", &diff.domains)?;
    regrouped(out, "Linux's groups, as predicted, that changed", &diff.groups)?;
    regrouped(out, "The kernel's groups that changed", &diff.kernel_groups)?;
    match &diff.pairs {
        Some(pairs) => effects(out, "Pairs that changed", pairs)?,
        None => writeln!(out, "\nPairs: {TOO_MANY}")?,
    }
    let finding = |change: &crate::report::json::FindingChangeDocument| {
        let what = match &change.message {
            Some(message) => clean(message).into_owned(),
            None => short(&change.functions),
        };
        format!("{} {}: {what}", change.change, change.code)
    };
    section(out, "Findings", diff.finding_changes.iter().map(finding))
}

fn register(change: &RegisterDocument) -> String {
    format!("{} {}: {} -> {}", change.function, change.register, change.was, change.is)
}

fn section(out: &mut impl Write, head: &str, lines: impl ExactSizeIterator<Item = String>) -> io::Result<()> {
    if lines.len() == 0 {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}{head}{BOLD:#}")?;
    let more = lines.len().saturating_sub(SHOWN);
    for line in lines.take(SHOWN) {
        writeln!(out, "  {line}")?;
    }
    if more > 0 {
        writeln!(out, "  and {more} more; --format json has all")?;
    }
    Ok(())
}

fn regrouped(out: &mut impl Write, head: &str, parts: &[RegroupedDocument]) -> io::Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}{head}{BOLD:#}")?;
    for part in parts.iter().take(SHOWN) {
        groups(out, "was", &part.before)?;
        groups(out, "is ", &part.after)?;
        cause(out, &part.cause)?;
    }
    if parts.len() > SHOWN {
        writeln!(out, "  and {} more; --format json has all", parts.len().saturating_sub(SHOWN))?;
    }
    Ok(())
}

/// One line a state: each group in braces.
pub(super) fn groups(out: &mut impl Write, word: &str, groups: &[Vec<String>]) -> io::Result<()> {
    let shown: Vec<String> = groups.iter().take(SHOWN).map(|group| format!("{{{}}}", short(group))).collect();
    let more = if groups.len() > SHOWN { " …" } else { "" };
    writeln!(out, "  {word} {}{more}", shown.join(" "))
}

/// Addresses that are shown of a list.
const LISTED: usize = 12;

/// A list of addresses, cut where it gets long.
pub(super) fn short(addresses: &[String]) -> String {
    listed(&addresses.iter().take(LISTED).collect::<Vec<_>>(), addresses.len())
}

/// The first addresses of a list, and how many there are in all.
fn listed(first: &[&String], count: usize) -> String {
    let text = first.iter().map(|address| address.as_str()).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(first.len()) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn cause(out: &mut impl Write, cause: &CauseDocument) -> io::Result<()> {
    let together = match (cause.each_alone, cause.registers.len()) {
        (true, _) | (false, 0 | 1) => "because of",
        (false, _) => "because of all these together",
    };
    for change in cause.registers.iter().take(SHOWN) {
        writeln!(out, "    {together}: {}", register(change))?;
    }
    if !cause.added.is_empty() {
        writeln!(out, "    because these came: {}", short(&cause.added))?;
    }
    if !cause.removed.is_empty() {
        writeln!(out, "    because these went: {}", short(&cause.removed))?;
    }
    if cause.registers.is_empty() && cause.added.is_empty() && cause.removed.is_empty() {
        writeln!(out, "    because of no function or register here: the device database, or the kernel")?;
    }
    Ok(())
}

/// Pairs that open or close; those of the same initiators that change alike in one line.
pub(super) fn effects(out: &mut impl Write, head: &str, effects: &[EffectDocument]) -> io::Result<()> {
    type Line = (&'static str, String, String);
    /// The first targets, how many there are, and how many pairs.
    type Towards<'e> = (Vec<&'e String>, usize, u64);
    let mut lines: Vec<(Line, Towards<'_>)> = Vec::new();
    let mut known: BTreeMap<Line, usize> = BTreeMap::new();
    for effect in effects {
        let turns: Vec<String> = effect
            .turns
            .iter()
            .map(|turn| format!("{} {} -> {} ({})", turn.tlp, turn.before, turn.after, turn.reason))
            .collect();
        let line = (effect.change, short(&effect.from), turns.join("; "));
        let at = *known.entry(line.clone()).or_insert(lines.len());
        if at == lines.len() {
            lines.push((line, (Vec::new(), 0, 0)));
        }
        if let Some((_, (first, count, pairs))) = lines.get_mut(at) {
            first.extend(effect.to.iter().take(LISTED.saturating_sub(first.len())));
            *count = count.saturating_add(effect.to.len());
            *pairs = pairs.saturating_add(effect.pairs);
        }
    }
    let line = |((change, from, turns), (first, count, pairs)): &(Line, Towards<'_>)| {
        format!("{change} {from} -> {} ({}): {turns}", listed(first, *count), count_pairs(*pairs))
    };
    section(out, head, lines.iter().map(line))
}

fn count_pairs(pairs: u64) -> String {
    if pairs == 1 { String::from("1 pair") } else { format!("{pairs} pairs") }
}
