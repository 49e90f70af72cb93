//! What an input is: by its content first, by its name and size where bytes alone do not tell.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::error::{Error, Unsupported};
use super::files::Files;
use super::lines::{BYTE_ORDER_MARK, Window};
use super::{Delivery, Format, Options, config_file, ecam, parts, sysfs, text, tree};
#[cfg(feature = "archive")]
use super::{archive, rdma_topo};
use crate::function::Sink;

/// How much of a stream is looked at.
pub(super) const PREFIX: usize = 4096;

/// Reads a file or directory.
pub(super) fn read_path<K: Sink>(
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let failed = |error| Error::io(path, error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return read_directory(path, options, delivery);
    }
    let file = File::open(path).map_err(failed)?;
    if !metadata.is_file() {
        return read_stream(file, path, options, delivery);
    }
    // The size that the open file has: the name may have changed hands meanwhile.
    let size = file.metadata().map_err(failed)?.len();
    match options.format {
        Some(Format::Config) => {
            config_file::read(&file, path, options, delivery)?;
            return Ok(Format::Config);
        }
        Some(Format::Ecam) => {
            ecam::read(&file, size, path, options, delivery)?;
            return Ok(Format::Ecam);
        }
        Some(Format::LspciHex | Format::LspciText) if parts::count(size, delivery.threads) > 1 => {
            return text::read_file(&file, size, path, delivery);
        }
        Some(_) => return read_stream(file, path, options, delivery),
        None => {}
    }
    let mut window = Window::new(&file);
    let prefix = window.look_ahead(PREFIX).map_err(failed)?;
    let known = Content::of(prefix.get(..PREFIX).unwrap_or(prefix));
    let named = options.at.is_some() || super::name::address_of(path).is_some();
    if matches!(known, Content::Text) && parts::count(size, delivery.threads) > 1 {
        return text::read_file(&file, size, path, delivery);
    }
    let one_function = matches!(size, 64 | 256 | 4096) || (named && size <= u64::from(crate::config::SIZE));
    match known {
        // The bytes of one function may begin like an archive: the first two are its vendor.
        Content::Binary if one_function => config_file::read(&file, path, options, delivery)?,
        Content::Archive(_) if one_function && named => config_file::read(&file, path, options, delivery)?,
        Content::Binary if size > 4096 && ecam::is_plausible(&file, size, path)? => {
            if size % 4096 != 0 {
                return Err(Error::EcamSize { path: path.to_path_buf(), size });
            }
            ecam::read(&file, size, path, options, delivery)?;
            return Ok(Format::Ecam);
        }
        Content::Binary if named => return Err(Error::ConfigSize { path: path.to_path_buf(), size }),
        _ => return read_window(window, path, options, delivery),
    }
    Ok(Format::Config)
}

/// Reads a directory.
fn read_directory<K: Sink>(
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let failed = |error| Error::io(path, error);
    let real = fs::canonicalize(path).map_err(failed)?;
    let files = Files::directory(sysfs::root_above(&real).unwrap_or(path)).map_err(failed)?;
    match options.format {
        Some(Format::Sysfs) => {
            let root = sysfs::find(&files, Path::new("")).unwrap_or_default();
            sysfs::read_copy(&files, &root, delivery)?;
            Ok(Format::Sysfs)
        }
        None | Some(Format::Tree | Format::Config) => tree::read(&files, delivery),
        Some(wanted) => Err(Error::WrongFormat { path: path.to_path_buf(), wanted, found: "a directory" }),
    }
}

/// Reads standard input, a pipe or a device.
pub(super) fn read_stream<R: Read, K: Sink>(
    input: R,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let mut window = Window::new(input);
    window.look_ahead(PREFIX).map_err(|error| Error::io(path, error))?;
    read_window(window, path, options, delivery)
}

/// Reads what can only be read from the start to the end.
pub(super) fn read_window<R: Read, K: Sink>(
    mut window: Window<R>,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let unsupported = |what| Err(Error::unsupported(path, what));
    let prefix = window.ahead();
    let empty = prefix.is_empty();
    match (options.format, Content::of(prefix.get(..PREFIX).unwrap_or(prefix))) {
        (Some(wanted @ (Format::Sysfs | Format::Tree)), _) => {
            return Err(Error::WrongFormat { path: path.to_path_buf(), wanted, found: "no directory" });
        }
        #[cfg(feature = "archive")]
        (None | Some(Format::Archive), Content::Archive(what)) if archive::reads(what) => {
            return archive::read(window, path, options, delivery);
        }
        (Some(wanted @ Format::Archive), Content::Text | Content::Binary | Content::Other(_)) => {
            return Err(Error::WrongFormat { path: path.to_path_buf(), wanted, found: "no archive" });
        }
        (Some(Format::Archive), Content::Archive(what)) => return unsupported(what),
        #[cfg(feature = "archive")]
        (None, Content::Other(Unsupported::RdmaTopo)) | (Some(Format::RdmaTopo), _) => {
            rdma_topo::read(window, path, delivery)?;
            return Ok(Format::RdmaTopo);
        }
        #[cfg(not(feature = "archive"))]
        (Some(Format::RdmaTopo), _) => return unsupported(Unsupported::RdmaTopo),
        (Some(Format::Ecam), _) => return unsupported(Unsupported::EcamStream),
        _ if empty => return Err(Error::Empty { path: path.to_path_buf() }),
        (Some(Format::LspciHex | Format::LspciText), _) => {}
        (Some(Format::Config), _) => return read_config(window, path, options, delivery),
        (None, Content::Archive(what) | Content::Other(what)) => return unsupported(what),
        (None, Content::Binary) => {
            let window_holds_all = {
                window.look_ahead(PREFIX.saturating_add(1)).map_err(|error| Error::io(path, error))?;
                window.is_last()
            };
            let size = window.ahead().len();
            if window_holds_all && (options.at.is_some() || matches!(size, 64 | 256 | 4096)) {
                return read_config(window, path, options, delivery);
            }
            return Err(Error::Binary { path: path.to_path_buf() });
        }
        (None, Content::Text) => {}
    }
    text::read(window, path, delivery)
}

fn read_config<R: Read, K: Sink>(
    mut window: Window<R>,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<Format, Error> {
    let bytes = window.look_ahead(PREFIX.saturating_add(1)).map_err(|error| Error::io(path, error))?;
    config_file::deliver(bytes, path, options, delivery)?;
    Ok(Format::Config)
}

/// What the first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text,
    Binary,
    Archive(Unsupported),
    Other(Unsupported),
}

impl Content {
    /// Judges the first [`PREFIX`] bytes of an input.
    pub(super) fn of(prefix: &[u8]) -> Self {
        const MAGIC: [(usize, &[u8], Unsupported); 7] = [
            (0, b"\x1f\x8b", Unsupported::Gzip),
            (0, b"\xfd7zXZ\x00", Unsupported::Xz),
            (0, b"BZh", Unsupported::Bzip2),
            (0, b"\x28\xb5\x2f\xfd", Unsupported::Zstd),
            (0, b"PK\x03\x04", Unsupported::Zip),
            (0, b"PK\x05\x06", Unsupported::Zip),
            (257, b"ustar", Unsupported::Tar),
        ];
        // A window holds more or less of the input, as the reads came.
        let prefix = prefix.get(..PREFIX).unwrap_or(prefix);
        let starts = |at: usize, magic: &[u8]| prefix.get(at..).is_some_and(|rest| rest.starts_with(magic));
        if let Some((_, _, what)) = MAGIC.iter().find(|(at, magic, _)| starts(*at, magic)) {
            return Self::Archive(*what);
        }
        if is_utf_16(prefix) {
            return Self::Other(Unsupported::Utf16);
        }
        if !is_text(prefix) {
            return Self::Binary;
        }
        match is_rdma_topo(prefix) {
            true => Self::Other(Unsupported::RdmaTopo),
            false => Self::Text,
        }
    }
}

/// Whether it is JSON with the packed configuration space of a function, or with what stands beside it.
fn is_rdma_topo(prefix: &[u8]) -> bool {
    let json = prefix.strip_prefix(BYTE_ORDER_MARK).unwrap_or(prefix).trim_ascii_start();
    if !matches!(json.first(), Some(b'{' | b'[')) {
        return false;
    }
    let values = |key: &'static [u8]| {
        memchr::memmem::find_iter(json, key).filter_map(move |at| {
            let value = json.get(at.checked_add(key.len())?..)?.trim_ascii_start().strip_prefix(b":")?;
            Some(value.trim_ascii_start())
        })
    };
    // zlib begins with 78h, which base64 makes an e.
    let is_packed = |value: &[u8]| value.starts_with(b"\"e");
    let is_function = |value: &[u8]| value.starts_with(b"\"/sys/devices/");
    values(b"\"config\"").any(is_packed)
        || (values(b"\"config\"").next().is_some() && values(b"\"realpath\"").any(is_function))
}

/// Whether this is UTF-16 with its byte order mark and a Latin letter or digit behind it.
fn is_utf_16(prefix: &[u8]) -> bool {
    matches!(prefix, [0xff, 0xfe, 1..=0x7f, 0, ..] | [0xfe, 0xff, 0, 1..=0x7f, ..])
}

/// Whether a person could have written it: no NUL, hardly a control character. Old encodings pass.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let strange = |byte: &&u8| matches!(byte, 0..=8 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f | 0xff);
    !bytes.contains(&0) && bytes.iter().filter(strange).count().saturating_mul(32) <= bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;
    use std::format;
    use std::path::PathBuf;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn stream(bytes: &[u8], options: &Options) -> Result<Format, Error> {
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        read_stream(bytes, Path::new("-"), options, &mut delivery)
    }

    fn config() -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[..4].copy_from_slice(&[0x86, 0x80, 0x34, 0x12]);
        bytes
    }

    fn in_file(name: &str, bytes: &[u8], options: &Options) -> Result<Format, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        let path: PathBuf = directory.path().join(name);
        fs::write(&path, bytes).expect("written");
        let mut inventory = Inventory::new();
        let mut delivery = Delivery::new(&mut inventory);
        read_path(&path, options, &mut delivery)
    }

    #[test]
    fn archives_are_named_and_the_way_out_is_told() {
        for (bytes, what, word) in [
            #[cfg(not(feature = "archive"))]
            (&b"BZh91AY"[..], Unsupported::Bzip2, "bzip2-compressed archive: unpack it first"),
            #[cfg(not(feature = "archive"))]
            (b"\x1f\x8b\x08", Unsupported::Gzip, "gzip"),
            (&b"PK\x03\x04"[..], Unsupported::Zip, "zip"),
            (b"\xff\xfe0\x000\0", Unsupported::Utf16, "UTF-16"),
            #[cfg(not(feature = "archive"))]
            (b"{\"0000:00:00.0\": {\"config\": \"eJw\"}}", Unsupported::RdmaTopo, "rdma_topo"),
        ] {
            let error = stream(bytes, &Options::default()).expect_err("not read");
            assert!(matches!(error, Error::Unsupported { what: found, .. } if found == what), "{error}");
            assert!(error.to_string().contains(word) && !error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn json_is_a_dump_of_rdma_topo_only_with_configuration_space_in_it() {
        for (text, is_dump) in [
            (r#"[{"realpath": "/sys/devices/pci0000:00/0000:00:01.0", "config": "x"}]"#, true),
            ("\u{feff}[ {\"config\" : \"eJw\"}]", true),
            (r#"{"config": {"a": 1}}"#, false),
            (r#"{"configuration": "eJw", "name": "x"}"#, false),
            (r#"[{"realpath": "/home", "config": "yes"}]"#, false),
        ] {
            let found = Content::of(text.as_bytes()) == Content::Other(Unsupported::RdmaTopo);
            assert_eq!(found, is_dump, "{text}");
        }
    }

    #[test]
    fn bytes_of_one_function_need_an_address_and_no_more_than_4096() {
        let at = Options { at: "00:1f.0".parse().ok(), ..Options::default() };
        assert!(matches!(stream(&config(), &Options::default()), Err(Error::NoAddress { .. })));
        assert!(matches!(stream(&config(), &at), Ok(Format::Config)));
        assert!(matches!(in_file("x.bin", &config(), &Options::default()), Err(Error::NoAddress { .. })));
        assert!(matches!(in_file("x.bin", &config(), &at), Ok(Format::Config)));
        assert!(matches!(
            in_file("0000:00:1f.0.bin", &config()[..77], &Options::default()),
            Ok(Format::Config)
        ));
        assert!(matches!(
            in_file("0000:00:1f.0.bin", &[0; 4097], &at),
            Err(Error::ConfigSize { size: 4097, .. })
        ));
    }

    #[test]
    fn a_vendor_that_looks_like_an_archive_is_no_archive() {
        let mut bytes = config();
        bytes[..2].copy_from_slice(b"\x1f\x8b");
        assert!(matches!(in_file("0000:00:1f.0.bin", &bytes, &Options::default()), Ok(Format::Config)));
    }

    #[test]
    fn noise_emptiness_and_prose_are_told_apart() {
        let noise: Vec<u8> = (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let default = Options::default();
        assert!(matches!(in_file("x", &noise, &default), Err(Error::Binary { .. })));
        assert!(matches!(in_file("x", &noise.repeat(4096)[..8192], &default), Err(Error::Binary { .. })));
        assert!(matches!(in_file("x", b"", &default), Err(Error::Empty { .. })));
        assert!(matches!(in_file("x", b"prose\n", &default), Err(Error::NoRecord { .. })));
        assert!(matches!(stream(b"", &default), Err(Error::Empty { .. })));
        let program = fs::read(std::env::current_exe().expect("known")).expect("read");
        assert!(matches!(in_file("x", &program[..1 << 16], &default), Err(Error::Binary { .. })));
        assert!(matches!(stream(&noise, &default), Err(Error::Binary { .. })));
        let missing =
            read_path(Path::new("/nowhere/at/all"), &default, &mut Delivery::new(&mut Inventory::new()));
        assert!(matches!(missing, Err(Error::NotFound { .. })));
    }

    #[test]
    fn a_forced_format_wins_over_what_it_looks_like() {
        let forced =
            |format| Options { format: Some(format), at: "00:1f.0".parse().ok(), ..Options::default() };
        assert!(matches!(in_file("x", b"plain text", &forced(Format::Config)), Ok(Format::Config)));
        assert!(matches!(in_file("x", &config(), &forced(Format::LspciHex)), Err(Error::NoRecord { .. })));
        assert!(matches!(in_file("x", b"text", &forced(Format::Tree)), Err(Error::WrongFormat { .. })));
        assert!(matches!(
            in_file("x", &config(), &forced(Format::Ecam)),
            Err(Error::EcamEmpty { .. }) | Ok(_)
        ));
        assert!(matches!(in_file("x", b"text", &forced(Format::Archive)), Err(Error::WrongFormat { .. })));
        assert!(in_file("x", b"text", &forced(Format::RdmaTopo)).is_err());
    }

    #[test]
    fn text_under_the_name_of_a_function_is_read_as_text() {
        let text = format!("00:1f.0 ISA: x\n00:{}\n", " 11".repeat(16));
        assert!(matches!(
            in_file("0000:00:1f.0.txt", text.as_bytes(), &Options::default()),
            Ok(Format::LspciHex)
        ));
    }
}
