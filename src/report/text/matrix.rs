//! `acsscan p2p --matrix`: classes against classes.

use std::io::{self, Write};

use super::{BOLD, View, YELLOW};
use crate::report::clean;
use crate::report::json::accepted_cell;
use crate::route::Disposition;
use crate::route::matrix::{Matrix, Relation};

/// The classes with their members, then what each reaches that is not kept apart from it, then how many
/// cells are isolated.
///
/// # Errors
///
/// Those of the writer.
pub fn matrix(out: &mut impl Write, view: &View<'_>, matrix: &Matrix) -> io::Result<()> {
    view.source(out)?;
    view.domain_summary(out)?;
    writeln!(out)?;
    for (id, class) in matrix.classes.iter().enumerate() {
        let shown: Vec<String> = class.members.iter().take(8).map(|index| view.address(*index)).collect();
        let more = class.members.len().saturating_sub(shown.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let text = format!("{BOLD}class {id}{BOLD:#} {}: {}{more}", class.label.word(), shown.join(", "));
        view.paragraph(out, 0, &text)?;
    }
    writeln!(out)?;
    let mut isolated = 0_usize;
    for cell in &matrix.cells {
        if cell.isolates() {
            isolated = isolated.saturating_add(1);
            continue;
        }
        let how = match cell.relation {
            Relation::SameDevice => String::from("within one device"),
            Relation::SameBus => String::from("on one bus"),
            Relation::BridgesOfOneDevice => format!("behind functions of one device{}", level(cell.level)),
            Relation::Apart => format!("behind different ports{}", level(cell.level)),
            Relation::OtherRootBus => String::from("below different root buses"),
        };
        let style = if cell.disposition == Disposition::Direct { YELLOW } else { anstyle::Style::new() };
        let accepted = accepted_cell(&view.reach, matrix, cell);
        let accepted = accepted.map(|accepted| format!("; {}", clean(&accepted.to_string())));
        let forged = match cell.impersonation {
            Some(true) => "; may use their requester IDs",
            None => "; may perhaps use their requester IDs",
            Some(false) => "",
        };
        let text = format!(
            "class {} to class {}, {how}: {style}{}{style:#}: {}, {}{forged}{}",
            cell.from,
            cell.to,
            cell.disposition,
            cell.tlp.words(),
            cell.reason,
            accepted.unwrap_or_default()
        );
        view.paragraph(out, 0, &text)?;
    }
    writeln!(out, "{isolated} of {} cells are isolated", matrix.cells.len())
}

/// Where the ways part, on other buses than root buses.
fn level(bridges: u8) -> String {
    match bridges {
        0 => String::from(" on a root bus"),
        1 => String::from(" below 1 bridge"),
        n => format!(" below {n} bridges"),
    }
}
