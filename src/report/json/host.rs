//! The host as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::lint::lint;
use crate::kernel::{Board, Host};
use crate::report::clean;
use crate::topology::Topology;

/// What the host says of itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HostDocument {
    /// `in-use`, `off`, `absent`, `unknown`. Without one in use nothing can be assigned safely.
    pub iommu: &'static str,
    /// What happens to the host's own traffic: `translated`, `pass-through`, `mixed`; where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// The IOMMUs that the kernel uses, by name; where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<String>>,
    /// How many groups have each type (`DMA`, `identity`, …); where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_types: Option<BTreeMap<String, usize>>,
    /// The ACPI tables that describe an IOMMU; where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<Vec<String>>,
    /// Kernel release, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// System, board and firmware, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardDocument>,
    /// What is wrong with the kernel's command line, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline_findings: Option<Vec<CmdlineFindingDocument>>,
}

/// System, board and firmware, in the words of SMBIOS; what is not known is `null`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct BoardDocument {
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

impl BoardDocument {
    /// Describes a board; `None` if nothing is known of it.
    #[must_use]
    pub fn new(board: &Board) -> Option<Self> {
        let cleaned = |text: &Option<String>| text.as_deref().map(|text| clean(text).into_owned());
        (!board.is_empty()).then(|| Self {
            system_vendor: cleaned(&board.system_vendor),
            product: cleaned(&board.product),
            vendor: cleaned(&board.vendor),
            name: cleaned(&board.name),
            firmware_vendor: cleaned(&board.firmware_vendor),
            firmware_version: cleaned(&board.firmware_version),
            firmware_date: cleaned(&board.firmware_date),
        })
    }
}

/// A parameter of the kernel's command line that does not do what it looks like.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CmdlineFindingDocument {
    /// `unknown`, `needs-patch`, `not-in-this-kernel`, `misread-by-this-kernel`, `malformed`,
    /// `overwritten`, `without-effect`, `conflict`, `takes-back`, `pass-through`, `unsafe`.
    pub kind: &'static str,
    /// Offset in the command line, in bytes.
    pub at: usize,
    /// The parameter, as it is written.
    pub parameter: String,
    /// One sentence.
    pub message: String,
    /// The functions that it is about.
    pub functions: Vec<String>,
}

impl HostDocument {
    /// Describes a host.
    #[must_use]
    pub fn new(host: &Host, topology: &Topology) -> Self {
        let cleaned = |names: &Vec<String>| names.iter().map(|name| clean(name).into_owned()).collect();
        let finding = |lint: crate::kernel::lint::Lint| CmdlineFindingDocument {
            kind: lint.kind.word(),
            at: lint.at,
            parameter: clean(&lint.parameter).into_owned(),
            message: clean(&lint.message).into_owned(),
            functions: lint.functions.iter().map(ToString::to_string).collect(),
        };
        let lints =
            |line: &str| lint(line, host.version(), Some(topology)).into_iter().map(finding).collect();
        Self {
            iommu: host.iommu(topology).word(),
            mode: host.mode().map(|mode| mode.word()),
            units: host.iommus.as_ref().map(cleaned),
            group_types: host.group_types.as_ref().map(|types| {
                let mut counts = BTreeMap::new();
                for kind in types.values() {
                    let kind = clean(kind.as_deref().unwrap_or("unknown")).into_owned();
                    let count: &mut usize = counts.entry(kind).or_default();
                    *count = count.saturating_add(1);
                }
                counts
            }),
            tables: host.tables.clone(),
            kernel: host.release.as_deref().map(|release| clean(release).into_owned()),
            board: BoardDocument::new(&host.board),
            cmdline_findings: host.cmdline.as_deref().map(lints),
        }
    }
}
