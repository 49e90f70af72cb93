//! `acsscan show`: decoded registers, in the form of `lspci -vv`.

use std::io::{self, Write};

use super::{BOLD, View};
use crate::anomaly::Presence;
use crate::cap::acs::{Acs, AcsCapability, AcsControl};
use crate::cap::id::{CapabilityId, ExtendedCapabilityId};
use crate::cap::list::WalkError;
use crate::config::HeaderLayout;
use crate::function::{Function, Listed, ListedId};
use crate::report::clean;
use crate::route::linux::Basis;
use crate::topology::{FunctionIndex, Kind};

/// The selected functions, one after the other.
///
/// # Errors
///
/// Those of the writer.
pub fn show(out: &mut impl Write, view: &View<'_>, selected: &[FunctionIndex]) -> io::Result<()> {
    for (n, index) in selected.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        if let Some(function) = view.topology().function(*index) {
            view.function(out, *index, function)?;
        }
    }
    Ok(())
}

impl View<'_> {
    fn function(&self, out: &mut impl Write, index: FunctionIndex, function: &Function) -> io::Result<()> {
        let name = self.names.function(self.topology(), index);
        writeln!(out, "{BOLD}{}{BOLD:#} {name}", function.address)?;
        if let Some((vendor, device)) = function.subsystem().filter(|_| function.answers) {
            writeln!(out, "\tSubsystem: {vendor:04x}:{device:04x}")?;
        }
        if function.answers {
            let layout = match function.header_type.layout() {
                HeaderLayout::Type0 => String::from("0"),
                HeaderLayout::Type1 => String::from("1 (bridge)"),
                HeaderLayout::Type2 => String::from("2 (CardBus bridge)"),
                HeaderLayout::Reserved(n) => format!("{n:#04x} (reserved)"),
            };
            let multi = if function.header_type.multi_function() { '+' } else { '-' };
            writeln!(
                out,
                "\tHeader: layout {layout}, MultiFunction{multi}, {} bytes captured",
                function.captured
            )?;
        } else {
            writeln!(out, "\tHeader: no answer, {} bytes captured", function.captured)?;
        }
        if let (Some(primary), Some(range)) = (function.primary_bus(), function.bus_range()) {
            let (secondary, subordinate) = (range.secondary, range.subordinate);
            writeln!(
                out,
                "\tBus: primary={primary:02x}, secondary={secondary:02x}, subordinate={subordinate:02x}"
            )?;
        }
        match self.topology().kind(index) {
            Kind::Virtual(physical) => writeln!(out, "\tVirtual function of {}", self.address(physical))?,
            Kind::VirtualOfUnknown => writeln!(out, "\tVirtual function of an unknown physical function")?,
            Kind::Ordinary | Kind::Physical => {}
        }
        let attributes = self.topology().inventory().attributes(index);
        if let Some(driver) = attributes.and_then(|known| known.driver.as_deref()) {
            writeln!(out, "\tKernel driver in use: {}", clean(driver))?;
        }
        self.capabilities(out, index, function)?;
        self.judgement(out, index)
    }

    fn capabilities(
        &self,
        out: &mut impl Write,
        index: FunctionIndex,
        function: &Function,
    ) -> io::Result<()> {
        let inventory = self.topology().inventory();
        if let Some(detail) = inventory.detail(index) {
            for listed in &detail.capabilities {
                self.capability(out, index, function, listed)?;
            }
            for stop in [detail.standard_stop, detail.extended_stop].into_iter().flatten() {
                if let WalkError::NotCaptured { .. } = stop {
                    writeln!(out, "\tCapabilities: {stop}")?;
                }
            }
        }
        if function.acs.is_not_captured() {
            writeln!(out, "\tAccess Control Services: not captured")?;
        }
        for anomaly in inventory.extras(index).into_iter().flat_map(|extras| extras.anomalies()) {
            writeln!(out, "\tAnomaly: {anomaly} ({})", anomaly.code())?;
        }
        Ok(())
    }

    fn capability(
        &self,
        out: &mut impl Write,
        index: FunctionIndex,
        function: &Function,
        listed: &Listed,
    ) -> io::Result<()> {
        let at = listed.offset;
        match listed.id {
            ListedId::Standard(id) => {
                writeln!(out, "\tCapabilities: [{at:02x}] {id}")?;
                match function.pcie {
                    Presence::Present(pcie)
                        if id == CapabilityId::PCI_EXPRESS && u16::from(pcie.offset()) == at =>
                    {
                        let port = pcie.port_number().map(|n| format!(", port {n}")).unwrap_or_default();
                        let sign = |bit: Option<bool>| bit.map_or('?', |bit| if bit { '+' } else { '-' });
                        write!(out, "\t\tversion {}, {}{port}", pcie.version(), pcie.port_type())?;
                        if pcie.port_type().is_downstream_facing() {
                            let (can, does) =
                                (pcie.ari_forwarding_supported(), pcie.ari_forwarding_enabled());
                            write!(out, ", ARIFwd{} (enabled{})", sign(can), sign(does))?;
                        }
                        writeln!(out)
                    }
                    _ => Ok(()),
                }
            }
            ListedId::Extended(id, version) => {
                writeln!(out, "\tCapabilities: [{at:03x} v{version}] {id}")?;
                self.extended(out, index, function, id, at)
            }
        }
    }

    fn extended(
        &self,
        out: &mut impl Write,
        index: FunctionIndex,
        function: &Function,
        id: ExtendedCapabilityId,
        at: u16,
    ) -> io::Result<()> {
        let detail = self.topology().inventory().detail(index);
        match id {
            ExtendedCapabilityId::ACS => match function.acs {
                Presence::Present(acs) if acs.offset.get() == at => self.acs(out, index, &acs),
                _ => Ok(()),
            },
            ExtendedCapabilityId::ARI => match function.ari {
                Presence::Present(ari) if ari.offset.get() == at => writeln!(
                    out,
                    "\t\tARICap:\tMFVC{} ACS{}, Next Function: {}\n\t\tARICtl:\tMFVC{} ACS{}, Function Group: {}",
                    sign(ari.mfvc_function_groups()),
                    sign(ari.acs_function_groups()),
                    ari.next_function(),
                    sign(ari.mfvc_function_groups_enabled()),
                    sign(ari.acs_function_groups_enabled()),
                    ari.function_group()
                ),
                _ => Ok(()),
            },
            ExtendedCapabilityId::SR_IOV => match self.topology().sriov(index) {
                Presence::Present(sriov) if sriov.offset == at => writeln!(
                    out,
                    "\t\tIOVCtl:\tEnable{} MSE{} ARIHierarchy{}\n\t\tInitial VFs: {}, Total VFs: {}, \
                     Number of VFs: {}\n\t\tVF offset: {}, stride: {}, Device ID: {:04x}",
                    sign(sriov.vf_enable()),
                    sign(sriov.vf_memory_space_enable()),
                    sign(sriov.ari_capable_hierarchy()),
                    sriov.initial_vfs,
                    sriov.total_vfs,
                    sriov.num_vfs,
                    sriov.first_vf_offset,
                    sriov.vf_stride,
                    sriov.vf_device_id
                ),
                _ => Ok(()),
            },
            ExtendedCapabilityId::ATS => match function.ats {
                Presence::Present(ats) if ats.offset.get() == at => writeln!(
                    out,
                    "\t\tATSCap:\tInvalidate Queue Depth: {:02x}\n\t\tATSCtl:\tEnable{}, Smallest Translation Unit: {:02x}",
                    ats.capability() & 0x1f,
                    sign(ats.enabled()),
                    ats.smallest_translation_unit()
                ),
                _ => Ok(()),
            },
            ExtendedCapabilityId::PRI => match detail.and_then(|detail| detail.pri.present()) {
                Some(pri) if pri.offset == at => writeln!(out, "\t\tPRICtl:\tEnable{}", sign(pri.enabled())),
                _ => Ok(()),
            },
            ExtendedCapabilityId::PASID => match detail.and_then(|detail| detail.pasid.present()) {
                Some(pasid) if pasid.offset == at => writeln!(
                    out,
                    "\t\tPASIDCap: Max PASID Width: {:02x}\n\t\tPASIDCtl: Enable{}",
                    pasid.max_width(),
                    sign(pasid.enabled())
                ),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Both words as lspci prints them, then what counts where that is something else.
    fn acs(&self, out: &mut impl Write, index: FunctionIndex, acs: &Acs) -> io::Result<()> {
        writeln!(out, "\t\tACSCap:\t{}", capability(acs.capability))?;
        writeln!(out, "\t\tACSCtl:\t{}", control(acs.capability, acs.control))?;
        let extras = self.topology().inventory().extras(index);
        let wide = matches!(self.linux.isolation(index).basis, Basis::WideRegisters { .. });
        if let Some(vector) = extras.and_then(|extras| extras.egress_vector).filter(|_| !wide) {
            let dwords = usize::from(acs.capability.vector_bits()).div_ceil(32);
            let shown = vector.iter().take(dwords);
            let shown: Vec<String> =
                shown.map(|d| d.map_or(String::from("not captured"), |d| format!("{d:08x}"))).collect();
            writeln!(
                out,
                "\t\tEgress Control Vector, {} bits: {}",
                acs.capability.vector_bits(),
                shown.join(" ")
            )?;
        }
        if let Basis::WideRegisters { entry, control: effective, .. } = self.linux.isolation(index).basis {
            let name = self.linux.database().entries().get(entry).map_or("", |entry| entry.name.as_str());
            writeln!(out, "\t\tEffective, 32-bit registers (database entry {}):", clean(name))?;
            writeln!(out, "\t\tACSCtl:\t{}", control(acs.capability, effective))?;
        }
        Ok(())
    }

    fn judgement(&self, out: &mut impl Write, index: FunctionIndex) -> io::Result<()> {
        let isolation = self.linux.isolation(index);
        let certain = if isolation.guess.is_some() { ", as a guess" } else { "" };
        let isolates = if isolation.isolates { "isolates" } else { "does not isolate" };
        let evidence: Vec<String> =
            isolation.evidence(self.linux, index).iter().map(ToString::to_string).collect();
        writeln!(out, "\tFor Linux it {isolates}{certain}: {}", clean(&evidence.join("; ")))
    }
}

/// `+` or `-`, as lspci marks bits.
const fn sign(bit: bool) -> char {
    if bit { '+' } else { '-' }
}

fn capability(register: AcsCapability) -> String {
    let tokens = AcsCapability::TOKENS.map(|(token, bit)| format!("{token}{}", sign(register.contains(bit))));
    tokens.join(" ")
}

/// lspci's seven tokens, then the enhanced controls where the capability offers them.
fn control(offered: AcsCapability, register: AcsControl) -> String {
    let enhanced = offered.contains(AcsCapability::ENHANCED);
    let shown = if enhanced { AcsControl::TOKENS.len() } else { 7 };
    let tokens = AcsControl::TOKENS.iter().take(shown);
    let mut tokens: Vec<String> =
        tokens.map(|(token, bit)| format!("{token}{}", sign(register.contains(*bit)))).collect();
    if enhanced {
        tokens.push(format!("DspMemTarget={}", register.dsp_memory_target_access().word()));
        tokens.push(format!("UspMemTarget={}", register.usp_memory_target_access().word()));
    }
    tokens.join(" ")
}
