//! Single Root I/O Virtualization (extended ID 0010h): where virtual functions are.
//!
//! Layer 2. Sources: PCIe Base 6.x, §9.2.1.2 "VF Discovery" and §9.3.3 "SR-IOV Extended Capability".
//!
//! | offset | register | fields |
//! |---|---|---|
//! | +04h | SR-IOV Capabilities | |
//! | +08h | SR-IOV Control | 0 VF Enable, 3 VF MSE, 4 ARI Capable Hierarchy |
//! | +0Ch | InitialVFs, TotalVFs (+0Eh) | |
//! | +10h | NumVFs, Function Dependency Link (+12h) | |
//! | +14h | First VF Offset, VF Stride (+16h) | |
//! | +1Ah | VF Device ID | |
//! | +20h | System Page Size | one bit, n: pages of 2^(n+12) bytes |
//! | +24h | VF BAR0 to VF BAR5 | |

use crate::addr::Bdf;
use crate::config::{ConfigSpace, Source};

/// The SR-IOV structure of a physical function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SrIov {
    /// Offset of the structure in configuration space.
    pub offset: u16,
    /// SR-IOV Capabilities register.
    pub capabilities: u32,
    /// SR-IOV Control register.
    pub control: u16,
    /// InitialVFs.
    pub initial_vfs: u16,
    /// TotalVFs.
    pub total_vfs: u16,
    /// NumVFs: how many exist while VF Enable is set.
    pub num_vfs: u16,
    /// Function Dependency Link.
    pub function_dependency_link: u8,
    /// First VF Offset, in routing IDs from the physical function.
    pub first_vf_offset: u16,
    /// VF Stride, in routing IDs.
    pub vf_stride: u16,
    /// VF Device ID: what the virtual functions' own registers do not tell.
    pub vf_device_id: u16,
    /// System Page Size, as the register has it; `None` if not captured.
    pub system_page_size: Option<u32>,
    /// VF BAR0 to VF BAR5 as they read: where the first virtual function's memory is, with the others'
    /// behind it. `None` if not captured.
    pub vf_bars: Option<[u32; 6]>,
}

impl SrIov {
    /// Reads the structure at `offset`; `None` if +04h to +1Bh were not captured.
    #[must_use]
    pub fn read<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<Self> {
        let dword = |register: u16| config.u32(offset.checked_add(register)?);
        let [vfs, links, placing] =
            [dword(reg::INITIAL_VFS)?, dword(reg::NUM_VFS)?, dword(reg::FIRST_VF_OFFSET)?];
        Some(Self {
            offset,
            capabilities: dword(reg::CAPABILITIES)?,
            control: (dword(reg::CONTROL)? & 0xffff) as u16,
            initial_vfs: (vfs & 0xffff) as u16,
            total_vfs: (vfs >> 16) as u16,
            num_vfs: (links & 0xffff) as u16,
            function_dependency_link: (links >> 16 & 0xff) as u8,
            first_vf_offset: (placing & 0xffff) as u16,
            vf_stride: (placing >> 16) as u16,
            vf_device_id: (dword(reg::VF_DEVICE_ID)? >> 16) as u16,
            system_page_size: dword(reg::SYSTEM_PAGE_SIZE),
            vf_bars: Self::read_bars(config, offset),
        })
    }

    fn read_bars<S: Source>(config: &ConfigSpace<S>, offset: u16) -> Option<[u32; 6]> {
        let mut bars = [0; 6];
        for (bar, register) in bars.iter_mut().zip((reg::VF_BAR0..).step_by(4)) {
            *bar = config.u32(offset.checked_add(register)?)?;
        }
        Some(bars)
    }

    /// The smallest memory that a virtual function can have behind one BAR, in bytes: one page. 4 KiB where
    /// the register was not captured, or has no or several bits set.
    #[must_use]
    pub fn page_size(&self) -> u64 {
        let size = self.system_page_size.filter(|size| size.is_power_of_two()).unwrap_or(1);
        u64::from(size) << 12
    }

    /// Where the memory behind the VF BARs can begin for virtual function `n`, counted from 0: lowest and
    /// highest address, BAR by BAR. The registers do not tell how large one function's share is: at least a
    /// page, and no more than the base is aligned to. BARs that read 0 are not set, or not there. `None` if
    /// the BARs were not captured.
    pub fn vf_memory(&self, n: u16) -> Option<impl Iterator<Item = (u64, u64)> + use<>> {
        let mut rest = self.vf_bars?.into_iter();
        let page = self.page_size();
        let bases = core::iter::from_fn(move || {
            let low = rest.next()?;
            let upper = if low & 7 == 4 { u64::from(rest.next().unwrap_or(0)) << 32 } else { 0 };
            Some(u64::from(low & !0xf) | upper)
        });
        Some(bases.filter(|base| *base != 0).map(move |base| {
            let share = |size: u64| base.saturating_add(size.saturating_mul(u64::from(n)));
            (share(page), share((base & base.wrapping_neg()).max(page)))
        }))
    }

    /// Which virtual function of the physical one at `physical` is at an address, counted from 0.
    #[must_use]
    pub fn vf_number(&self, physical: Bdf, at: Bdf) -> Option<u16> {
        let distance = at.to_bits().checked_sub(physical.to_bits())?.checked_sub(self.first_vf_offset)?;
        match distance {
            0 => Some(0),
            distance => distance.checked_div(self.vf_stride),
        }
    }

    /// VF Enable, control bit 0.
    #[must_use]
    pub const fn vf_enable(&self) -> bool {
        self.control & 1 != 0
    }

    /// VF MSE (Memory Space Enable), control bit 3.
    #[must_use]
    pub const fn vf_memory_space_enable(&self) -> bool {
        self.control & (1 << 3) != 0
    }

    /// ARI Capable Hierarchy, control bit 4.
    #[must_use]
    pub const fn ari_capable_hierarchy(&self) -> bool {
        self.control & (1 << 4) != 0
    }

    /// How many virtual functions exist now: NumVFs if VF Enable is set, but no more than TotalVFs.
    #[must_use]
    pub fn enabled_vfs(&self) -> u16 {
        if self.vf_enable() { self.num_vfs.min(self.total_vfs) } else { 0 }
    }

    /// Address of virtual function `n`, counted from 0, of the physical function at `physical`.
    ///
    /// The carry goes from function to bus. `None` beyond routing ID FFFFh, and for a placing that
    /// makes functions coincide (offset 0, or stride 0 for every one but the first).
    #[must_use]
    pub fn vf_address(&self, physical: Bdf, n: u16) -> Option<Bdf> {
        if self.first_vf_offset == 0 || (self.vf_stride == 0 && n > 0) {
            return None;
        }
        let distance = self.vf_stride.checked_mul(n)?.checked_add(self.first_vf_offset)?;
        physical.to_bits().checked_add(distance).map(Bdf::from_bits)
    }
}

/// Register offsets within the structure.
mod reg {
    pub(super) const CAPABILITIES: u16 = 0x04;
    pub(super) const CONTROL: u16 = 0x08;
    pub(super) const INITIAL_VFS: u16 = 0x0c;
    pub(super) const NUM_VFS: u16 = 0x10;
    pub(super) const FIRST_VF_OFFSET: u16 = 0x14;
    pub(super) const VF_DEVICE_ID: u16 = 0x18;
    pub(super) const SYSTEM_PAGE_SIZE: u16 = 0x20;
    pub(super) const VF_BAR0: u16 = 0x24;
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    fn structure(first_vf_offset: u16, vf_stride: u16, num_vfs: u16) -> SrIov {
        let mut bytes = [0_u8; 0x140];
        bytes[0x108] = 0x09;
        bytes[0x10c..0x110].copy_from_slice(&[8, 0, 8, 0]);
        bytes[0x110..0x112].copy_from_slice(&num_vfs.to_le_bytes());
        bytes[0x112] = 0x03;
        bytes[0x114..0x116].copy_from_slice(&first_vf_offset.to_le_bytes());
        bytes[0x116..0x118].copy_from_slice(&vf_stride.to_le_bytes());
        bytes[0x11a..0x11c].copy_from_slice(&[0xca, 0x10]);
        SrIov::read(&ConfigSpace::new(&bytes), 0x100).expect("captured")
    }

    #[test]
    fn virtual_functions_spill_onto_the_next_bus() {
        let sriov = structure(0x80, 2, 8);
        let physical = Bdf::new(1, 0, 1).expect("valid");
        assert_eq!(sriov.vf_address(physical, 0), Bdf::new(1, 0x10, 1));
        assert_eq!(sriov.vf_address(physical, 64), Bdf::new(2, 0, 1));
        assert_eq!(sriov.vf_address(Bdf::from_bits(0xffff), 0), None);
        assert_eq!(sriov.vf_device_id, 0x10ca);
        assert_eq!(sriov.function_dependency_link, 3);
    }

    #[test]
    fn memory_of_virtual_functions_lies_between_what_the_registers_allow() {
        let mut sriov = structure(0x80, 2, 8);
        sriov.system_page_size = Some(2);
        sriov.vf_bars = Some([0xf000_4000, 0, 0xe000_000c, 0x12, 0, 0]);
        let memory = |n| sriov.vf_memory(n).expect("captured").collect::<std::vec::Vec<_>>();
        assert_eq!(memory(0), [(0xf000_4000, 0xf000_4000), (0x12_e000_0000, 0x12_e000_0000)]);
        assert_eq!(memory(1), [(0xf000_6000, 0xf000_8000), (0x12_e000_2000, 0x13_0000_0000)]);
        sriov.vf_bars = None;
        assert!(sriov.vf_memory(0).is_none());
        let physical = Bdf::from_bits(0x0100);
        assert_eq!(sriov.vf_number(physical, Bdf::from_bits(0x0184)), Some(2));
        assert_eq!(sriov.vf_number(physical, Bdf::from_bits(0x0100)), None);
    }

    #[test]
    fn more_functions_than_total_do_not_exist() {
        assert_eq!(structure(1, 1, 7).enabled_vfs(), 7);
        assert_eq!(structure(1, 1, u16::MAX).enabled_vfs(), 8);
    }

    #[test]
    fn a_placing_onto_the_physical_function_places_nothing() {
        let physical = Bdf::from_bits(0x0100);
        assert_eq!(structure(0, 1, 1).vf_address(physical, 0), None);
        assert_eq!(structure(4, 0, 2).vf_address(physical, 1), None);
        assert_eq!(structure(4, 0, 2).vf_address(physical, 0), Some(Bdf::from_bits(0x0104)));
    }
}
