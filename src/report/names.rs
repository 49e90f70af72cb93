//! Names of vendors, devices and classes, from the system's `pci.ids`.

use std::path::{Path, PathBuf};

use pciid_parser::Database;

use super::clean;
use crate::config::ClassCode;
use crate::function::Function;
use crate::limits::{Limit, Limits};
use crate::topology::{FunctionIndex, Topology};

/// The files that names are read from: this one, or those of the system. Some may not exist.
#[must_use]
pub fn files(own: Option<&Path>) -> Vec<PathBuf> {
    match own {
        Some(own) => vec![own.to_path_buf()],
        None => {
            ["/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/run/current-system/sw/share/pci.ids"]
                .map(PathBuf::from)
                .to_vec()
        }
    }
}

/// How functions are named.
#[derive(Debug, Default)]
pub struct Names {
    database: Option<Database>,
}

impl Names {
    /// Numbers only, as with `lspci -n`.
    #[must_use]
    pub fn numeric() -> Self {
        Self::default()
    }

    /// Names from the system's `pci.ids`, or numbers where there is none.
    #[must_use]
    pub fn of_system() -> Self {
        Self { database: Database::read().ok() }
    }

    /// Names from this file.
    ///
    /// # Errors
    ///
    /// One line: the file, and what is wrong with it; also where it passes [`Limits::file`].
    pub fn from_file(path: &Path, limits: &Limits) -> Result<Self, String> {
        let shown = clean(&path.to_string_lossy()).into_owned();
        // What is missing is told below.
        if let Ok(metadata) = path.metadata() {
            if !metadata.is_file() {
                return Err(format!("{shown}: no regular file: --ids takes a file in the form of pci.ids"));
            }
            if metadata.len() > limits.file {
                return Err(format!("{shown}: {}", limits.passed(Limit::File)));
            }
        }
        match Database::read_from_file(path) {
            Ok(database) if database.vendors.is_empty() => {
                Err(format!("{shown}: no vendor in it: --ids takes a file in the form of pci.ids"))
            }
            Ok(database) => Ok(Self { database: Some(database) }),
            Err(error) => Err(format!(
                "{shown}: not readable as pci.ids: {}; without --ids the system's is taken, -n shows numbers only",
                clean(&error.to_string())
            )),
        }
    }

    /// One function in lspci's form: class, name, IDs, revision.
    #[must_use]
    pub fn function(&self, topology: &Topology, index: FunctionIndex) -> String {
        let Some(function) = topology.function(index) else { return String::new() };
        if !function.answers {
            return String::from(match function.captured {
                0..16 => "(header not captured)",
                _ => "(configuration space reads all ones)",
            });
        }
        let revision = match function.revision {
            0 => String::new(),
            revision => format!(" (rev {revision:02x})"),
        };
        let ids = topology.ids(index);
        format!("{}: {}{revision}", self.class(function), self.device(ids))
    }

    fn class(&self, function: &Function) -> String {
        let ClassCode { base, sub, .. } = function.class;
        let number = function.class.class();
        let Some(database) = &self.database else { return format!("{number:04x}") };
        let class = database.classes.get(&base);
        let name = class.and_then(|class| {
            class.subclasses.get(&sub).map(|sub| sub.name.as_str()).or(Some(class.name.as_str()))
        });
        match name {
            Some(name) => format!("{} [{number:04x}]", clean(name)),
            None => format!("Class [{number:04x}]"),
        }
    }

    fn device(&self, ids: Option<(u16, u16)>) -> String {
        let Some((vendor, device)) = ids else { return String::from("IDs not known (virtual function)") };
        let Some(database) = &self.database else { return format!("{vendor:04x}:{device:04x}") };
        let known = database.vendors.get(&vendor);
        let vendor_name = known.map_or("Vendor", |known| known.name.as_str());
        let device_name = known
            .and_then(|known| known.devices.get(&device))
            .map_or("Device", |device| device.name.as_str());
        format!("{} {} [{vendor:04x}:{device:04x}]", clean(vendor_name), clean(device_name))
    }
}
