//! `acsscan p2p --cliques`: what a guest may be told, for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::finding::count;
use crate::report::json::{CliqueDocument, CliquePairDocument, CliquesDocument};

/// Lines of one kind that are shown at most.
const SHOWN: usize = 24;

/// The cliques with the arguments that give a guest their functions, then what keeps others out.
///
/// # Errors
///
/// Those of the writer.
pub fn cliques(out: &mut impl Write, view: &View<'_>, cliques: &CliquesDocument) -> io::Result<()> {
    view.source(out)?;
    for assumption in &cliques.assumptions {
        view.paragraph(out, 0, &format!("Assumed {assumption}"))?;
    }
    for clique in &cliques.cliques {
        one(out, view, clique)?;
    }
    if cliques.cliques.is_empty() {
        writeln!(out, "\nno two of these functions may be told that they reach each other")?;
    }
    if cliques.cliques.iter().any(|clique| clique.number.is_none() && takes_number(clique)) {
        view.paragraph(
            out,
            0,
            "All 16 numbers are taken: they tell cliques of one guest apart only, so give them guest by guest",
        )?;
    }
    if !cliques.alone.is_empty() {
        writeln!(out, "\n{BOLD}In no clique{BOLD:#}  {}", cliques.alone.join(", "))?;
    }
    if !cliques.parted.is_empty() {
        writeln!(out)?;
        let more = cliques.parted.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let pairs: Vec<String> =
            cliques.parted.iter().take(SHOWN).map(|[a, b]| format!("{a} and {b}")).collect();
        let text = format!(
            "{YELLOW}parted{YELLOW:#}: {}{more} reach each other but are in different cliques, as others of these do \
             not; chosen step by step, other cliques may join more",
            pairs.join(", ")
        );
        view.paragraph(out, 0, &text)?;
    }
    hindrances(out, view, &cliques.pairs)
}

fn takes_number(clique: &CliqueDocument) -> bool {
    clique.functions.iter().filter(|member| member.takes_number).count() > 1
}

fn one(out: &mut impl Write, view: &View<'_>, clique: &CliqueDocument) -> io::Result<()> {
    let name = clique.number.map_or_else(|| String::from("without a number"), |number| number.to_string());
    let way = match clique.way {
        "translated" => "by translated requests (ATS), below the root complex",
        "host-bridge" => "through the IOMMU and the root complex, which the kernel lists as passing it",
        _ => "through the IOMMU and AMD's root complex, taken to be of Zen or later, which passes it",
    };
    writeln!(out, "\n{BOLD}Clique {name}{BOLD:#}  {}, {way}", count(clique.functions.len(), "function"))?;
    for member in &clique.functions {
        let name = view
            .topology()
            .index_of(member.function.parse().unwrap_or_default())
            .map(|index| view.names.function(view.topology(), index));
        writeln!(out, "  {} {}", member.function, name.unwrap_or_default())?;
    }
    writeln!(out, "  QEMU")?;
    clique.functions.iter().try_for_each(|member| writeln!(out, "    {}", member.qemu))?;
    writeln!(out, "  Cloud Hypervisor")?;
    clique.functions.iter().try_for_each(|member| writeln!(out, "    {}", member.cloud_hypervisor))?;
    if !takes_number(clique) {
        writeln!(out, "  numbers are for two display controllers of NVIDIA or more: QEMU refuses others")?;
    }
    Ok(())
}

/// What keeps pairs apart, each reason once with its first pair.
fn hindrances(out: &mut impl Write, view: &View<'_>, pairs: &[CliquePairDocument]) -> io::Result<()> {
    let mut told: BTreeMap<(Option<&str>, &str), (&CliquePairDocument, usize)> = BTreeMap::new();
    for pair in pairs {
        if let Some(hindrance) = &pair.hindrance {
            let key = (hindrance.at.as_deref(), hindrance.message.as_str());
            let (_, pairs) = told.entry(key).or_insert((pair, 0));
            *pairs = pairs.saturating_add(1);
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}What stands between the others{BOLD:#}")?;
    for ((at, message), (pair, pairs)) in told.iter().take(SHOWN) {
        let [a, b] = &pair.functions;
        let more = match pairs.saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {}", count(more, "other pair")),
        };
        let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
        let what = if pair.works == "no" { "no" } else { "not known" };
        view.paragraph(out, 2, &format!("{a} and {b}{more}: {what}{at}: {message}"))?;
    }
    match told.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "  and {}; --format json has all", count(more, "more reason")),
    }
}
