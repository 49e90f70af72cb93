//! `report`: one page for a browser.

use std::path::PathBuf;

use clap::Args;

use super::args::{Common, OutputFormat};
use super::output::{self, Answers, Target};
use super::reach::assumptions;
use super::{Exit, Stop, input, repeat};
use crate::report::html;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;

/// Options of `report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Where to write; - for standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(common: &Common, arguments: &Report) -> Result<Exit, Stop> {
    if common.format != OutputFormat::Text {
        let text = "report writes a page; acsscan --format json writes the same for programs";
        return Err(Stop::Usage(String::from(text)));
    }
    let target = Target::new(&arguments.output, arguments.force)?;
    let scanned = input::read(common, true)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), None);
    let names = output::names(common)?;
    let mut page = Vec::new();
    html::write(&mut page, &answers.view(&names, None), &repeat::options(common))?;
    target.write(&page)?;
    Ok(answers.exit(common, None))
}
