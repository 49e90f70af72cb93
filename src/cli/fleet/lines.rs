//! Where lines go, and what a file of an earlier run has already.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Deserialize;

use super::tally::{Line, Tally};
use crate::cli::Stop;
use crate::finding::Severity;
use crate::report::clean;

/// What a run begins with.
#[derive(Default)]
pub(super) struct Start {
    /// Where lines go, if anywhere.
    pub(super) out: Option<Box<dyn Write>>,
    /// Hosts that are done.
    pub(super) done: HashSet<String>,
}

/// What every line has.
#[derive(Deserialize)]
struct Head {
    schema: String,
    host: String,
    run: String,
    kind: String,
}

fn stop(path: &Path, error: &io::Error) -> Stop {
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "; --resume goes on with it",
        _ => "",
    };
    Stop::Input(format!("{}: cannot write: {error}{hint}", path.display()))
}

/// A new file.
pub(super) fn create(path: &Path) -> Result<Start, Stop> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.map_err(|error| stop(path, &error))?;
    Ok(Start { out: Some(Box::new(BufWriter::new(file))), ..Start::default() })
}

/// Goes on with a file, or begins it: what was cut off at its end is removed, the hosts before are done.
/// With rows the last host may lack some, and is done again.
pub(super) fn resume(
    path: &Path,
    rows: bool,
    run: &str,
    tally: &mut Tally,
    fail_on: Option<Severity>,
) -> Result<Start, Stop> {
    let failed = |error: io::Error| stop(path, &error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let (done, end) = read(&file, path, rows, run, tally, fail_on)?;
    file.set_len(end).map_err(failed)?;
    file.seek(SeekFrom::Start(end)).map_err(failed)?;
    Ok(Start { out: Some(Box::new(BufWriter::new(file))), done })
}

/// The hosts that are done, and where their lines end.
fn read(
    file: &File,
    path: &Path,
    rows: bool,
    run: &str,
    tally: &mut Tally,
    fail_on: Option<Severity>,
) -> Result<(HashSet<String>, u64), Stop> {
    let mut reader = BufReader::new(file);
    let mut done = HashSet::new();
    let (mut end, mut number) = (0_u64, 0_usize);
    // With rows: the last host, where its rows begin, whether it could not be read.
    let mut last: Option<(String, u64, bool)> = None;
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text).map_err(|error| stop(path, &error))?;
        number = number.saturating_add(1);
        // Without its line end it was cut off, and is no line.
        if text.pop() != Some(b'\n') {
            break;
        }
        let refuse = |why: &dyn std::fmt::Display| {
            let why = clean(&why.to_string()).into_owned();
            Stop::Input(format!(
                "{}: line {number} is none of acsscan fleet with these options: {why}; name another file",
                path.display()
            ))
        };
        let head: Head = serde_json::from_slice(&text).map_err(|error| refuse(&error))?;
        if head.schema != crate::report::json::SCHEMA {
            return Err(refuse(&format!("schema {}", head.schema)));
        }
        if head.run != run {
            return Err(refuse(&"another version, or other options or databases"));
        }
        let is_host = matches!(head.kind.as_str(), "fleet-host" | "error");
        if is_host == rows && head.kind != "error" {
            return Err(refuse(&format!("kind {}", head.kind)));
        }
        if rows {
            if last.as_ref().is_none_or(|(host, ..)| *host != head.host) {
                if let Some((host, _, failed)) = last.replace((head.host, end, head.kind == "error")) {
                    done.insert(host);
                    tally.skip(failed);
                }
            }
        } else {
            let line: Line = serde_json::from_slice(&text).map_err(|error| refuse(&error))?;
            done.insert(head.host);
            tally.add(line, None, fail_on);
        }
        end = end.saturating_add(length as u64);
    }
    Ok((done, last.map_or(end, |(_, start, _)| start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn row(host: &str, n: u8) -> String {
        format!(
            "{{\"schema\":\"acsscan/1\",\"host\":\"{host}\",\"run\":\"r\",\"kind\":\"fleet-domain\",\"domain\":{n}}}\n"
        )
    }

    #[test]
    fn a_cut_line_is_removed_and_the_rows_of_the_last_host_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rows");
        let whole = [row("a", 1), row("a", 2), row("b", 1)].concat();
        fs::write(&path, format!("{whole}{}", &row("b", 2)[..20])).expect("written");
        let start = resume(&path, true, "r", &mut Tally::default(), None).expect("good");
        assert_eq!(start.done, HashSet::from([String::from("a")]));
        drop(start);
        assert_eq!(fs::read_to_string(&path).expect("there"), [row("a", 1), row("a", 2)].concat());
    }

    #[test]
    fn what_is_no_output_of_this_verb_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes");
        for text in
            ["my notes\n", "{\"schema\":\"other/1\",\"host\":\"a\",\"kind\":\"error\"}\n", &row("a", 1)]
        {
            fs::write(&path, text).expect("written");
            assert!(matches!(resume(&path, false, "r", &mut Tally::default(), None), Err(Stop::Input(_))));
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
    }
}
