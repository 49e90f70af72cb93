//! Registers that show what the model does not follow.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Reason;
use super::evidence::Evidence;
use crate::cap::ea::EnhancedAllocation;
use crate::cap::fpb::Fpb;
use crate::config::ClassCode;
use crate::function::{Beyond, Function};

/// What says that a function has in force what this reason names, register by register.
pub(crate) fn evidence(function: &Function, beyond: &Beyond, reason: Reason) -> Vec<Evidence> {
    match reason {
        Reason::FlatteningPortal => {
            beyond.flattening_portal.map(|fpb| vectors(function, fpb)).unwrap_or_default()
        }
        Reason::EnhancedAllocation => {
            beyond.enhanced_allocation.map(|ea| allocation(function, ea)).unwrap_or_default()
        }
        Reason::SubtractiveDecode if function.class == ClassCode::SUBTRACTIVE_BRIDGE => {
            vec![class(function, "subtractive decode")]
        }
        Reason::LegacyForwarding => {
            beyond.bridge_control.map(|control| bridge_control(function, control)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The controls of an FPB that turn a mechanism on.
fn vectors(function: &Function, fpb: Fpb) -> Vec<Evidence> {
    let controls = [
        ("FPB RID Vector Control 1", Fpb::RID_CONTROL, fpb.rid_control, "RID Decode"),
        ("FPB MEM Low Vector Control", Fpb::MEMORY_LOW_CONTROL, fpb.memory_low_control, "MEM Low Decode"),
        (
            "FPB MEM High Vector Control 1",
            Fpb::MEMORY_HIGH_CONTROL,
            fpb.memory_high_control,
            "MEM High Decode",
        ),
    ];
    let is_on = |value: &u32| value & 1 != 0;
    let shown = |(name, at, value, bits): (_, u16, Option<u32>, &str)| {
        let bits = format!("{bits} Mechanism Enable+");
        Some(register(function, name, u16::from(fpb.offset).saturating_add(at), bits, value.filter(is_on)?))
    };
    controls.into_iter().filter_map(shown).collect()
}

/// The fixed bus numbers, and the first entry that is enabled.
fn allocation(function: &Function, ea: EnhancedAllocation) -> Vec<Evidence> {
    let buses = ea.fixed_buses().zip(ea.bus_numbers).map(|(range, value)| {
        let at = u16::from(ea.offset).saturating_add(EnhancedAllocation::BUS_NUMBERS);
        register(function, "EA Fixed Bus Numbers", at, format!("buses {range}"), value)
    });
    let entry = ea.first.map(|(at, value)| {
        let bits = format!("Enable+, BAR Equivalent Indicator {}", value >> 4 & 0xf);
        register(function, "EA Entry", at, bits, value)
    });
    buses.into_iter().chain(entry).collect()
}

fn bridge_control(function: &Function, control: u16) -> Evidence {
    let bits = [("VGA", Beyond::VGA_ENABLE), ("VGA16", Beyond::VGA_16_BIT), ("ISA", Beyond::ISA_ENABLE)];
    let bits = bits.map(|(token, bit)| format!("{token}{}", if control & bit != 0 { '+' } else { '-' }));
    register(function, "Bridge Control", 0x3e, bits.join(" "), u32::from(control))
}

/// The Class Code register, with what it says.
pub(crate) fn class(function: &Function, says: &str) -> Evidence {
    let value = u32::from(function.class.class()) << 8 | u32::from(function.class.interface);
    register(function, "Class Code", 0x09, String::from(says), value)
}

const fn register(
    function: &Function,
    register: &'static str,
    offset: u16,
    bits: String,
    value: u32,
) -> Evidence {
    Evidence::Register { function: function.address, register, offset, bits, value }
}
