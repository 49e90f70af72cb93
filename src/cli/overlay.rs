//! What-if options, which every verb takes: from what was typed to another topology.

use std::path::PathBuf;

use clap::Args;

use super::args::Common;
use super::input::{self, Scanned};
use super::{Stop, address};
use crate::db::Database;
use crate::function::Inventory;
use crate::kernel::Version;
use crate::kernel::acs_param::AcsOptions;
use crate::kernel::cmdline::{parameters, pci_options};
use crate::kernel::lint::lint;
use crate::report::{Source, clean};
use crate::route::compare;
use crate::route::overlay::{self, Boot, Firmware};
use crate::topology::{FunctionIndex, Topology};

/// Options that change what is looked at, never the machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "What if (nothing is written to the machine)")]
pub(super) struct Overlays {
    /// As if ACS registers read otherwise: 0000:00:1c.0=+ReqRedir,-UpstreamFwd (lspci's tokens, and
    /// IoReqBlk, UnclaimedRedir, DspMemTarget=block, UspMemTarget=…, EgressVector0=0x6, ACSCtl=0x1d, or as setpci ECAP_ACS+6.w=1d:1f)
    #[arg(long, value_name = "ADDR=CHANGES", global = true)]
    pub(super) set: Vec<String>,
    /// As if a kernel had turned ACS on, as it does for an IOMMU; VERSION such as 6.12
    #[arg(long, value_name = "VERSION", global = true, num_args = 0..=1, require_equals = true)]
    pub(super) enable_acs: Option<Option<String>>,
    /// As if the kernel had been started with these: 'pci=config_acs=…', 'pci=disable_acs_redir=…',
    /// 'pci=noats', 'intel_iommu=on'
    #[arg(long, value_name = "PARAMETERS", global = true)]
    pub(super) kernel_params: Option<String>,
    /// A dump of the same machine with the registers as firmware left them, for bits that a parameter
    /// takes back to that
    #[arg(long, value_name = "DUMP", global = true)]
    pub(super) firmware: Option<PathBuf>,
    /// As if a function were not there, nor what is below it
    #[arg(long, value_name = "ADDR", global = true)]
    pub(super) remove: Vec<String>,
    /// As if a device were below another port
    #[arg(long = "move", value_name = "ADDR=PORT", global = true)]
    pub(super) relocate: Vec<String>,
}

impl Overlays {
    /// Whether any is given.
    pub(super) fn any(&self) -> bool {
        !self.set.is_empty()
            || self.firmware.is_some()
            || self.enable_acs.is_some()
            || self.kernel_params.is_some()
            || !self.remove.is_empty()
            || !self.relocate.is_empty()
    }
}

/// Applies them: devices first, then the kernel, then registers.
pub(super) fn apply(common: &Common, scanned: Scanned) -> Result<Scanned, Stop> {
    let options = &common.overlays;
    if options.firmware.is_some() && options.kernel_params.is_none() {
        let text = "--firmware says what parameters start from: give them with --kernel-params";
        return Err(Stop::Usage(String::from(text)));
    }
    if !options.any() {
        return Ok(scanned);
    }
    let Scanned { mut source, mut topology, database, refused: files, today, live } = scanned;
    let has_groups = compare::has_kernel_groups(&topology);
    let mut notes = Vec::new();
    if !options.remove.is_empty() {
        let functions = options
            .remove
            .iter()
            .map(|name| one(&topology, "--remove", name))
            .collect::<Result<Vec<_>, _>>()?;
        let (changed, removed) = overlay::remove(topology, &functions);
        topology = changed;
        let names = options.remove.iter().zip(removed);
        notes.extend(names.map(|(name, note)| format!("--remove {name}: {note}")));
    }
    for text in &options.relocate {
        let Some((device, port)) = text.split_once('=') else {
            return Err(Stop::Usage(format!("--move {text}: expected ADDR=PORT")));
        };
        let places = (one(&topology, "--move", device)?, one(&topology, "--move", port)?);
        let (changed, note) = overlay::relocate(topology, places.0, places.1).map_err(refused)?;
        topology = changed;
        notes.push(format!("--move {text}: {note}"));
    }
    if options.enable_acs.is_some() || options.kernel_params.is_some() {
        let started = boot(common, &source, &mut topology, &database, has_groups)?;
        notes.extend(started);
    }
    let wide = match options.set.is_empty() {
        true => Vec::new(),
        false => overlay::wide_registers(&topology, &database),
    };
    for text in &options.set {
        let Some((name, edits)) = text.split_once('=') else {
            return Err(Stop::Usage(format!("--set {text}: expected ADDR=CHANGES, as in 00:1c.0=+ReqRedir")));
        };
        let edits =
            overlay::parse_edits(edits).map_err(|error| Stop::Usage(format!("--set {text}: {error}")))?;
        let index = one(&topology, "--set", name)?;
        let note = overlay::set(&mut topology, &wide, index, &edits).map_err(refused)?;
        notes.push(format!("--set {text}: {note}"));
    }
    // What the running kernel grouped is another machine than the one that is looked at now.
    topology.forget_kernel_groups();
    source.overlays = notes;
    Ok(Scanned { source, topology, database, refused: files, today, live })
}

fn refused(error: overlay::Refused) -> Stop {
    Stop::Usage(error.to_string())
}

/// The function that an option names.
fn one(topology: &Topology, option: &str, name: &str) -> Result<FunctionIndex, Stop> {
    address::find(topology, name.trim()).map_err(|stop| match stop {
        Stop::Usage(text) => Stop::Usage(format!("{option}: {text}")),
        Stop::Input(text) => Stop::Input(format!("{option}: {text}")),
        other @ Stop::Output(_) => other,
    })
}

/// What was read of a kernel's command line before, and what the one that is asked for says.
fn boot(
    common: &Common,
    source: &Source,
    topology: &mut Topology,
    database: &Database,
    has_groups: bool,
) -> Result<Vec<String>, Stop> {
    let options = &common.overlays;
    let line = options.kernel_params.as_deref().unwrap_or_default();
    let named = options.enable_acs.as_ref().and_then(Option::as_deref);
    let version: Version = match (named, source.kernel.as_deref()) {
        (Some(text), _) => {
            text.parse().map_err(|error| Stop::Usage(format!("--enable-acs={text}: {error}")))?
        }
        (None, Some(kernel)) => kernel.parse().unwrap_or(overlay::LATEST),
        (None, None) => overlay::LATEST,
    };
    let acs = AcsOptions::of_command_line(line);
    let found = lint(line, Some(version), Some(topology));
    let mut notes: Vec<String> = found
        .iter()
        .map(|lint| {
            format!(
                "--kernel-params: {}, at byte {}: {}",
                clean(&lint.parameter),
                lint.at,
                clean(&lint.message)
            )
        })
        .collect();
    let asks = |line: &str| {
        parameters(line).iter().any(|parameter| {
            let on = ["intel_iommu", "amd_iommu"].iter().any(|name| parameter.is_called(name));
            on && parameter.value_text().split(',').any(|value| matches!(value, "on" | "force_enable"))
        })
    };
    let firmware = options.firmware.as_deref().map(|path| firmware(common, path)).transpose()?;
    let changed = source.cmdline.as_deref().is_some_and(|line| {
        let before = AcsOptions::of_command_line(line);
        before.config_acs.is_some() || before.disable_acs_redir.is_some()
    });
    let formed_none = source.kind == crate::dump::Format::Sysfs.word() && !has_groups;
    let kernel = Boot {
        version,
        requested: options.enable_acs.is_some() || has_groups || asks(line),
        no_ats: pci_options(line).any(|option| option.text == "noats"),
        options: &acs,
        firmware: match &firmware {
            Some(inventory) => Firmware::Dump(inventory),
            None if changed => Firmware::Changed,
            None if formed_none => Firmware::Seen,
            None => Firmware::Enabled,
        },
    };
    let says_nothing = found.is_empty() && acs == AcsOptions::default() && !kernel.no_ats && !asks(line);
    if options.kernel_params.is_some() && says_nothing {
        notes.push(String::from("--kernel-params: nothing in it is about ACS"));
    }
    notes.extend(overlay::boot(topology, database, &kernel));
    if !kernel.requested {
        notes.push(String::from(
            "the dump shows no IOMMU group, so the kernel is not taken to turn ACS on by itself: --enable-acs \
             takes it to",
        ));
    }
    Ok(notes)
}

/// The registers as firmware left them.
fn firmware(common: &Common, path: &std::path::Path) -> Result<Inventory, Stop> {
    input::functions(common, path.to_owned())
}
