//! Values of ACS registers as they can be typed: `+ReqRedir,-UpstreamFwd`, `ACSCtl=0x1d`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cap::acs::{AcsCapability, AcsControl};
use crate::function::AcsRegisters;

/// One change of a function's ACS registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Bits of ACS Control under the mask get these values.
    Control {
        /// The bits that change.
        mask: AcsControl,
        /// Their values.
        value: AcsControl,
    },
    /// A double word of the egress control vector.
    Vector {
        /// Which one, 0 to 7.
        dword: u8,
        /// Its bits that change.
        mask: u32,
        /// Their values.
        value: u32,
    },
}

/// The two-bit fields, by name and lowest bit.
const FIELDS: [(&str, u32); 2] = [("DspMemTarget", 8), ("UspMemTarget", 10)];

/// Parses edits separated by commas: lspci's tokens with a sign before or after them, `ACSCtl=WORD`,
/// `DspMemTarget=direct|block|redirect`, `EgressVector0=DWORD` to `EgressVector7=DWORD`.
///
/// # Errors
///
/// What is wrong, and what can be typed.
///
/// ```
/// use acsscan::cap::acs::AcsControl;
/// use acsscan::route::overlay::{Edit, parse_edits};
/// let edits = parse_edits("+ReqRedir,-UpstreamFwd")?;
/// assert_eq!(edits.len(), 2);
/// assert!(matches!(edits[0], Edit::Control { value: AcsControl::REQUEST_REDIRECT, .. }));
/// # Ok::<(), String>(())
/// ```
pub fn parse_edits(text: &str) -> Result<Vec<Edit>, String> {
    text.split(',').map(|part| parse(part.trim())).collect()
}

fn parse(part: &str) -> Result<Edit, String> {
    if let Some((name, value)) = part.split_once('=') {
        return assignment(name.trim(), value.trim());
    }
    let signed = |sign| part.strip_prefix(sign).or_else(|| part.strip_suffix(sign));
    let (token, on) = match (signed('+'), signed('-')) {
        (Some(token), _) => (token, true),
        (None, Some(token)) => (token, false),
        (None, None) => return Err(unknown(part)),
    };
    let found = AcsControl::TOKENS.iter().find(|(name, _)| name.eq_ignore_ascii_case(token));
    let mask = found.map(|(_, bit)| *bit).ok_or_else(|| unknown(part))?;
    Ok(Edit::Control { mask, value: if on { mask } else { AcsControl::empty() } })
}

fn assignment(name: &str, value: &str) -> Result<Edit, String> {
    if is_setpci(name) {
        let (value, mask) = value.split_once(':').unwrap_or((value, "ffff"));
        let word = |text: &str| {
            let digits = text.trim_start_matches("0x");
            u16::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        };
        let words = word(value).zip(word(mask));
        let (value, mask) =
            words.ok_or_else(|| format!("{name}={value}: expected hexadecimal, VALUE or VALUE:MASK"))?;
        let [value, mask] = [value & mask, mask].map(AcsControl::from_bits_retain);
        return Ok(Edit::Control { mask, value });
    }
    if name.eq_ignore_ascii_case("ACSCtl") {
        let word = number(value).and_then(|word| u16::try_from(word).ok());
        let value = word.ok_or_else(|| format!("ACSCtl={value}: expected a word such as 0x001d"))?;
        return Ok(Edit::Control {
            mask: AcsControl::from_bits_retain(u16::MAX),
            value: AcsControl::from_bits_retain(value),
        });
    }
    if let Some((_, shift)) = FIELDS.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
        let bits = ["direct", "block", "redirect"].iter().position(|word| word.eq_ignore_ascii_case(value));
        let bits = bits.ok_or_else(|| format!("{name}={value}: expected direct, block or redirect"))?;
        let place = |bits: u16| AcsControl::from_bits_retain(bits.wrapping_shl(*shift));
        return Ok(Edit::Control { mask: place(3), value: place((bits & 3) as u16) });
    }
    let dword = name.strip_prefix("EgressVector").and_then(|n| n.parse::<u8>().ok()).filter(|n| *n < 8);
    match (dword, number(value)) {
        (Some(dword), Some(value)) => Ok(Edit::Vector { dword, mask: u32::MAX, value }),
        (Some(_), None) => Err(format!("{name}={value}: expected a double word such as 0x00000006")),
        (None, _) => Err(unknown(name)),
    }
}

/// Whether this is how setpci names the ACS Control register: extended capability 0dh, +06h, a word.
fn is_setpci(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let place = name.strip_suffix(".W").and_then(|name| name.split_once('+'));
    place.is_some_and(|(capability, offset)| {
        let hex = |digits: &str| u16::from_str_radix(digits, 16).ok();
        let is_acs = capability == "ECAP_ACS" || capability.strip_prefix("ECAP").and_then(hex) == Some(0x0d);
        is_acs && hex(offset.trim_start_matches("0X")) == Some(6)
    })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

fn unknown(part: &str) -> String {
    let tokens: Vec<&str> = AcsControl::TOKENS.iter().map(|(token, _)| *token).collect();
    format!(
        "{part:?}: expected +TOKEN or -TOKEN with one of {}, or ACSCtl=WORD, DspMemTarget=direct|block|redirect, \
         UspMemTarget=…, EgressVector0=DWORD, or setpci's ECAP_ACS+6.w=HEX[:MASK]",
        tokens.join(", ")
    )
}

/// The registers after an edit. `wide` where a function's registers have 32 bits: its control register
/// then stands at +08h.
///
/// # Errors
///
/// The capability register does not offer what the edit asks for, or the value was not captured.
pub(super) fn edited(
    registers: AcsRegisters,
    capability: AcsCapability,
    wide: bool,
    edit: Edit,
) -> Result<AcsRegisters, String> {
    let mut after = AcsRegisters { as_if: true, ..registers };
    match edit {
        Edit::Control { mask, value } => {
            let lacking = value.intersection(mask).difference(capability.controls());
            if !lacking.is_empty() {
                return Err(format!(
                    "ACS Capability reads {:#06x}, which does not offer {}: the function ignores {}",
                    capability.bits(),
                    names(lacking),
                    if lacking.bits().count_ones() == 1 { "that bit" } else { "those bits" },
                ));
            }
            let before = control_of(&registers, wide).ok_or_else(not_captured)?;
            if before.reads_all_ones() && mask.bits() != u16::MAX {
                return Err(String::from(
                    "ACS Control reads ffff, which is no answer: give all of it, ACSCtl=WORD",
                ));
            }
            after.guessed = registers.guessed.difference(mask);
            set_control(&mut after, wide, before.difference(mask) | value.intersection(mask));
        }
        Edit::Vector { dword, mask, value } => {
            if u16::from(dword).saturating_mul(32) >= capability.vector_bits() || wide {
                return Err(format!(
                    "ACS Capability reads {:#06x}: its egress control vector has {} bits",
                    capability.bits(),
                    if wide { 0 } else { capability.vector_bits() }
                ));
            }
            let mut vector = registers.vector.unwrap_or_default();
            let slot = vector.get_mut(usize::from(dword)).ok_or_else(not_captured)?;
            let before = match mask {
                u32::MAX => 0,
                _ => slot.ok_or_else(not_captured)?,
            };
            let value = (before & !mask) | (value & mask);
            *slot = Some(value);
            after.vector = Some(vector);
            if dword == 0 {
                after.dword_8 = Some(value);
            }
        }
    }
    Ok(after)
}

fn not_captured() -> String {
    "the register that is to change was not captured".to_owned()
}

/// ACS Control wherever it stands.
pub(in crate::route) fn control_of(registers: &AcsRegisters, wide: bool) -> Option<AcsControl> {
    match wide {
        true => registers.dword_8.map(|dword| AcsControl::from_bits_retain((dword & 0xffff) as u16)),
        false => Some(registers.control),
    }
}

/// Writes ACS Control wherever it stands.
pub(in crate::route) fn set_control(registers: &mut AcsRegisters, wide: bool, control: AcsControl) {
    if wide {
        let high = registers.dword_8.unwrap_or_default() & 0xffff_0000;
        registers.dword_8 = Some(high | u32::from(control.bits()));
    } else {
        registers.control = control;
    }
}

/// lspci's tokens of these bits; what has no token in hexadecimal.
pub(in crate::route) fn names(bits: AcsControl) -> String {
    let mut text = String::new();
    let mut rest = bits;
    let mut push = |word: &str| {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(word);
    };
    for (token, bit) in AcsControl::TOKENS {
        if rest.contains(bit) {
            rest.remove(bit);
            push(token);
        }
    }
    for (field, shift) in FIELDS {
        let bits = AcsControl::from_bits_retain(3_u16.wrapping_shl(shift));
        if rest.intersects(bits) {
            rest.remove(bits);
            push(field);
        }
    }
    if !rest.is_empty() {
        push(&format!("bits {:#06x}", rest.bits()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(control: u16) -> AcsRegisters {
        AcsRegisters {
            control: AcsControl::from_bits_retain(control),
            guessed: AcsControl::empty(),
            dword_8: Some(0x0001_0000),
            vector: Some([Some(6), None, None, None, None, None, None, None]),
            as_if: false,
        }
    }

    fn after(control: u16, capability: u16, text: &str) -> Result<AcsRegisters, String> {
        let capability = AcsCapability::from_bits_retain(capability);
        let edits = parse_edits(text)?;
        edits.into_iter().try_fold(registers(control), |r, edit| edited(r, capability, false, edit))
    }

    #[test]
    fn tokens_words_and_fields_change_what_they_name_and_nothing_else() {
        assert_eq!(after(0x0011, 0x001f, "+ReqRedir,-UpstreamFwd").map(|r| r.control.bits()), Ok(0x0005));
        assert_eq!(after(0x0011, 0x001f, "ReqRedir+, srcvalid-").map(|r| r.control.bits()), Ok(0x0014));
        assert_eq!(after(0x0011, 0x001f, "ACSCtl=0x1d").map(|r| r.control.bits()), Ok(0x001d));
        for text in ["ECAP_ACS+6.w=1d", "ECAP_ACS+6.w=0x1d", "ecap_acs+06.W=1D", "ECAP000d+6.w=5d:1f"] {
            assert_eq!(after(0x0011, 0x001f, text).map(|r| r.control.bits()), Ok(0x001d), "{text}");
        }
        assert_eq!(after(0x0011, 0x001f, "ECAP_ACS+6.w=4:4").map(|r| r.control.bits()), Ok(0x0015));
        for text in ["ECAP_ACS+6.l=1d", "ECAP_ACS+4.w=1d", "ECAP_SRIOV+6.w=1", "ECAP_ACS+6.w=1:"] {
            assert!(after(0x0011, 0x001f, text).is_err(), "{text}");
        }
        assert_eq!(after(0x0300, 0x009f, "DspMemTarget=block").map(|r| r.control.bits()), Ok(0x0100));
        assert_eq!(after(0, 0x009f, "+UnclaimedRedir").map(|r| r.control.bits()), Ok(0x1000));
        let vector = after(0, 0x203f, "EgressVector0=0x5").expect("offered");
        assert_eq!((vector.vector.expect("there")[0], vector.dword_8), (Some(5), Some(5)));
        assert!(vector.as_if);
    }

    #[test]
    fn what_the_capability_does_not_offer_is_refused_with_the_register() {
        let error = after(0, 0x001d, "+TransBlk,+EgressCtrl").expect_err("not offered");
        assert!(error.contains("0x001d") && error.contains("TransBlk"), "{error}");
        assert!(after(0, 0x001d, "-TransBlk").is_ok(), "a bit that is not there is off anyway");
        assert!(after(0, 0x001f, "+IoReqBlk").is_err(), "not enhanced");
        assert!(after(0, 0x001f, "EgressVector0=1").is_err(), "no vector");
        assert!(after(0, 0x203f, "EgressVector1=1").is_err(), "past its end");
        assert!(after(0xffff, 0x001f, "+ReqRedir").is_err(), "no answer to start from");
        assert_eq!(after(0xffff, 0x001f, "ACSCtl=29").map(|r| r.control.bits()), Ok(29));
    }

    #[test]
    fn what_is_no_edit_is_refused_and_says_what_is_one() {
        for text in [
            "",
            "ReqRedir",
            "+",
            "+Foo",
            "ACSCtl=",
            "ACSCtl=0x10000",
            "ACSCtl=0x+1",
            "Foo=1",
            "EgressVector8=1",
        ] {
            assert!(parse_edits(text).is_err(), "{text}");
        }
        assert!(parse_edits("+Foo").expect_err("unknown").contains("SrcValid"));
    }

    #[test]
    fn registers_of_32_bits_change_in_their_own_place() {
        let capability = AcsCapability::from_bits_retain(0x000f);
        let edit = parse_edits("+ReqRedir").expect("valid")[0];
        let after = edited(registers(0x0011), capability, true, edit).expect("offered");
        assert_eq!((after.control.bits(), after.dword_8), (0x0011, Some(0x0001_0004)));
    }
}
