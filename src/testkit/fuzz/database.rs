//! A database file, and what its entries do to a machine.
//!
//! Input: the file.

use std::string::String;

use super::judge;
use crate::db::{self, Database, Layer};
use crate::route::linux::Linux;
use crate::testkit::{Config, Machine};

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match db::parse(&text, Layer::CommandLine, "own.toml") {
        Ok(own) => {
            let topology = machine().topology();
            let builtin = db::builtin().expect("good");
            let mut both = own;
            both.entries.extend(builtin.entries().iter().cloned());
            let database = Database::from(both);
            judge::judge(&topology, &database, "database");
            // The kernel has not read the file.
            let without = Linux::new(&topology, &builtin).group();
            let with = Linux::new(&topology, &database).group();
            assert_eq!(without.group_of, with.group_of, "an entry of one's own moved the kernel");
        }
        Err(error) => {
            let text = std::format!("{error}");
            assert!(text.len() < 64 * 1024 && !text.is_empty(), "{} bytes", text.len());
            let shown = crate::report::clean(&text);
            assert_eq!(judge::harmless(&shown), None, "{text:?}");
        }
    }
}

/// What entries are often about: a root port, a multi-function device, a switch.
pub(super) fn machine() -> Machine {
    let mut machine = Machine::new()
        .with("00:00.0", Config::conventional().class(0x0600))
        .with("00:01.0", Config::root_port(1, 1).ids(0x8086, 0x1901))
        .with("00:02.0", Config::root_port(2, 4).acs(0x1f, 0x1d, 0))
        .with("01:00.0", Config::endpoint().ids(0x8086, 0x10c9).multi_function())
        .with("01:00.1", Config::endpoint().ids(0x8086, 0x10c9).multi_function())
        .with("02:00.0", Config::upstream(3, 4).ids(0x1b21, 0x1184))
        .with("03:01.0", Config::downstream(1, 4, 4).ids(0x1b21, 0x1184))
        .with("04:00.0", Config::endpoint().ids(0x1af4, 0x1041));
    machine.root(0, 0);
    machine
}
