//! Writes what a package ships beside the program: manual pages and completions.
//!
//! `cargo run --example make_assets --features testkit -- OUT` writes `OUT/man/*.1` and
//! `OUT/completions/`. Both come from the command line itself, so that they cannot be out of step.

use std::error::Error;
use std::fs;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).ok_or("usage: make_assets OUT")?;
    let (man, completions) = (Path::new(&out).join("man"), Path::new(&out).join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut acsscan::cli::command(), "acsscan", &completions)?;
    }
    let mut command = acsscan::cli::command().disable_help_subcommand(true);
    command.build();
    let pages = pages(&command, "acsscan");
    let names: Vec<String> = pages.iter().map(|(_, name)| name.clone()).collect();
    for (command, name) in &pages {
        let others: Vec<String> = names.iter().filter(|other| *other != name).cloned().collect();
        page(command, name, &others, &man)?;
    }
    Ok(())
}

/// A command and all below it, with the names of their pages.
fn pages<'a>(command: &'a Command, name: &str) -> Vec<(&'a Command, String)> {
    let below = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    let below = below.flat_map(|verb| pages(verb, &format!("{name}-{}", verb.get_name())));
    std::iter::once((command, name.to_owned())).chain(below).collect()
}

/// One manual page: what clap knows, and the blocks of the help's end as sections of their own.
fn page(command: &Command, name: &str, see_also: &[String], folder: &Path) -> Result<(), Box<dyn Error>> {
    let man = Man::new(command.clone().display_name(name))
        .title(name.to_uppercase())
        .source(concat!("acsscan ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    let after = command.get_after_long_help().or(command.get_after_help());
    for (heading, lines) in blocks(&after.map(ToString::to_string).unwrap_or_default()) {
        let heading = heading.to_uppercase();
        roff.control("SH", [heading.as_str()]).control("nf", []);
        roff.text(lines.into_iter().map(|line| roman(format!("{line}\n"))).collect::<Vec<_>>());
        roff.control("fi", []);
    }
    let mut others = Vec::new();
    for other in see_also {
        others.extend([bold(other), roman("(1), ")]);
    }
    others.extend([bold("lspci"), roman("(8)")]);
    roff.control("SH", ["SEE ALSO"]).text(others);
    roff.to_writer(&mut text)?;
    // As groff names them: it reads no UTF-8 by itself.
    let plain: String = String::from_utf8_lossy(&text)
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) })
        .collect();
    fs::write(folder.join(format!("{name}.1")), plain)?;
    Ok(())
}

/// The end of a help: lines that stand at the margin and end with a colon are headings.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match (line.strip_suffix(':'), blocks.last_mut()) {
            (Some(heading), _) if !line.starts_with(' ') => blocks.push((heading.to_owned(), Vec::new())),
            (_, Some((_, lines))) => lines.push(line.strip_prefix("  ").unwrap_or(line).to_owned()),
            (_, None) => blocks.push((String::from("Notes"), vec![line.to_owned()])),
        }
    }
    blocks
}
