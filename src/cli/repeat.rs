//! What was typed, for commands that are to answer alike.

use std::path::Path;

use super::args::{Common, RootComplexArg};
use crate::report::clean;
use crate::report::html::Commands;

/// Stands for what-if options that are too long.
const WHAT_IF: &str = "WHAT-IF";
/// Bytes that what-if options may have.
const LONGEST: usize = 2_000;

/// The options that make a command see what this one saw, and judge it alike.
pub(super) fn options(common: &Common) -> Commands {
    let what_if = what_if(common);
    let shortened = what_if.len() > LONGEST;
    let what_if = if shortened { format!(" {WHAT_IF}") } else { what_if };
    Commands {
        options: [source(common), what_if, judgement(common)].concat(),
        instead_of_overlays: shortened.then_some(WHAT_IF),
    }
}

fn source(common: &Common) -> String {
    let mut line = Line::default();
    match common.dump.as_ref().and_then(Option::as_deref) {
        Some(path) if path.as_os_str() == "-" => line.push("--dump SOURCE"),
        Some(path) => line.path("--dump", path, "SOURCE"),
        None if common.sysfs_root != Path::new("/sys") => {
            line.path("--sysfs-root", &common.sysfs_root, "DIR");
        }
        None => {}
    }
    if let Some(format) = common.input_format {
        line.option("--input-format", format.word(), "FORMAT");
    }
    if let Some(address) = &common.at {
        line.option("--at", address, "ADDR");
    }
    for (name, number) in [("--segment", common.segment), ("--start-bus", u32::from(common.start_bus))] {
        if number != 0 {
            line.option(name, &format!("{number:x}"), "");
        }
    }
    for (limit, value) in &common.limits {
        line.option("--limit", &format!("{}={value}", limit.word()), "");
    }
    line.0
}

fn what_if(common: &Common) -> String {
    let overlays = &common.overlays;
    let mut line = Line::default();
    overlays.remove.iter().for_each(|name| line.option("--remove", name, "ADDR"));
    overlays.relocate.iter().for_each(|text| line.option("--move", text, "ADDR=PORT"));
    match &overlays.enable_acs {
        Some(Some(version)) => line.option("--enable-acs", version, "VERSION"),
        Some(None) => line.push("--enable-acs"),
        None => {}
    }
    if let Some(parameters) = &overlays.kernel_params {
        line.option("--kernel-params", parameters, "PARAMETERS");
    }
    if let Some(path) = &overlays.firmware {
        line.path("--firmware", path, "DUMP");
    }
    overlays.set.iter().for_each(|text| line.option("--set", text, "ADDR=CHANGES"));
    line.0
}

fn judgement(common: &Common) -> String {
    let mut line = Line::default();
    common.db.iter().for_each(|path| line.path("--db", path, "FILE"));
    for (is, option) in [
        (common.no_default_db, "--no-default-db"),
        (matches!(common.root_complex, RootComplexArg::Unknown), "--root-complex unknown"),
        (common.count_relaxed_and_io, "--count-relaxed-and-io"),
        (common.distrust_routing_ids, "--distrust-routing-ids"),
    ] {
        if is {
            line.push(option);
        }
    }
    line.0
}

/// Options as a shell takes them, each after a space.
#[derive(Default)]
struct Line(String);

impl Line {
    fn push(&mut self, words: &str) {
        self.0.push(' ');
        self.0.push_str(words);
    }

    /// An option with its value; with `placeholder`, where no text on a page could be typed as that value.
    fn option(&mut self, name: &str, value: &str, placeholder: &str) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-=".contains(c);
        let value = match value {
            text if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
            text if clean(text) != text || text.contains([char::REPLACEMENT_CHARACTER, '\n', '\t']) => {
                placeholder.to_owned()
            }
            text => format!("'{}'", text.replace('\'', r"'\''")),
        };
        // The value of --enable-acs may be left out, so that it stands behind an equals sign.
        let between = if name == "--enable-acs" { '=' } else { ' ' };
        self.push(&format!("{name}{between}{value}"));
    }

    fn path(&mut self, name: &str, path: &Path, placeholder: &str) {
        self.option(name, &path.to_string_lossy(), placeholder);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::Cli;
    use super::*;

    fn repeated(line: &[&str]) -> Commands {
        let cli = Cli::try_parse_from([&["acsscan"], line].concat()).expect("valid");
        options(&cli.common)
    }

    #[test]
    fn what_was_typed_is_repeated_so_that_a_shell_takes_it_as_it_was() {
        let line = [
            "--dump",
            "a b's.txt",
            "--start-bus",
            "80",
            "--remove",
            "00:02.0",
            "--enable-acs=6.12",
            "--kernel-params",
            "pci=config_acs=x1@00:02.0;1x@00:03.0",
            "--set",
            "00:1c.0=+ReqRedir",
            "--db",
            "lab.toml",
            "--root-complex",
            "unknown",
        ];
        let told = repeated(&line);
        assert_eq!(told.instead_of_overlays, None);
        assert_eq!(
            told.options,
            " --dump 'a b'\\''s.txt' --start-bus 80 --remove 00:02.0 --enable-acs=6.12 --kernel-params \
             'pci=config_acs=x1@00:02.0;1x@00:03.0' --set 00:1c.0=+ReqRedir --db lab.toml --root-complex unknown"
        );
        let script = format!("printf '%s\\n'{}", told.options);
        let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
        let words = String::from_utf8(output.stdout).expect("text");
        assert_eq!(words.lines().collect::<Vec<_>>(), line);
    }

    #[test]
    fn what_cannot_be_typed_or_is_too_long_has_a_placeholder() {
        assert_eq!(repeated(&[]).options, "");
        assert_eq!(repeated(&["--dump", "-"]).options, " --dump SOURCE");
        assert_eq!(repeated(&["--dump", "a\u{1b}[2J\u{202e}"]).options, " --dump SOURCE");
        let many = ["--set", "00:1c.0=+ReqRedir"].repeat(200);
        let told = repeated(&many);
        assert_eq!((told.options.as_str(), told.instead_of_overlays), (" WHAT-IF", Some("WHAT-IF")));
    }
}
