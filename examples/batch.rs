//! Goes through a directory of dumps, one line each: what an operator of many hosts starts with.
//!
//! `cargo run --example batch -- DIRECTORY`. A dump that cannot be read is said and does not stop the rest;
//! one host is in memory at a time.

use std::error::Error;
use std::fs;
use std::path::Path;

use acsscan::db::{self, Database};
use acsscan::dump::{self, Input, Options};
use acsscan::function::Inventory;
use acsscan::report::clean;
use acsscan::route::Assumptions;
use acsscan::route::domains::HeldBy;
use acsscan::route::fabric::Fabric;
use acsscan::topology::Topology;

/// One host: how many domains several functions share, and what holds them together.
fn host(path: &Path, database: &Database) -> Result<String, dump::Error> {
    let mut inventory = Inventory::new();
    let info = dump::read(&Input::Path(path.into()), &Options::default(), &mut inventory)?;
    let topology = Topology::new(inventory.finish());
    let fabric = Fabric::new(&topology, database);
    let domains = fabric.domains(&Assumptions::default());
    let held = |by| domains.iter().filter(|domain| domain.held_by() == Some(by)).count();
    Ok(format!(
        "{} functions, {} domains: {} direct, {} impersonation, {} unproven; {} problems",
        topology.functions().len(),
        domains.len(),
        held(HeldBy::Direct),
        held(HeldBy::Impersonation),
        held(HeldBy::Unproven),
        info.problems.len() + info.problems_left_out
    ))
}

fn batch(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let database = db::builtin()?;
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    // A name may hold anything, and goes to a terminal.
    let name = |path: &Path| clean(&path.file_name().unwrap_or_default().to_string_lossy()).into_owned();
    let line = |path: &Path| match host(path, &database) {
        Ok(said) => format!("{}: {said}", name(path)),
        Err(error) => format!("{}: not read: {error}", name(path)),
    };
    Ok(paths.iter().map(|path| line(path)).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: batch DIRECTORY")?;
    for line in batch(folder.as_ref())? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_that_cannot_be_read_does_not_stop_the_others() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("a.txt"), "Dear list,\n").expect("writable");
        let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt");
        fs::copy(dump, folder.path().join("b.txt")).expect("writable");
        let lines = batch(folder.path()).expect("lines");
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("a.txt: not read: "), "{}", lines[0]);
        assert_eq!(
            lines[1],
            "b.txt: 32 functions, 7 domains: 1 direct, 0 impersonation, 3 unproven; 0 problems"
        );
    }
}
