//! Acceptances: what somebody has decided to live with, until when, and why.
//!
//! An acceptance is no fact about hardware. It stands beside an answer and never changes it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::{Layer, Match};
use crate::addr::{Bdf, Sbdf};

/// A risk that somebody accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acceptance {
    /// Kebab-case name, unique within its file.
    pub name: String,
    /// Layer that it comes from.
    pub layer: Layer,
    /// File that it comes from.
    pub file: String,
    /// Whose pairs are accepted: those in which one of these functions takes part, or in which one of
    /// them, a port, decides.
    pub subject: Subjects,
    /// Only pairs whose other function is one of these; `None` is any.
    pub with: Option<Subjects>,
    /// Whether what is proved is accepted, too: direct traffic and impersonation. Otherwise only what is
    /// not known.
    pub direct: bool,
    /// Who decided.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds; `None` is without end.
    pub until: Option<Date>,
}

impl Acceptance {
    /// Whether it still holds on this day.
    #[must_use]
    pub fn holds_on(&self, today: Date) -> bool {
        self.until.is_none_or(|until| today <= until)
    }
}

/// `accepted (by WHO, until WHEN)`.
impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "accepted (by {}, until {until})", self.who),
            None => write!(f, "accepted (by {}, without end)", self.who),
        }
    }
}

/// Functions that an acceptance names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subjects {
    /// All that match.
    Matching(Match),
    /// The one in this place.
    Slot(Slot),
}

/// A place in the hierarchy: a function, then device and function on each bus further down. From a
/// function on a root bus on, it stays the same when buses are renumbered.
///
/// ```
/// use acsscan::db::Slot;
/// let slot: Slot = "0000:00:1c.0/00.1".parse()?;
/// assert_eq!(slot.hops, [0x01]);
/// assert_eq!(slot.to_string(), "0000:00:1c.0/00.1");
/// assert!("0000:00:1c.0/20.0".parse::<Slot>().is_err());
/// # Ok::<(), acsscan::db::ParseSlotError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// Where it starts.
    pub start: Sbdf,
    /// Bits 7:0 of the routing ID on each bus further down.
    pub hops: Vec<u8>,
}

/// The text was not a place in the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseSlotError;

impl fmt::Display for ParseSlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address and the way down from it, such as 0000:00:1c.0/00.0")
    }
}

impl core::error::Error for ParseSlotError {}

impl FromStr for Slot {
    type Err = ParseSlotError;

    fn from_str(text: &str) -> Result<Self, ParseSlotError> {
        let mut parts = text.split('/');
        let start = parts.next().and_then(|start| start.parse().ok()).ok_or(ParseSlotError)?;
        let hops = parts.map(|hop| device_function(hop).ok_or(ParseSlotError)).collect::<Result<_, _>>()?;
        Ok(Self { start, hops })
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start)?;
        self.hops.iter().try_for_each(|hop| write!(f, "/{:02x}.{}", hop >> 3, hop & 7))
    }
}

/// Device and function, such as `1f.2`, as bits 7:0 of a routing ID.
pub(super) fn device_function(text: &str) -> Option<u8> {
    let (device, function) = text.split_once('.')?;
    let digits = |text: &str, most| {
        let right = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        right.then(|| u8::from_str_radix(text, 16).ok())?
    };
    Bdf::new(0, digits(device, 2)?, digits(function, 1)?).map(|bdf| bdf.devfn())
}

/// A day of the Gregorian calendar. Later days are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
}

#[cfg(feature = "std")]
impl Date {
    /// Today, in Coordinated Universal Time: the only place of the crate that asks the clock.
    #[must_use]
    pub fn today() -> Self {
        let date = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let part = |part: i8| u8::try_from(part).unwrap_or(1);
        let year = u16::try_from(date.year()).unwrap_or(0);
        Self { year, month: part(date.month()), day: part(date.day()) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}
