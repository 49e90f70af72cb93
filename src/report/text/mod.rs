//! Text for people. Colour only ever repeats what a word says.

mod check;
mod clique;
mod db;
mod diff;
mod domains;
mod dot;
mod explain;
mod fleet;
mod groups;
mod matrix;
mod p2p;
mod plan;
mod scan;
mod show;
mod summary;
mod tree;

pub use check::check;
pub use clique::cliques;
pub use db::{db_explain, db_files, db_list, db_lookup};
pub use diff::diff;
pub use dot::dot;
pub use explain::explain;
pub use fleet::{fleet, fleet_line};
pub use groups::{domain_groups, domains_against, groups, libvirt_groups, partitions_against};
pub use matrix::matrix;
pub use p2p::p2p;
pub use plan::plan;
pub use scan::{scan, scan_line};
pub use show::show;
pub use summary::summary;
pub use tree::tree;

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::names::Names;
use super::{Lazy, Reach, Source, clean, words};
use crate::finding::{Finding, Severity, count};
use crate::kernel::{Iommu, Mode};
use crate::route::linux::{Grouping, Linux};
use crate::topology::{FunctionIndex, Topology};

/// Everything that a text report is made of.
pub struct View<'a> {
    /// Where the functions came from.
    pub source: &'a Source,
    /// The kernel's view of them.
    pub linux: &'a Linux<'a>,
    /// The groups.
    pub grouping: Lazy<'a, Grouping>,
    /// The hierarchy as transactions see it, and the domains.
    pub reach: Reach<'a>,
    /// The findings.
    pub findings: Lazy<'a, Vec<Finding>>,
    /// How functions are named.
    pub names: &'a Names,
    /// Columns of the terminal; `None` where lines are not to be wrapped.
    pub width: Option<usize>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("source", self.source).finish_non_exhaustive()
    }
}

/// Headings.
const BOLD: Style = Style::new().bold();
/// Lines of overlays that are shown at most; JSON has all.
const OVERLAYS: usize = 40;

/// What-if overlays, a line each: the first thing that an answer says, for it is about no machine that there
/// is.
///
/// # Errors
///
/// Those of the writer.
pub fn as_if(out: &mut impl Write, overlays: &[String]) -> io::Result<()> {
    for (n, line) in overlays.iter().take(OVERLAYS).enumerate() {
        let head = if n == 0 { "As if   " } else { "        " };
        writeln!(out, "{YELLOW}{head}{YELLOW:#}{}", clean(line))?;
    }
    match overlays.len().saturating_sub(OVERLAYS) {
        0 => Ok(()),
        more => writeln!(out, "        and {more} more; --format json has all"),
    }
}

/// What is worth a look.
const YELLOW: Style = AnsiColor::Yellow.on_default();

impl View<'_> {
    fn topology(&self) -> &Topology {
        self.linux.topology()
    }

    /// `0000:00:1c.0`.
    fn address(&self, index: FunctionIndex) -> String {
        words::address(self.topology(), index)
    }

    fn index_of(&self, address: &str) -> Option<FunctionIndex> {
        self.topology().index_of(address.parse().ok()?)
    }

    /// Address, name, driver.
    fn line(&self, index: FunctionIndex) -> String {
        let attributes = self.topology().inventory().attributes(index);
        let driver = attributes.and_then(|known| known.driver.as_deref());
        let driver = driver.map(|driver| format!("  (driver {})", clean(driver))).unwrap_or_default();
        format!("{} {}{driver}", self.address(index), self.names.function(self.topology(), index))
    }

    /// Whether there is an IOMMU: without one, nothing else matters.
    fn host(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(host) = &self.source.host else { return Ok(()) };
        let units = host.iommus.as_deref().unwrap_or_default().join(", ");
        let units = if units.is_empty() { units } else { format!(" ({units})") };
        let iommu = match host.iommu(self.topology()) {
            Iommu::InUse => format!("IOMMU in use{units}"),
            Iommu::Off => String::from("IOMMU off: nothing can be assigned safely"),
            Iommu::Absent => String::from("no IOMMU: nothing can be assigned safely"),
            Iommu::Unknown => String::from("whether an IOMMU is in use is not known"),
        };
        let mode = match host.mode() {
            None => "",
            Some(Mode::Translated) => ", the host's own traffic translated",
            Some(Mode::PassThrough) => ", the host's own traffic passes untranslated",
            Some(Mode::Mixed) => ", the host's own traffic translated in part",
        };
        let is_of_cmdline = |finding: &&Finding| finding.code.as_str().starts_with("cmdline-");
        let cmdline = match self.findings.iter().filter(is_of_cmdline).count() {
            0 => String::new(),
            n => format!("; {} about the kernel's command line", count(n, "finding")),
        };
        writeln!(out, "{BOLD}Host{BOLD:#}    {}{mode}{cmdline}", clean(&iommu))
    }

    /// Where the functions came from, how many, and whether anything was missing.
    fn source(&self, out: &mut impl Write) -> io::Result<()> {
        let functions = self.topology().functions();
        let incomplete = functions.iter().filter(|function| !function.is_complete()).count();
        let complete = match incomplete {
            0 if self.source.has_losses() => String::from("not all that there is"),
            0 => String::from("complete"),
            n if n == functions.len() => String::from("none of them known whole"),
            n => format!("{n} of them not known whole"),
        };
        let Source { kind, path, part, kernel, .. } = self.source;
        let part = part.as_deref().map(|part| format!(", {}", clean(part))).unwrap_or_default();
        let kernel = kernel.as_deref().map(|kernel| format!(", Linux {}", clean(kernel))).unwrap_or_default();
        let total = count(functions.len(), "function");
        writeln!(out, "{BOLD}Source{BOLD:#}  {} ({kind}{part}{kernel}): {total}, {complete}", clean(path))?;
        for problem in &self.source.problems {
            self.paragraph(out, 8, &clean(&problem.text))?;
        }
        Ok(())
    }

    /// The findings, each with what to do about it.
    fn findings(&self, out: &mut impl Write) -> io::Result<()> {
        if self.findings.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{BOLD}Findings{BOLD:#}")?;
        for finding in &**self.findings {
            let style = match finding.code.severity() {
                Severity::Error => AnsiColor::Red.on_default().bold(),
                Severity::Warning => YELLOW,
                Severity::Note => Style::new().dimmed(),
            };
            let severity = finding.code.severity();
            writeln!(out, "{style}{severity}{style:#} {}", finding.code.as_str())?;
            let shown: Vec<String> = finding.functions.iter().take(8).map(ToString::to_string).collect();
            let more = finding.functions.len().saturating_sub(shown.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let colon = if shown.is_empty() { "" } else { ": " };
            let text = format!("{}{more}{colon}{}", shown.join(", "), clean(&finding.message));
            self.paragraph(out, 4, &text)?;
            for evidence in &finding.evidence {
                let text = format!("{}: {evidence}", evidence.function());
                self.paragraph(out, 6, &clean(&text))?;
            }
            if !finding.code.advice().is_empty() {
                self.paragraph(out, 4, &format!("→ {}", finding.code.advice()))?;
            }
        }
        Ok(())
    }

    /// One paragraph, indented, wrapped to the terminal.
    fn paragraph(&self, out: &mut impl Write, indent: usize, text: &str) -> io::Result<()> {
        paragraph(out, self.width, indent, text)
    }
}

/// One paragraph, indented, wrapped to so many columns if there is a limit.
fn paragraph(out: &mut impl Write, width: Option<usize>, indent: usize, text: &str) -> io::Result<()> {
    let spaces = " ".repeat(indent);
    let Some(width) = width else { return writeln!(out, "{spaces}{text}") };
    let hanging = " ".repeat(indent.saturating_add(2));
    let options = textwrap::Options::new(width.max(40)).initial_indent(&spaces).subsequent_indent(&hanging);
    for line in textwrap::wrap(text, options.break_words(false)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
