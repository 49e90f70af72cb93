//! `acsscan report`: one page that holds everything, for a browser.
//!
//! What is text is put into `page.html` by a template that escapes. What is looked at by clicking is JSON in
//! a `script` element, from which `page.js` makes elements with text, never with markup. The page loads
//! nothing from anywhere, and its policy forbids it to.
//!
//! The page is bounded: functions that are alike share a row, what repeats stands in tables, and each part
//! has a limit in bytes. What is left out is said, with the command that tells it.

mod bonds;
mod embed;
mod routes;
mod rows;
mod sections;

use std::fmt;
use std::io::{self, Write};

use askama::Template;
use serde::Serialize;

use super::text::View;
use bonds::Bonds;
use routes::Reach;
use rows::Hierarchy;
use sections::Sections;

use crate::route::Assumptions;
use crate::route::domains::Domains;
use crate::route::fabric::Fabric;
use crate::route::linux::Grouping;
use crate::topology::{FunctionIndex, Topology};

/// What commands on the page need to answer as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// Options as a shell takes them, each after a space; harmless text.
    pub options: String,
    /// What stands in `options` for the what-if options, if they are too long to be repeated.
    pub instead_of_overlays: Option<&'static str>,
}

/// Writes the page.
///
/// # Errors
///
/// Those of the writer.
pub fn write(out: &mut impl Write, view: &View<'_>, commands: &Commands) -> io::Result<()> {
    let inputs = Inputs { view, commands };
    let matrix = inputs.fabric().matrix(&[], inputs.assumptions());
    let mut hierarchy = Hierarchy::new(&inputs, matrix.as_ref().ok());
    let mut reach = Reach::new(&inputs, matrix.as_ref().map_err(|error| error.classes));
    let bonds = Bonds::new(&inputs, &mut reach);
    let sections = Sections::new(&inputs);
    let told = [embed::json(&hierarchy), embed::json(&reach), embed::json(&bonds)];
    let told = told.iter().fold(sections.bytes(), |sum, part| sum.saturating_add(part.len()));
    hierarchy.add_registers(&inputs, SIZE.saturating_sub(told));
    let data = Data { options: &commands.options, hierarchy, reach, bonds };
    let page = Page {
        sections,
        css: include_str!("page.css"),
        script: include_str!("page.js"),
        data: embed::json(&data),
    };
    page.write_into(out)?;
    out.write_all(b"\n")
}

/// Bytes that a page has at most, or little more.
const SIZE: usize = 4_500_000;

#[derive(Template)]
#[template(path = "page.html", config = "src/report/html/askama.toml")]
struct Page<'a> {
    sections: Sections,
    css: &'a str,
    script: &'a str,
    data: String,
}

/// What the page's script works on.
#[derive(Serialize)]
struct Data<'a> {
    /// Options that make `acsscan` answer as the page does.
    options: &'a str,
    hierarchy: Hierarchy,
    reach: Reach,
    bonds: Bonds,
}

/// What the page is made of.
struct Inputs<'a> {
    view: &'a View<'a>,
    commands: &'a Commands,
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

impl Inputs<'_> {
    fn topology(&self) -> &Topology {
        self.view.linux.topology()
    }

    fn fabric(&self) -> &Fabric<'_> {
        self.view.reach.fabric
    }

    fn domains(&self) -> &Domains {
        self.view.reach.domains
    }

    fn grouping(&self) -> &Grouping {
        self.view.grouping
    }

    fn assumptions(&self) -> &Assumptions {
        self.domains().assumptions()
    }
}

/// Functions (sorted) in words: three neighbours and more as `0000:01:00.0 to 0000:01:00.7 (8)`; of a long
/// list the first ones.
fn ranges(topology: &Topology, functions: &[FunctionIndex]) -> String {
    const SHOWN: usize = 12;
    let address = |index: FunctionIndex| super::words::address(topology, index);
    let follows = |a: &FunctionIndex, b: &FunctionIndex| {
        a.checked_add(1) == Some(*b) && topology.bus_of(*a) == topology.bus_of(*b)
    };
    let mut pieces = Vec::new();
    let mut told = 0_usize;
    for run in functions.chunk_by(follows) {
        if pieces.len() >= SHOWN {
            break;
        }
        match run {
            [first, _, .., last] => {
                pieces.push(format!("{} to {} ({})", address(*first), address(*last), run.len()));
            }
            _ => pieces.extend(run.iter().map(|index| address(*index))),
        }
        told = told.saturating_add(run.len());
    }
    match functions.len().saturating_sub(told) {
        0 => pieces.join(", "),
        more => format!("{} and {more} more", pieces.join(", ")),
    }
}
