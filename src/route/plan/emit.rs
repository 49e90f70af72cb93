//! Plans as what an administrator types: `setpci` lines and kernel parameters, quoted for boot loaders.
//!
//! Sources: setpci(8); Linux 7.2.13, Documentation/admin-guide/kernel-parameters.txt (`pci=config_acs=`,
//! `pci=disable_acs_redir=`), lib/cmdline.c (`next_arg`: quotation marks around a value are not part of
//! it); GNU GRUB manual, "Quoting": `;` ends a command outside quotation marks.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Plan, Register, Write};
use crate::cap::acs::AcsControl;
use crate::kernel::acs_param::{AcsOptions, REDIRECT};
use crate::topology::Topology;

/// The lines that carry a plan out, in order.
#[must_use]
pub fn setpci(topology: &Topology, plan: &Plan) -> Vec<String> {
    plan.writes.iter().filter_map(|write| line(topology, write, write.new)).collect()
}

/// The lines that take it back, in the opposite order.
#[must_use]
pub fn undo(topology: &Topology, plan: &Plan) -> Vec<String> {
    plan.writes.iter().rev().filter_map(|write| line(topology, write, write.old)).collect()
}

fn line(topology: &Topology, write: &Write, value: u32) -> Option<String> {
    let address = topology.address(write.function)?;
    let mask = write.mask;
    Some(match write.register {
        Register::Control => format!("setpci -s {address} ECAP_ACS+6.w={value:04x}:{mask:04x}"),
        Register::WideControl => format!("setpci -s {address} ECAP_ACS+8.l={value:08x}:{mask:08x}"),
        Register::Vector(n) => {
            let offset = u16::from(n).saturating_mul(4).saturating_add(8);
            format!("setpci -s {address} ECAP_ACS+{offset:x}.l={value:08x}:{mask:08x}")
        }
    })
}

/// Kernel parameters that come to the same, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// The value of `pci=`, such as `config_acs=0011101@0000:00:1c.0`, and if the plan only turns
    /// redirects off, that of older kernels.
    Pci {
        /// `config_acs=…`.
        config_acs: String,
        /// `disable_acs_redir=…`.
        disable_acs_redir: Option<String>,
    },
    /// The kernel has no parameter for it.
    None(&'static str),
}

/// Kernel parameters for a plan. `config_acs` starts from what firmware left, so that every control which
/// the function offers is given its value, not only those that change.
#[must_use]
pub fn parameters(before: &Topology, after: &Topology, plan: &Plan) -> Parameters {
    if plan.writes.is_empty() {
        return Parameters::None("nothing has to change");
    }
    let mut entries = Vec::new();
    let mut redirects = Some(Vec::new());
    for write in &plan.writes {
        match write.register {
            Register::Vector(_) => {
                return Parameters::None("the kernel has no parameter for an egress control vector");
            }
            Register::WideControl => {
                return Parameters::None(
                    "on ports whose ACS registers have 32 bits either parameter only turns redirects off",
                );
            }
            Register::Control if write.mask > 0x7f => {
                return Parameters::None("pci=config_acs= reaches bits 6:0 of ACS Control only");
            }
            Register::Control => {}
        }
        let (Some(path), Some(acs)) = (
            before.place_of(write.function),
            after.function(write.function).and_then(|function| function.acs.present()),
        ) else {
            return Parameters::None("the way to a function is not in the dump, so no parameter can name it");
        };
        let offered = acs.capability.controls();
        let bit = |n: u32| {
            let bit = AcsControl::from_bits_retain(1_u16.wrapping_shl(n));
            match (offered.contains(bit), acs.control.contains(bit)) {
                (true, true) => '1',
                (true, false) => '0',
                (false, _) => 'x',
            }
        };
        let bits: String = (0..7).rev().map(bit).collect();
        entries.push(format!("{bits}@{path}"));
        let only_redirects = write.new == 0
            && AcsControl::from_bits_retain(write.mask as u16).difference(REDIRECT).is_empty()
            && acs.control.intersection(offered).intersection(REDIRECT).is_empty();
        match &mut redirects {
            Some(paths) if only_redirects => paths.push(path.to_string()),
            _ => redirects = None,
        }
    }
    let config_acs = format!("config_acs={}", entries.join(";"));
    // A virtual function whose bus is not its physical function's has the same path as what stands there.
    let named = AcsOptions::of_command_line(&format!("pci={config_acs}")).config_acs;
    let named = named.map(|option| option.functions(before)).unwrap_or_default();
    if !named.into_iter().eq(plan.writes.iter().map(|write| [write.function])) {
        return Parameters::None(
            "the path of a function is that of another, too, so no parameter names it alone",
        );
    }
    Parameters::Pci {
        config_acs,
        disable_acs_redir: redirects.map(|paths| format!("disable_acs_redir={}", paths.join(";"))),
    }
}

/// A `pci=` parameter for each way to give it. The kernel takes quotation marks around a value away, and
/// boot loaders need them: `;` would end the line there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quoted {
    /// On the command line itself.
    pub plain: String,
    /// A line of a file in `/etc/default/grub.d` (Debian).
    pub grub: String,
    /// A command (RHEL, Fedora).
    pub grubby: String,
    /// The command that takes that back.
    pub grubby_undo: String,
}

/// Quotes the value of a `pci=` parameter.
#[must_use]
pub fn quoted(value: &str) -> Quoted {
    let plain = format!("pci=\"{value}\"");
    Quoted {
        grub: format!("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX pci=\\\"{value}\\\"\""),
        grubby: format!("grubby --update-kernel=ALL --args='{plain}'"),
        grubby_undo: format!("grubby --update-kernel=ALL --remove-args='{plain}'"),
        plain,
    }
}
