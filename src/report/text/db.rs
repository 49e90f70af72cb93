//! `acsscan db`: the database and what it does.

use std::io::{self, Write};

use super::{BOLD, YELLOW, paragraph};
use crate::report::clean;
use crate::report::json::{
    AcceptanceDocument, DbExplainDocument, DbListDocument, DbLookupDocument, EntryDocument, FileDocument,
};

/// `db list`: the files, then each entry in one paragraph.
///
/// # Errors
///
/// Those of the writer.
pub fn db_list(out: &mut impl Write, width: Option<usize>, answer: &DbListDocument) -> io::Result<()> {
    db_files(out, width, &answer.files)?;
    entries(out, width, &answer.entries)?;
    acceptances(out, width, &answer.acceptances)
}

/// `db check`: each file, and what is wrong with it.
///
/// # Errors
///
/// Those of the writer.
pub fn db_files(out: &mut impl Write, width: Option<usize>, files: &[FileDocument]) -> io::Result<()> {
    for file in files {
        let name = if file.file.is_empty() { "(compiled in)" } else { &file.file };
        if file.problems.is_empty() {
            let text = format!("{} {name}: {}", file.layer, entry_count(file.entries));
            paragraph(out, width, 0, &clean(&text))?;
        }
        for problem in &file.problems {
            let at = match problem.line {
                0 => String::new(),
                line => format!(":{line}:{}", problem.column),
            };
            // Editors and compilers understand FILE:LINE:COLUMN at the beginning of a line.
            writeln!(out, "{}{at}: {YELLOW}wrong{YELLOW:#}: {}", clean(name), clean(&problem.message))?;
        }
    }
    Ok(())
}

fn entry_count(entries: usize) -> String {
    if entries == 1 { String::from("1 entry") } else { format!("{entries} entries") }
}

/// `db lookup`.
///
/// # Errors
///
/// Those of the writer.
pub fn db_lookup(out: &mut impl Write, width: Option<usize>, answer: &DbLookupDocument) -> io::Result<()> {
    if answer.entries.is_empty() && answer.acceptances.is_empty() {
        return writeln!(out, "{}: the database has nothing about it", clean(&answer.asked));
    }
    entries(out, width, &answer.entries)?;
    acceptances(out, width, &answer.acceptances)
}

/// `db explain`.
///
/// # Errors
///
/// Those of the writer.
pub fn db_explain(out: &mut impl Write, width: Option<usize>, answer: &DbExplainDocument) -> io::Result<()> {
    writeln!(out, "{BOLD}{}{BOLD:#} [{}]", answer.function, answer.ids)?;
    paragraph(out, width, 2, &format!("its registers: {}", answer.registers))?;
    paragraph(out, width, 2, &format!("what counts:   {}", answer.counts))?;
    if answer.entries.is_empty() && answer.acceptances.is_empty() {
        paragraph(out, width, 2, "the database has nothing about it")?;
    }
    for role in &answer.entries {
        writeln!(out, "\n{BOLD}{}{BOLD:#}: {}", role.role, role.message)?;
        entry(out, width, &role.entry)?;
    }
    acceptances(out, width, &answer.acceptances)
}

fn entries(out: &mut impl Write, width: Option<usize>, entries: &[EntryDocument]) -> io::Result<()> {
    for one in entries {
        writeln!(out)?;
        entry(out, width, one)?;
    }
    Ok(())
}

fn entry(out: &mut impl Write, width: Option<usize>, entry: &EntryDocument) -> io::Result<()> {
    writeln!(
        out,
        "{BOLD}{}{BOLD:#} {} ({})",
        clean(&entry.name),
        entry.kind,
        place(entry.layer, &entry.file)
    )?;
    for (what, text) in [("for", &entry.matches), ("says", &entry.claim), ("source", &entry.source)] {
        paragraph(out, width, 4, &clean(&format!("{what}: {text}")))?;
    }
    for condition in &entry.conditions {
        paragraph(out, width, 4, &clean(&format!("if: {condition}")))?;
    }
    paragraph(out, width, 4, &clean(&format!("why: {}", entry.reason)))
}

fn acceptances(out: &mut impl Write, width: Option<usize>, list: &[AcceptanceDocument]) -> io::Result<()> {
    for one in list {
        let until = one.until.as_ref().map_or(String::from("without end"), |until| format!("until {until}"));
        let place = place(one.layer, &one.file);
        let expired = if one.expired { "expired, has no effect: " } else { "" };
        writeln!(out, "\n{BOLD}{}{BOLD:#} accept ({place})", clean(&one.name))?;
        paragraph(out, width, 4, &clean(&format!("{expired}accepted (by {}, {until})", one.who)))?;
        let with = one.with.as_ref().map(|with| format!(", with {with} only")).unwrap_or_default();
        let what =
            if one.direct { "what is proved, and what is not known" } else { "only what is not known" };
        paragraph(out, width, 4, &clean(&format!("for: {}{with}; {what}", one.subject)))?;
        paragraph(out, width, 4, &clean(&format!("why: {}", one.reason)))?;
    }
    Ok(())
}

fn place(layer: &str, file: &str) -> String {
    if file.is_empty() { layer.to_owned() } else { clean(&format!("{layer}, {file}")).into_owned() }
}
