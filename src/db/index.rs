//! Which entries can be about a device at all, found without looking at the others.

use alloc::vec::Vec;
use core::iter::Peekable;

use super::Match;

/// Matches of up to this many device IDs are listed by each of them; wider ones by their vendor.
const NARROW: usize = 16;

/// Positions of matches in a list, by what they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    by_id: Vec<((u16, u16), usize)>,
    by_vendor: Vec<(u16, usize)>,
    any: Vec<usize>,
    /// Marks of what `by_id` and `by_vendor` have: most devices are in neither, which is seen here without
    /// a search.
    ids: Marks,
    vendors: Marks,
}

/// A bit for each number of 16 bits.
#[derive(Clone, Debug, Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn new(numbers: impl Iterator<Item = u16>) -> Self {
        let mut words = Vec::new();
        for number in numbers {
            words.resize(usize::from(u16::MAX >> 6).saturating_add(1), 0_u64);
            if let Some(word) = words.get_mut(usize::from(number >> 6)) {
                *word |= 1 << (number & 63);
            }
        }
        Self(words)
    }

    fn has(&self, number: u16) -> bool {
        self.0.get(usize::from(number >> 6)).is_some_and(|word| word >> (number & 63) & 1 != 0)
    }
}

/// A number for a pair of IDs; few of those in one database share it.
const fn mixed((vendor, device): (u16, u16)) -> u16 {
    vendor.wrapping_mul(0x9e37) ^ device
}

impl Index {
    /// Of these matches, with the position of each.
    pub(crate) fn new<'m>(matches: impl Iterator<Item = (usize, &'m Match)>) -> Self {
        let mut index = Self::default();
        for (position, wanted) in matches {
            let width = wanted.devices.iter().fold(0_usize, |width, ids| {
                width.saturating_add(usize::from(ids.last.saturating_sub(ids.first))).saturating_add(1)
            });
            match wanted.vendor {
                None => index.any.push(position),
                Some(vendor) if (1..=NARROW).contains(&width) => {
                    let ids = wanted.devices.iter().flat_map(|ids| ids.first..=ids.last);
                    index.by_id.extend(ids.map(|device| ((vendor, device), position)));
                }
                Some(vendor) => index.by_vendor.push((vendor, position)),
            }
        }
        index.by_id.sort_unstable();
        index.by_id.dedup();
        index.by_vendor.sort_unstable();
        index.ids = Marks::new(index.by_id.iter().map(|(ids, _)| mixed(*ids)));
        index.vendors = Marks::new(index.by_vendor.iter().map(|(vendor, _)| *vendor));
        index
    }

    /// Positions of the matches that may hold for a device, in order.
    pub(crate) fn candidates(&self, vendor: u16, device: u16) -> impl Iterator<Item = usize> + '_ {
        let ids = (vendor, device);
        let by_id = if self.ids.has(mixed(ids)) { self.by_id.as_slice() } else { &[] };
        let by_vendor = if self.vendors.has(vendor) { self.by_vendor.as_slice() } else { &[] };
        let own = merge(of(by_id, ids), of(by_vendor, vendor));
        merge(own, self.any.iter().copied())
    }
}

/// The positions under one key.
fn of<K: Ord + Copy>(sorted: &[(K, usize)], key: K) -> impl Iterator<Item = usize> + '_ {
    let from = sorted.partition_point(|(other, _)| *other < key);
    let rest = sorted.get(from..).unwrap_or_default();
    rest.iter().take_while(move |(other, _)| *other == key).map(|(_, position)| *position)
}

/// Two ordered sequences as one.
fn merge(a: impl Iterator<Item = usize>, b: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    let mut both: (Peekable<_>, Peekable<_>) = (a.peekable(), b.peekable());
    core::iter::from_fn(move || match (both.0.peek(), both.1.peek()) {
        (Some(a), Some(b)) if a > b => both.1.next(),
        (Some(_), _) => both.0.next(),
        (None, _) => both.1.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::IdRange;
    use alloc::vec;

    fn of_ids(vendor: u16, first: u16, last: u16) -> Match {
        Match { vendor: Some(vendor), devices: vec![IdRange { first, last }], ..Match::default() }
    }

    #[test]
    fn a_device_is_compared_with_the_few_entries_that_can_be_about_it() {
        let matches: Vec<Match> = (0..30_000).map(|device| of_ids(0x8086, device, device)).collect();
        let index = Index::new(matches.iter().enumerate());
        assert_eq!(index.candidates(0x8086, 12_345).collect::<Vec<_>>(), [12_345]);
        assert!((0..30_000).all(|device| index.candidates(0x8086, device).eq([usize::from(device)])));
        assert_eq!(index.candidates(0x8086, 30_000).count(), 0);
        assert_eq!(index.candidates(0x1022, 12_345).count(), 0);
    }

    #[test]
    fn candidates_come_in_order_whatever_they_name() {
        let any = Match::default();
        let whole = Match { vendor: Some(1), ..Match::default() };
        let matches = [
            of_ids(1, 5, 6),
            any.clone(),
            of_ids(1, 0, 0xffff),
            of_ids(2, 5, 5),
            whole,
            of_ids(1, 5, 5),
            any,
        ];
        let index = Index::new(matches.iter().enumerate());
        assert_eq!(index.candidates(1, 5).collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6]);
        assert_eq!(index.candidates(1, 6).collect::<Vec<_>>(), [0, 1, 2, 4, 6]);
        assert_eq!(index.candidates(3, 5).collect::<Vec<_>>(), [1, 6]);
        let twice = Match {
            devices: vec![IdRange { first: 5, last: 6 }, IdRange { first: 6, last: 7 }],
            ..of_ids(1, 5, 6)
        };
        assert_eq!(Index::new([(0, &twice)].into_iter()).candidates(1, 6).count(), 1, "not twice");
    }
}
