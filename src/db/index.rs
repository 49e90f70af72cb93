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
        index
    }

    /// Positions of the matches that may hold for a device, in order.
    pub(crate) fn candidates(&self, vendor: u16, device: u16) -> impl Iterator<Item = usize> + '_ {
        let own = merge(of(&self.by_id, (vendor, device)), of(&self.by_vendor, vendor));
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
