//! `report`: one page for a browser.

use std::io::{self, Write};

use clap::Args;

use super::args::{Common, OutputFormat};
use super::file::To;
use super::output::{self, Answers};
use super::reach::assumptions;
use super::{Exit, Stop, input, repeat};
use crate::report::html;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;

/// Options of `report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    #[command(flatten)]
    pub(super) to: To,
}

/// Writes the page to standard output: a file is written by [`file`](super::file).
pub(super) fn run(common: &Common) -> Result<Exit, Stop> {
    if common.format != OutputFormat::Text {
        let text = "report writes a page; acsscan --format json writes the same for programs";
        return Err(Stop::Usage(String::from(text)));
    }
    let scanned = input::read(common, true)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), None);
    let names = output::names(common)?;
    let mut page = Vec::new();
    html::write(&mut page, &answers.view(&names, None), &repeat::options(common))?;
    io::stdout().lock().write_all(&page)?;
    let exit = answers.exit(common, None);
    if exit == Exit::Inconclusive {
        eprintln!(
            "acsscan: something that the answer needs is not in the dump: the page names it among its findings"
        );
    }
    Ok(exit)
}
