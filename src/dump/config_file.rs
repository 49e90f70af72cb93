//! One function's configuration space as a file of its own.

use std::fs::File;
use std::path::Path;

use super::Delivery;
use super::Options;
use super::error::Error;
use super::name::address_of;
use super::on_demand::read_full_at;
use crate::config::SIZE;
use crate::function::{Attributes, Sink};

/// One byte more than a function has, to notice that there is more.
pub(super) const BUFFER: usize = SIZE as usize + 1;

/// Reads a file whose name carries the address, or that `--at` gives one to.
pub(super) fn read<K: Sink>(
    file: &File,
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    let mut buffer = [0; BUFFER];
    let length = read_full_at(file, &mut buffer, 0).map_err(|error| Error::io(path, error))?;
    if length == BUFFER {
        let size = file.metadata().map_or(0, |metadata| metadata.len()).max(BUFFER as u64);
        return Err(Error::ConfigSize { path: path.to_path_buf(), size });
    }
    deliver(buffer.get(..length).unwrap_or_default(), path, options, delivery)
}

/// Delivers these bytes as one function.
pub(super) fn deliver<K: Sink>(
    bytes: &[u8],
    path: &Path,
    options: &Options,
    delivery: &mut Delivery<'_, K>,
) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(Error::Empty { path: path.to_path_buf() });
    }
    if bytes.len() > usize::from(SIZE) {
        return Err(Error::ConfigSize { path: path.to_path_buf(), size: bytes.len() as u64 });
    }
    let Some(address) = options.at.or_else(|| address_of(path)) else {
        return Err(Error::NoAddress { path: path.to_path_buf() });
    };
    delivery.record(address, bytes, Attributes::of_config_file(bytes.len()));
    Ok(())
}
