//! Writes many hosts to a directory, made from a few dumps: copies with other bus numbers, and outliers.
//!
//! `cargo run --release --features testkit --example make_fleet -- HOSTS DIRECTORY DUMP...`
//!
//! Host n is dump n modulo their number, as text of lspci -xxxx, with the buses behind root ports moved up
//! by one of eight distances. Hosts 17, 34 and 51 have one ACS control off, one function less, or another
//! device ID. The names of these are printed. Hosts that are the same are one file on disk.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use acsscan::addr::Sbdf;
use acsscan::config::Source;
use acsscan::dump::{self, Input, Options};
use acsscan::function::{HostBridge, Record, Sink};

/// The bytes of each function.
type Bytes = Vec<(Sbdf, Vec<u8>)>;

#[derive(Default)]
struct Machine(Bytes);

impl Sink for Machine {
    fn record<S: Source>(&mut self, record: Record<'_, S>) {
        let bytes = (0..record.config.extent()).map(|at| record.config.u8(at).unwrap_or(0));
        self.0.push((record.address, bytes.collect()));
    }

    fn host_bridge(&mut self, _: HostBridge) {}
}

/// Moves all buses but 0 up, if there is room.
fn renumber(machine: &mut Bytes, distance: u8) {
    let last = machine.iter().map(|(address, bytes)| {
        let subordinate = bytes.get(0x1a).filter(|_| is_bridge(bytes)).copied().unwrap_or(0);
        address.bus().max(subordinate)
    });
    if u16::from(last.max().unwrap_or(0)) + u16::from(distance) > 255 {
        return;
    }
    let moved = |bus: u8| if bus == 0 { 0 } else { bus + distance };
    for (address, bytes) in machine {
        let devfn = address.bdf.devfn();
        if let Some(new) = Sbdf::new(address.segment.0, moved(address.bus()), devfn >> 3, devfn & 7) {
            *address = new;
        }
        if is_bridge(bytes) {
            bytes.iter_mut().skip(0x18).take(3).for_each(|bus| *bus = moved(*bus));
        }
    }
}

fn is_bridge(bytes: &[u8]) -> bool {
    bytes.len() >= 64 && bytes[0x0e] & 0x7f == 1
}

/// Offset of the ACS structure, if the extended list leads to one.
fn acs(bytes: &[u8]) -> Option<usize> {
    let mut at = 0x100;
    for _ in 0..960 {
        let header = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        if header & 0xffff == 0x000d {
            return Some(at);
        }
        at = (header >> 20) as usize;
    }
    None
}

/// Makes the host different from all others; says how.
fn spoil(machine: &mut Bytes, how: usize) -> Option<&'static str> {
    match how {
        0 => {
            let port = machine.iter_mut().find_map(|(_, bytes)| acs(bytes).map(|at| (at, bytes)))?;
            let (at, bytes) = port;
            bytes[at + 6] ^= 0x04;
            Some("ReqRedir turned over")
        }
        1 => {
            machine.pop()?;
            Some("last function missing")
        }
        _ => {
            let (_, bytes) = machine.last_mut()?;
            bytes[2] ^= 1;
            Some("another device ID")
        }
    }
}

fn text(machine: &Bytes) -> String {
    let mut text = String::new();
    for (address, bytes) in machine {
        let _ = writeln!(text, "{address} Class 0000: made");
        for (line, row) in bytes.chunks(16).enumerate() {
            let _ = write!(text, "{:02x}:", line * 16);
            row.iter().for_each(|byte| {
                let _ = write!(text, " {byte:02x}");
            });
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn make(hosts: usize, directory: &Path, sources: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut machines = Vec::new();
    for source in sources {
        let mut machine = Machine::default();
        dump::read(&Input::Path(source.clone()), &Options::default(), &mut machine)?;
        machines.push(machine.0);
    }
    fs::create_dir_all(directory)?;
    let mut written: BTreeMap<(usize, usize), PathBuf> = BTreeMap::new();
    for n in 0..hosts {
        let (which, distance) = (n % machines.len(), n / machines.len() % 8);
        let path = directory.join(format!("host{n:06}.txt"));
        let outlier = (n > 0 && n % 17 == 0 && n / 17 <= 3).then(|| n / 17 - 1);
        if let (None, Some(same)) = (outlier, written.get(&(which, distance))) {
            fs::hard_link(same, &path)?;
            continue;
        }
        let mut machine = machines[which].clone();
        renumber(&mut machine, distance as u8 * 3);
        match outlier {
            Some(how) => {
                let what = spoil(&mut machine, how).ok_or("a dump has no ACS")?;
                println!("{}: {what}", path.display());
            }
            None => {
                written.insert((which, distance), path.clone());
            }
        }
        fs::write(path, text(&machine))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [hosts, directory, sources @ ..] = arguments.as_slice() else {
        return Err("usage: see above".into());
    };
    let hosts = hosts.to_str().and_then(|text| text.parse().ok()).ok_or("HOSTS is a number")?;
    if sources.is_empty() {
        return Err("name a dump".into());
    }
    make(hosts, directory, sources)
}
