//! The lazy reader of hex text finds what the reader finds that checks every line: on every dump at hand,
//! and on dumps that were damaged at random.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use acsscan::dump::{self, Format, Input, Options, SourceInfo};
use acsscan::function::Inventory;
use acsscan::testkit::generate::{self, Random, Set, Size};
use acsscan::testkit::lazy::agrees;
use support::{files, plain, shared, subdirectories};

#[test]
fn every_dump_at_hand_reads_alike() {
    let (mut texts, mut sound) = (0, 0);
    let mut check = |path: &Path| {
        let text = fs::read(path).expect("readable");
        if text.windows(5).any(|line| line == b"\n00: ") {
            texts += 1;
            sound += usize::from(agrees(&text));
        }
    };
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")) {
        check(&path);
    }
    if let Some(realworld) = shared("realworld") {
        files(&realworld).iter().for_each(|path| check(path));
    }
    if let Some(oracle) = shared("oracle") {
        let scratch = tempfile::tempdir().expect("a directory");
        for set in subdirectories(&oracle) {
            check(&plain(&set, "lspci-xxxx.txt", scratch.path()).expect("every set has text"));
        }
    }
    println!("{texts} texts, {sound} of them undamaged");
    assert!(sound > 10 && sound < texts);
}

/// A few functions with 4096, 256 and 64 bytes, with decoded lines between.
fn dump() -> Vec<u8> {
    let mut text = Vec::new();
    let nodes = generate::machine(Set::Regular, Size::S, 3);
    generate::text(&nodes[..3], 3, &mut text).expect("written");
    let line = |from: &[u8], lines: usize| -> Vec<u8> {
        from.split_inclusive(|byte| *byte == b'\n').take(lines).flatten().copied().collect()
    };
    let (short, middle) = (line(&text, 5), line(&text, 17));
    text.extend(b"00:1e.0 Class 0200: x\n\tKernel driver in use: y\n");
    text.extend(&middle[middle.iter().position(|byte| *byte == b'\n').expect("a line") + 1..]);
    text.extend(b"\n01:");
    text.extend(&short[short.windows(4).position(|at| at == b"00.0").expect("an address")..]);
    text.push(b'\n');
    text
}

#[test]
fn damaged_text_reads_alike_wherever_the_damage_is_seen() {
    let whole = dump();
    assert!(agrees(&whole));
    let mut random = Random::new(9, 0);
    let mut sound = 0;
    const ROUNDS: usize = 1500;
    for _ in 0..ROUNDS {
        let mut text = whole.clone();
        for _ in 0..1 + random.below(3) {
            damage(&mut text, &mut random);
        }
        sound += usize::from(agrees(&text));
    }
    println!("{sound} of {ROUNDS} undamaged");
    assert!(sound > ROUNDS / 20 && sound < ROUNDS * 19 / 20);
}

fn damage(text: &mut Vec<u8>, random: &mut Random) {
    let mut place = |length: usize| random.below(u32::try_from(length).expect("short")) as usize;
    let at = place(text.len());
    // Most of the damage near lines that decoding reads.
    let at = if place(2) == 0 { at } else { at % 900 };
    let line = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let next = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end + 1);
    match place(9) {
        0 => text[at] = b"0f \n:gA\r"[place(8)],
        1 => drop(text.drain(line..next)),
        2 => {
            let again = text[line..next].to_vec();
            text.splice(line..line, again);
        }
        3 => drop(text.drain(at..(at + 1 + place(60)).min(text.len()))),
        4 => drop(text.splice(at..at, *b"pcilib: read failed\n")),
        5 => text[line..next].make_ascii_uppercase(),
        6 => text.truncate(at),
        7 => *text = String::from_utf8_lossy(text).replace('\n', "\r\n").into_bytes(),
        // A digit for a digit: no damage to the form.
        _ if text[at].is_ascii_digit() => text[at] = b'7',
        _ => {}
    }
}

/// All that was found, and what is told of it but where it is from.
fn found(info: SourceInfo, inventory: Inventory) -> (String, String) {
    let told = format!("{:#?}", (info.kind, info.records, info.problems, info.problems_left_out, info.host));
    (format!("{:?}", inventory.finish()), told)
}

/// Large files are read in parts by several threads, streams by one.
#[test]
fn a_large_text_reads_alike_as_a_file_and_as_a_stream() {
    let written = |set: Set| {
        let mut text = Vec::new();
        generate::text(&generate::machine(set, Size::S, 5), 5, &mut text).expect("written");
        assert!(text.len() > 8 << 20);
        text
    };
    let regular = written(Set::Regular);
    let mut random = Random::new(11, 0);
    let mut damaged = regular.clone();
    // Letters that are none, line ends gone, a line of more than any buffer.
    for _ in 0..200 {
        let at = random.below(u32::try_from(damaged.len()).expect("small")) as usize;
        damaged[at] = *b"g\n 0".get(random.below(4) as usize).expect("there");
    }
    let middle = damaged.len() / 2;
    damaged.splice(middle..middle, std::iter::repeat_n(b'x', 3 << 20));
    let mut prose = regular.clone();
    let at = prose.len() - 3_000_000;
    prose.splice(at..at, *b"\n\nthis is no hex\n\n");
    // As lspci -vv -xxxx: what it decodes before the hex, and of every third function the first 256 bytes alone.
    let mut decoded = Vec::new();
    let (mut functions, mut lines) = (0, 0);
    for line in regular.split_inclusive(|byte| *byte == b'\n') {
        let is_header = line.get(7) == Some(&b':') && line.get(10) == Some(&b'.');
        (functions, lines) = (functions + u32::from(is_header), if is_header { 0 } else { lines + 1 });
        if functions % 3 != 0 || lines <= 16 || line == b"\n" {
            decoded.extend_from_slice(line);
        }
        if is_header {
            decoded.extend_from_slice(b"\tControl: I/O+ Mem+ BusMaster-\n\tKernel driver in use: some\n");
        }
    }
    let cases = [
        ("regular", regular.clone()),
        ("damaged", damaged),
        ("out of order", written(Set::Shuffled)),
        ("twice", regular.repeat(2)),
        ("the second half first", [&regular[regular.len() / 2..], &regular[..regular.len() / 2]].concat()),
        ("prose within", prose),
        ("decoded", decoded),
        ("lines of Windows", regular.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..])),
        ("without a line end", regular[..regular.len() - 40].to_vec()),
    ];
    for (name, text) in cases {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&text).expect("written");
        let is_strict = matches!(name, "damaged" | "decoded");
        for (functions, strict) in [(1 << 20, is_strict), (700, false)] {
            let mut options = Options::default();
            (options.limits.functions, options.strict) = (functions, strict);
            let mut inventory = Inventory::new();
            let info = dump::read_stream(text.as_slice(), "x", &options, &mut inventory).expect("a dump");
            let streamed = found(info, inventory);
            options.threads = 4;
            let mut inventory = Inventory::new();
            let input = Input::Path(file.path().to_path_buf());
            let info = dump::read(&input, &options, &mut inventory).expect("a dump");
            let read = found(info, inventory);
            assert_eq!(read.1, streamed.1, "{name}");
            assert!(read.0 == streamed.0, "{name}: functions differ");
            assert_eq!(functions == 700, read.1.contains("functions=VALUE"), "{name}");
        }
    }
}

#[test]
fn a_large_image_reads_alike_in_parts_and_mapped() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let nodes = generate::machine(Set::Regular, Size::S, 5);
    generate::ecam(&nodes, 5, 0, true, file.as_file()).expect("written");
    let size = file.as_file().metadata().expect("known").len();
    assert!(size > 8 << 20, "{size}");
    // Pages of another kind where parts begin, more than problems are kept.
    for page in (0..size / 4096).filter(|page| page % 1024 < 400 || page % 7 == 0) {
        let bytes: &[u8] = if page % 2 == 0 { &[0, 0, 0, 0, 5] } else { &[0xff; 64] };
        file.as_file().write_all_at(bytes, page * 4096).expect("written");
    }
    let read = |threads: u8, mmap: bool, functions: u64| {
        let mut options = Options::default();
        (options.threads, options.mmap, options.limits.functions) = (threads, mmap, functions);
        options.format = Some(Format::Ecam);
        let mut inventory = Inventory::new();
        let input = Input::Path(file.path().to_path_buf());
        let info = dump::read(&input, &options, &mut inventory).expect("an image");
        let records = info.records;
        (records, found(info, inventory))
    };
    for functions in [1 << 20, 100] {
        let alone = read(1, false, functions);
        assert!(alone.0 >= 100, "{}", alone.0);
        for (threads, mmap) in [(2, false), (4, false), (1, true)] {
            assert!(read(threads, mmap, functions) == alone, "{threads} threads, {functions} functions");
        }
    }
}
