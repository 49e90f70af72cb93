//! `acsscan plan`: what to write, for people.

use std::io::{self, Write};

use super::BOLD;
use super::diff::{TOO_MANY, effects, groups, short};
use crate::finding::count;
use crate::report::json::{ObstacleDocument, PlanDocument};

/// The plan, its lines, its side effects, its undo.
///
/// # Errors
///
/// Those of the writer.
pub fn plan(out: &mut impl Write, plan: &PlanDocument) -> io::Result<()> {
    let verb = if plan.goal == "isolate" { "keep apart from all others" } else { "let reach each other" };
    writeln!(out, "{BOLD}Goal{BOLD:#}    {verb}: {}", short(&plan.functions))?;
    for assumption in &plan.assumptions {
        writeln!(out, "Assumed {assumption}")?;
    }
    match plan.outcome {
        "reached" => writeln!(out, "reached already: nothing has to change")?,
        "inconclusive" => writeln!(
            out,
            "not known whether it is reached: as far as the dump tells, and under what is assumed, nothing has to \
             change"
        )?,
        "impossible" => writeln!(out, "no change of registers reaches it")?,
        _ => {
            let (functions, bits) =
                (count(plan.changed_functions, "function"), count(plan.changed_bits as usize, "bit"));
            let smallest =
                if plan.proved_smallest { "no smaller plan does" } else { "not proved to be the smallest" };
            writeln!(out, "{functions}, {bits}; {smallest}. Nothing was written: the lines below do it.")?;
        }
    }
    lines(out, "What the answer lacks", &plan.missing)?;
    obstacles(out, &plan.obstacles)?;
    if plan.writes.is_empty() {
        return connections(out, plan);
    }
    writeln!(out, "\n{BOLD}What changes{BOLD:#}")?;
    for write in &plan.writes {
        writeln!(out, "  {} {}: {}", write.function, write.register, write.bits)?;
    }
    lines(out, "Now, until something changes it back", &plan.setpci)?;
    lines(out, "To undo that", &plan.undo)?;
    match (&plan.parameters, plan.no_parameters) {
        (Some(parameters), _) => {
            writeln!(out, "\n{BOLD}At each boot{BOLD:#} (Linux 6.11 and later)")?;
            writeln!(out, "  kernel command line  {}", parameters.plain)?;
            writeln!(
                out,
                "  Debian               /etc/default/grub.d/acsscan.cfg with this line, then update-grub:"
            )?;
            writeln!(out, "    {}", parameters.grub)?;
            writeln!(out, "                       undone by removing the file, and update-grub")?;
            writeln!(out, "  RHEL, Fedora         {}", parameters.grubby)?;
            writeln!(out, "                       undone by {}", parameters.grubby_undo)?;
            if let Some(older) = &parameters.disable_acs_redir {
                writeln!(out, "  Linux 4.19 to 6.10   {older}")?;
            }
        }
        (None, Some(why)) => {
            writeln!(out, "\n{BOLD}At each boot{BOLD:#}\n  a script with the lines above: {why}")?
        }
        (None, None) => {}
    }
    lines(out, "Mind", &plan.warnings)?;
    for (head, parts) in
        [("Domains", &plan.domains), ("Linux's groups, once it forms them anew", &plan.groups)]
    {
        if !parts.is_empty() {
            writeln!(out, "\n{BOLD}{head}{BOLD:#}")?;
        }
        for part in parts {
            groups(out, "now ", &part.before)?;
            groups(out, "then", &part.after)?;
        }
    }
    match &plan.pairs {
        Some(pairs) => effects(out, "Every pair that changes, the goal's included", pairs)?,
        None => writeln!(out, "\nPairs: {TOO_MANY}")?,
    }
    connections(out, plan)
}

fn lines(out: &mut impl Write, head: &str, lines: &[String]) -> io::Result<()> {
    if !lines.is_empty() {
        writeln!(out, "\n{BOLD}{head}{BOLD:#}")?;
    }
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn obstacles(out: &mut impl Write, obstacles: &[ObstacleDocument]) -> io::Result<()> {
    const SHOWN: usize = 24;
    if !obstacles.is_empty() {
        writeln!(out, "\n{BOLD}What stands in the way{BOLD:#}")?;
    }
    for obstacle in obstacles.iter().take(SHOWN) {
        let at = obstacle.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        let what = obstacle.tlp.unwrap_or(obstacle.reason);
        writeln!(
            out,
            "  {} -> {}, {what}: {}{at}: {}",
            obstacle.from, obstacle.to, obstacle.disposition, obstacle.message
        )?;
        writeln!(out, "    {}", obstacle.remedy)?;
    }
    match obstacles.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => writeln!(out, "  and {more} more; --format json has all"),
        _ => Ok(()),
    }
}

fn connections(out: &mut impl Write, plan: &PlanDocument) -> io::Result<()> {
    const SHOWN: usize = 24;
    if !plan.connections.is_empty() {
        writeln!(out, "\n{BOLD}Then{BOLD:#}")?;
    }
    for connection in plan.connections.iter().take(SHOWN) {
        let (before, after) = (&connection.p2pdma_before, &connection.p2pdma_after);
        writeln!(
            out,
            "  {} -> {}: the kernel's peer-to-peer DMA: {} -> {}, {}",
            connection.from, connection.to, before.map_type, after.map_type, after.message
        )?;
        for gate in &connection.closed_gates {
            let state = if gate.open.is_some() { "shut" } else { "not known" };
            writeln!(out, "    {} of {} is {state} as configured", gate.gate, gate.function)?;
        }
    }
    Ok(())
}
