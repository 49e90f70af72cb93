//! What a host says about its IOMMU.
//!
//! Source: Linux, Documentation/ABI/testing/sysfs-class-iommu and sysfs-kernel-iommu_groups; ACPI 6.5,
//! §5.2.6 "System Description Table Header" (the tables' names).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::Version;
use super::cmdline::parameters;
use crate::config::ClassCode;
use crate::route::compare::has_kernel_groups;
use crate::topology::Topology;

/// The ACPI tables by which firmware describes an IOMMU: Intel's, AMD's, Arm's, RISC-V's, a virtual
/// machine's.
pub const IOMMU_TABLES: [&str; 5] = ["DMAR", "IVRS", "IORT", "RIMT", "VIOT"];

/// What the files of a host, or of a copy of them, say. `None`: they are not there to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// Kernel release, as `uname -r`.
    pub release: Option<String>,
    /// Kernel command line.
    pub cmdline: Option<String>,
    /// The IOMMUs that the kernel uses: names in `/sys/class/iommu`.
    pub iommus: Option<Vec<String>>,
    /// The groups in `/sys/kernel/iommu_groups`, each with its `type`, if that could be read.
    pub group_types: Option<BTreeMap<u32, Option<String>>>,
    /// Which of [`IOMMU_TABLES`] firmware gave.
    pub tables: Option<Vec<String>>,
    /// System, board and firmware.
    pub board: Board,
}

/// System, board and firmware, in the words of SMBIOS. Without serial numbers.
///
/// Source: Linux, Documentation/ABI/testing/sysfs-class-dmi (`/sys/class/dmi/id`); SMBIOS 3.7, §7.1 to
/// §7.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Board {
    /// Manufacturer of the system.
    pub system_vendor: Option<String>,
    /// Name of the product.
    pub product: Option<String>,
    /// Manufacturer of the board.
    pub vendor: Option<String>,
    /// Name of the board.
    pub name: Option<String>,
    /// Vendor of the firmware.
    pub firmware_vendor: Option<String>,
    /// Version of the firmware.
    pub firmware_version: Option<String>,
    /// Release date of the firmware, as it is written there.
    pub firmware_date: Option<String>,
}

impl Board {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether there is an IOMMU, and whether the kernel uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Iommu {
    /// The kernel uses one.
    InUse,
    /// The kernel uses none, although there is one, or may be: firmware's tables were not read.
    Off,
    /// None is there: firmware describes none, and no function is one.
    Absent,
    /// What was read does not tell.
    Unknown,
}

impl Iommu {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Off => "off",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// What the IOMMU does with the traffic of functions that the host itself uses. One that is assigned to
/// a guest is translated in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// All groups are translated (`DMA`, `DMA-FQ`).
    Translated,
    /// All groups pass untranslated (`identity`).
    PassThrough,
    /// Some are, some are not, or a group is in other hands.
    Mixed,
}

impl Mode {
    /// Kebab-case word, as in JSON output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::PassThrough => "pass-through",
            Self::Mixed => "mixed",
        }
    }
}

impl Iommu {
    /// What is known of a machine: what it says of itself, or the groups of its functions.
    #[must_use]
    pub fn of(host: Option<&Host>, topology: &Topology) -> Self {
        match host {
            Some(host) => host.iommu(topology),
            None if has_kernel_groups(topology) => Self::InUse,
            None => Self::Unknown,
        }
    }
}

impl Host {
    /// The kernel's version, if its release is known and can be read.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.release.as_deref()?.parse().ok()
    }

    /// Whether there is an IOMMU, and whether it is in use.
    #[must_use]
    pub fn iommu(&self, topology: &Topology) -> Iommu {
        let some = |empty: Option<bool>| empty == Some(false);
        let iommus = self.iommus.as_ref().map(Vec::is_empty);
        let groups = self.group_types.as_ref().map(BTreeMap::is_empty);
        if some(iommus) || some(groups) {
            return Iommu::InUse;
        }
        if iommus.is_none() && groups.is_none() {
            return if has_kernel_groups(topology) { Iommu::InUse } else { Iommu::Unknown };
        }
        let described = self.tables.as_ref().map(|tables| !tables.is_empty());
        let is_iommu = |class: ClassCode| class.class() == ClassCode::IOMMU;
        if described == Some(true) || topology.functions().iter().any(|f| f.answers && is_iommu(f.class)) {
            return Iommu::Off;
        }
        if self.turned_off_by().is_some() {
            return Iommu::Off;
        }
        // Without the list of tables nobody knows what firmware describes; the kernel uses none, anyway.
        if described.is_none() { Iommu::Off } else { Iommu::Absent }
    }

    /// The parameter of the command line that turns IOMMUs off, with its value.
    #[must_use]
    pub fn turned_off_by(&self) -> Option<String> {
        let line = self.cmdline.as_deref()?;
        let is_off = |name: &str| ["intel_iommu", "amd_iommu", "iommu"].contains(&name);
        parameters(line)
            .into_iter()
            .filter(|parameter| is_off(&parameter.name.replace('-', "_")))
            .find(|parameter| parameter.value_text().split(',').any(|word| word == "off"))
            .map(|parameter| alloc::format!("{}={}", parameter.name, parameter.value_text()))
    }

    /// What happens to the host's own traffic; `None` if the groups' types are not known.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        let types = self.group_types.as_ref()?.values().map(Option::as_deref).collect::<Option<Vec<_>>>()?;
        let translated = |kind: &str| kind.starts_with("DMA");
        if types.is_empty() {
            return None;
        }
        Some(if types.iter().all(|kind| translated(kind)) {
            Mode::Translated
        } else if types.iter().all(|kind| *kind == "identity") {
            Mode::PassThrough
        } else {
            Mode::Mixed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Inventory;
    use alloc::string::ToString;
    use alloc::vec;

    fn nothing() -> Topology {
        Topology::new(Inventory::new())
    }

    fn idle() -> Host {
        Host { iommus: Some(vec![]), group_types: Some(BTreeMap::new()), ..Host::default() }
    }

    #[test]
    fn what_was_not_read_is_unknown_and_what_is_empty_is_not() {
        assert_eq!(Host::default().iommu(&nothing()), Iommu::Unknown);
        assert_eq!(idle().iommu(&nothing()), Iommu::Off, "there may be one");
        let bare = Host { tables: Some(vec![]), ..idle() };
        assert_eq!(bare.iommu(&nothing()), Iommu::Absent);
        let described = Host { tables: Some(vec!["DMAR".to_string()]), ..idle() };
        assert_eq!(described.iommu(&nothing()), Iommu::Off);
        let told = Host { cmdline: Some("amd-iommu=fullflush,off".to_string()), ..idle() };
        assert_eq!(told.iommu(&nothing()), Iommu::Off);
        assert_eq!(told.turned_off_by().as_deref(), Some("amd-iommu=fullflush,off"));
        let used = Host { group_types: Some(BTreeMap::from([(0, None)])), ..idle() };
        assert_eq!((used.iommu(&nothing()), used.mode()), (Iommu::InUse, None));
    }

    #[test]
    fn the_mode_is_what_all_groups_say() {
        let mode = |types: &[&str]| {
            let types = types.iter().zip(0..).map(|(kind, id)| (id, Some(kind.to_string()))).collect();
            Host { group_types: Some(types), ..idle() }.mode()
        };
        assert_eq!(mode(&["DMA", "DMA-FQ"]), Some(Mode::Translated));
        assert_eq!(mode(&["identity"]), Some(Mode::PassThrough));
        assert_eq!(mode(&["identity", "DMA"]), Some(Mode::Mixed));
        assert_eq!(mode(&[]), None);
    }
}
