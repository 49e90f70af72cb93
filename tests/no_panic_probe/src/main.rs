//! Every public function of `addr`, `anomaly`, `config`, `cap` and `route::port` that computes, each held
//! to `no_panic`: if a way to a panic is left after optimization, linking fails and names the function.
//!
//! Left out: `Display` and `Debug`, whose machinery in `core` is called through pointers that the
//! optimizer does not see through.

use std::hint::black_box;
use std::io::Read;

use acsscan::addr::{Bdf, BusRange, RequesterId, Sbdf, Segment};
use acsscan::anomaly::{Anomaly, Presence};
use acsscan::cap::acs::{Acs, AcsCapability, AcsControl, MemoryTargetAccess};
use acsscan::cap::ari::Ari;
use acsscan::cap::ats::Ats;
use acsscan::cap::ea::EnhancedAllocation;
use acsscan::cap::fpb::Fpb;
use acsscan::cap::id::{CapabilityId, ExtendedCapabilityId};
use acsscan::cap::list;
use acsscan::cap::pasid::Pasid;
use acsscan::cap::pcie::{DevicePortType, Pcie};
use acsscan::cap::pri::Pri;
use acsscan::cap::sriov::SrIov;
use acsscan::cap::vc::Vc;
use acsscan::config::{
    ClassCode, CommonHeader, ConfigSpace, HeaderType, Type0Header, Type1Header, Type2Header,
};
use acsscan::route::port::{
    Acs as PortAcs, Decision, PortMemory, Role, Services, TlpClass, VectorBit, Way, decide,
};
use no_panic::no_panic;

type Config<'a> = ConfigSpace<&'a [u8]>;

/// Functions that are proved, each called with what the bytes give, so that it is compiled.
macro_rules! proved {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(
            #[no_panic]
            #[inline(never)]
            fn $name($($argument: $type),*) $(-> $result)? $body
        )*
    };
}

proved! {
    // Layer 0.
    address(bus: u8, device: u8, function: u8, segment: u32) -> Option<(Bdf, Sbdf)> {
        Some((Bdf::new(bus, device, function)?, Sbdf::new(segment, bus, device, function)?))
    }
    address_parts(bits: u16, other: u8) -> (u8, u8, u8, u8, u16, RequesterId, u8) {
        let bdf = Bdf::from_bits(bits);
        let at = Sbdf { segment: Segment(0), bdf };
        let moved = bdf.with_devfn(other).to_bits();
        (bdf.bus(), bdf.device(), bdf.function(), bdf.devfn(), moved, RequesterId::from(bdf), at.bus())
    }
    address_of_text(text: &str) -> Option<Sbdf> { text.parse().ok() }
    bus_range(a: BusRange, b: BusRange, bus: u8) -> (bool, bool, bool) {
        (a.contains(bus), a.is_reversed(), a.overlaps(b))
    }
    presence(value: Presence<u16>) -> (Option<u16>, bool, bool, &'static str, Presence<u32>) {
        let wide = value.map(u32::from).and_then(|n| Presence::from(n.checked_add(1)));
        (value.present(), value.is_absent(), value.is_not_captured(), value.word(), wide)
    }
    anomaly_code(anomaly: Anomaly) -> &'static str { anomaly.code() }

    // Layer 1.
    reads(config: &Config<'_>, at: u16) -> (Option<u8>, Option<u16>, Option<u32>, Option<[u8; 64]>) {
        (config.u8(at), config.u16(at), config.u32(at), config.array(at))
    }
    extents(config: &Config<'_>) -> (u16, u16, bool, Option<CommonHeader>) {
        (config.extent(), config.captured(), config.reads_all_ones(), config.common_header())
    }
    common_header(header: CommonHeader) -> (u16, u16, u16, u16, bool, u8, ClassCode, HeaderType) {
        (
            header.vendor_id(),
            header.device_id(),
            header.command(),
            header.status(),
            header.has_capabilities_list(),
            header.revision_id(),
            header.class_code(),
            header.header_type(),
        )
    }
    layout(header: HeaderType, class: ClassCode) -> (bool, bool, u16) {
        let bridge = matches!(header.layout(), acsscan::config::HeaderLayout::Type1);
        (bridge, header.multi_function(), class.class())
    }
    type_0_header(bytes: [u8; 64]) -> ([u32; 6], u16, u16) {
        let header = Type0Header::new(bytes);
        (header.base_address_registers(), header.subsystem_vendor_id(), header.subsystem_id())
    }
    type_1_header(bytes: [u8; 64]) -> ([u32; 2], u8, BusRange, u16) {
        let header = Type1Header::new(bytes);
        (header.base_address_registers(), header.primary_bus(), header.bus_range(), header.bridge_control())
    }
    windows(bytes: [u8; 64]) -> (Option<(u64, u64)>, Option<(u64, u64)>, Option<(u32, u32)>) {
        let header = Type1Header::new(bytes);
        (header.memory_window(), header.prefetchable_window(), header.io_window())
    }
    type_2_header(bytes: [u8; 64]) -> (u8, BusRange) {
        let header = Type2Header::new(bytes);
        (header.primary_bus(), header.bus_range())
    }

    // Layer 2.
    walk(config: &Config<'_>) -> u32 {
        let mut sum = 0_u32;
        for entry in list::capabilities(config) {
            sum = sum.wrapping_add(entry.map_or(1, |entry| u32::from(entry.offset)));
        }
        sum
    }
    walk_extended(config: &Config<'_>) -> u32 {
        let mut sum = 0_u32;
        for entry in list::extended_capabilities(config) {
            sum = sum.wrapping_add(entry.map_or(1, |entry| u32::from(entry.offset)));
        }
        sum
    }
    find(config: &Config<'_>, id: u8) -> Presence<u8> { list::find(config, CapabilityId(id)) }
    find_extended(config: &Config<'_>, id: u16) -> Presence<u16> {
        list::find_extended(config, ExtendedCapabilityId(id))
    }
    names(standard: u8, extended: u16) -> (Option<&'static str>, Option<&'static str>) {
        (CapabilityId(standard).name(), ExtendedCapabilityId(extended).name())
    }
    port_type(bits: u8, word: &str) -> (u8, &'static str, bool, Option<DevicePortType>) {
        let port = DevicePortType::from_bits(bits);
        (port.to_bits(), port.word(), port.is_downstream_facing(), DevicePortType::from_word(word))
    }
    pcie(config: &Config<'_>, at: u8) -> Option<(u16, u8, DevicePortType, bool, Option<u8>)> {
        let pcie = Pcie::read(config, at)?;
        let port = pcie.device_port_type();
        Some((pcie.offset(), pcie.version(), port, pcie.slot_implemented(), pcie.port_number()))
    }
    pcie_2(config: &Config<'_>, at: u8) -> Option<(Option<bool>, Option<bool>, Option<bool>)> {
        let pcie = Pcie::read(config, at)?;
        Some((pcie.hot_plug_capable(), pcie.ari_forwarding_supported(), pcie.ari_forwarding_enabled()))
    }
    device_control_2(config: &Config<'_>, at: u8) -> Option<(u16, u16)> {
        Pcie::read(config, at)?.device_control_2()
    }
    allocation(config: &Config<'_>, at: u8, bridge: bool) -> (u8, Option<(u16, u32)>, Option<BusRange>) {
        let ea = EnhancedAllocation::read(config, at, bridge);
        (ea.stands.bits(), ea.first, ea.fixed_buses())
    }
    flattening_portal(config: &Config<'_>, at: u8) -> (Option<u32>, Option<bool>, Option<bool>) {
        let fpb = Fpb::read(config, at);
        (fpb.rid_control, fpb.decodes_rids(), fpb.decodes_memory())
    }
    acs(config: &Config<'_>, at: u16) -> Option<(u16, u16, Option<Anomaly>)> {
        let acs = Acs::read(config, at)?;
        Some((acs.capability_offset(), acs.control_offset(), acs.anomaly()))
    }
    acs_registers(capability: u16, control: u16) -> (u16, AcsControl, bool, &'static str, &'static str) {
        let capability = AcsCapability::from_bits_retain(capability);
        let control = AcsControl::from_bits_retain(control);
        let down = control.dsp_memory_target_access().word();
        let up = control.usp_memory_target_access().word();
        (capability.vector_bits(), capability.controls(), control.reads_all_ones(), down, up)
    }
    memory_target(bits: u16) -> MemoryTargetAccess { MemoryTargetAccess::from_bits(bits) }
    egress(config: &Config<'_>, at: u16, index: u8) -> Option<(u16, u16, Presence<bool>, Presence<u32>)> {
        let vector = Acs::read(config, at)?.egress_vector(config)?;
        Some((vector.offset(), vector.bits(), vector.bit(index), vector.dword(index)))
    }
    ari(config: &Config<'_>, at: u16) -> Option<(u16, u16, [bool; 4], u8, u8)> {
        let ari = Ari::read(config, at)?;
        let bits = [
            ari.mfvc_function_groups(),
            ari.acs_function_groups(),
            ari.mfvc_function_groups_enabled(),
            ari.acs_function_groups_enabled(),
        ];
        Some((ari.capability(), ari.control(), bits, ari.next_function(), ari.function_group()))
    }
    ats(config: &Config<'_>, at: u16) -> Option<(u16, u16, u8, bool, u8, bool)> {
        let ats = Ats::read(config, at)?;
        let depth = ats.invalidate_queue_depth();
        let (aligned, smallest) = (ats.page_aligned_request(), ats.smallest_translation_unit());
        Some((ats.capability(), ats.control(), depth, aligned, smallest, ats.enabled()))
    }
    pri_pasid(config: &Config<'_>, at: u16) -> Option<(u16, u16, bool, u16, u16, u8, bool)> {
        let (pri, pasid) = (Pri::read(config, at)?, Pasid::read(config, at)?);
        let (width, enabled) = (pasid.max_width(), pasid.enabled());
        Some((pri.control(), pri.status(), pri.enabled(), pasid.capability(), pasid.control(), width, enabled))
    }
    vc(config: &Config<'_>, at: u16) -> Option<(u32, u8)> {
        let vc = Vc::read(config, at)?;
        Some((vc.capability_1(), vc.extended_vc_count()))
    }
    sriov(config: &Config<'_>, at: u16, physical: Bdf, n: u16) -> Option<(bool, bool, bool, u16, Option<Bdf>)> {
        let sriov = SrIov::read(config, at)?;
        let (enabled, memory) = (sriov.vf_enable(), sriov.vf_memory_space_enable());
        let (ari, count) = (sriov.ari_capable_hierarchy(), sriov.enabled_vfs());
        Some((enabled, memory, ari, count, sriov.vf_address(physical, n)))
    }

    // The rules for one port.
    port_rules(role: Role, acs: PortAcs, way: Way, tlp: TlpClass) -> (Decision, &'static str, bool) {
        let decision = decide(role, acs, way, tlp);
        (decision, decision.word(), decision.reason().is_some())
    }
    services(capability: u16, control: u16) -> (AcsCapability, AcsControl) {
        let capability = AcsCapability::from_bits_retain(capability);
        let services = Services::new(capability, AcsControl::from_bits_retain(control));
        (services.offered(), services.enabled())
    }
    classes(word: &str) -> Option<(&'static str, bool, bool)> {
        let class = TlpClass::from_word(word)?;
        Some((class.word(), class.is_memory(), class.is_completion()))
    }
}

fn main() {
    let mut bytes = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut bytes);
    let byte = |n: usize| bytes.get(n).copied().unwrap_or(0);
    let word = |n: usize| u16::from_le_bytes([byte(n), byte(n + 1)]);
    let text = String::from_utf8_lossy(&bytes);
    let config = ConfigSpace::new(bytes.as_slice());
    let (at, small) = (word(0), byte(0));
    let bdf = Bdf::from_bits(word(2));
    let range = |n: usize| BusRange { secondary: byte(n), subordinate: byte(n + 1) };
    black_box((address(byte(0), byte(1), byte(2), u32::from(at)), address_parts(at, small)));
    black_box((address_of_text(&text), bus_range(range(0), range(2), byte(4))));
    black_box((presence(Presence::from(Some(at))), anomaly_code(Anomaly::CapAllOnes { at })));
    black_box((reads(&config, at), extents(&config)));
    if let Some(header) = config.common_header() {
        black_box((common_header(header), layout(header.header_type(), header.class_code())));
    }
    if let Some(header) = config.array(0) {
        black_box((type_0_header(header), type_1_header(header), windows(header), type_2_header(header)));
    }
    black_box((walk(&config), walk_extended(&config), find(&config, small), find_extended(&config, at)));
    black_box((names(small, at), port_type(small, &text), pcie(&config, small), pcie_2(&config, small)));
    black_box((device_control_2(&config, small), flattening_portal(&config, small)));
    black_box((allocation(&config, small, true), allocation(&config, small, false)));
    black_box((acs(&config, at), acs_registers(at, word(2)), memory_target(at), egress(&config, at, small)));
    black_box((ari(&config, at), ats(&config, at), pri_pasid(&config, at), vc(&config, at)));
    black_box((sriov(&config, at, bdf, word(4)), services(at, word(2)), classes(&text)));
    let capability = AcsCapability::from_bits_retain(at);
    let known = Services::new(capability, AcsControl::from_bits_retain(word(2)));
    let role = [Role::RootPort, Role::SwitchDownstreamPort, Role::Function, Role::Integrated];
    let way = [Way::Up, Way::Peer(VectorBit::Set), Way::Port(PortMemory::Own), Way::Port(PortMemory::Peer)];
    for (role, way) in role.into_iter().zip(way) {
        for tlp in TlpClass::ALL {
            for acs in [PortAcs::Present(known), PortAcs::Absent] {
                black_box(port_rules(black_box(role), black_box(acs), black_box(way), black_box(tlp)));
            }
        }
    }
}
