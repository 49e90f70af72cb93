//! Offsets in configuration space, in two bytes that leave room for other answers.

use core::fmt;

/// An offset in configuration space, 0 to FFFh.
///
/// Its twelve bits are kept such that [`Presence`](crate::anomaly::Presence) of a structure with an
/// offset takes no more memory than the structure: a scan holds tens of thousands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    page: Page,
    low: u8,
}

/// Bits 11:8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
enum Page {
    X0,
    X1,
    X2,
    X3,
    X4,
    X5,
    X6,
    X7,
    X8,
    X9,
    Xa,
    Xb,
    Xc,
    Xd,
    Xe,
    Xf,
}

impl Offset {
    /// `None` from 1000h on.
    ///
    /// ```
    /// use acsscan::config::Offset;
    /// assert_eq!(Offset::new(0x148).map(Offset::get), Some(0x148));
    /// assert_eq!(Offset::new(0x1000), None);
    /// ```
    #[must_use]
    pub const fn new(offset: u16) -> Option<Self> {
        let page = match offset >> 8 {
            0x0 => Page::X0,
            0x1 => Page::X1,
            0x2 => Page::X2,
            0x3 => Page::X3,
            0x4 => Page::X4,
            0x5 => Page::X5,
            0x6 => Page::X6,
            0x7 => Page::X7,
            0x8 => Page::X8,
            0x9 => Page::X9,
            0xa => Page::Xa,
            0xb => Page::Xb,
            0xc => Page::Xc,
            0xd => Page::Xd,
            0xe => Page::Xe,
            0xf => Page::Xf,
            _ => return None,
        };
        Some(Self { page, low: (offset & 0xff) as u8 })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        ((self.page as u16) << 8) | self.low as u16
    }

    /// Offset of a register within the structure that stands here.
    #[must_use]
    pub const fn of_register(self, register: u16) -> u16 {
        self.get().saturating_add(register)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#05x}", self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Presence;

    #[test]
    fn every_offset_survives_and_none_beyond() {
        for number in 0..0x1000 {
            let offset = Offset::new(number).expect("inside");
            assert_eq!(offset.get(), number);
            assert!(number == 0 || Offset::new(number - 1) < Some(offset));
        }
        assert_eq!(Offset::new(0x1000), None);
        assert_eq!(Offset::new(u16::MAX), None);
    }

    #[test]
    fn presence_of_an_offset_costs_nothing() {
        assert_eq!(size_of::<Presence<(Offset, u16)>>(), 4);
    }
}
