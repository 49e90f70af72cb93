//! Dumps with holes: whatever sixteen bytes are missing, nothing turns absent that is there, and no group
//! changes that is called certain.
#![cfg(feature = "std")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use acsscan::addr::Sbdf;
use acsscan::anomaly::Presence;
use acsscan::config::{ConfigSpace, Source};
use acsscan::db::{self, Database};
use acsscan::dump::{self, Input, Options};
use acsscan::function::{Attributes, Detail, Inventory, Record, Sink};
use acsscan::route::linux::Linux;
use acsscan::topology::Topology;
use support::Bytes;

const ROW: u16 = 16;

/// Bytes of which some may be missing.
struct Holed<'a> {
    bytes: &'a [u8],
    /// The row that is missing.
    row: Option<u16>,
}

impl Source for Holed<'_> {
    fn extent(&self) -> u16 {
        u16::try_from(self.bytes.len()).expect("at most 4096")
    }

    fn captured(&self) -> u16 {
        self.extent() - self.row.map_or(0, |_| ROW)
    }

    fn array<const N: usize>(&self, offset: u16) -> Option<[u8; N]> {
        let rows = offset / ROW..=(offset + u16::try_from(N).expect("small") - 1) / ROW;
        if self.row.is_some_and(|row| rows.contains(&row)) {
            return None;
        }
        self.bytes.array(offset)
    }
}

fn functions(case: &str) -> Vec<(Sbdf, Vec<u8>)> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(case);
    let path = ["dump.txt", "configs"].iter().map(|name| case.join(name)).find(|path| path.exists());
    let mut bytes = Bytes::default();
    dump::read(&Input::Path(path.expect("a dump")), &Options::default(), &mut bytes).expect("readable");
    bytes.0
}

type Groups = BTreeSet<(BTreeSet<usize>, bool)>;

/// What is there of each structure, and the groups with their certainty.
fn answers(
    functions: &[(Sbdf, Vec<u8>)],
    hole: Option<(usize, u16)>,
    database: &Database,
) -> (Vec<[Presence<()>; 6]>, Groups, bool) {
    let mut inventory = Inventory::with_detail();
    for (index, (address, bytes)) in functions.iter().enumerate() {
        let row = hole.filter(|(at, _)| *at == index).map(|(_, row)| row);
        let config = &ConfigSpace::new(Holed { bytes, row });
        inventory.record(Record { address: *address, config, attributes: Attributes::default() });
    }
    let topology = Topology::new(inventory.finish());
    let presences = (0..functions.len()).map(|index| {
        let function = topology.function(index).expect("there");
        let detail: &Detail = topology.inventory().detail(index).expect("kept");
        [
            function.acs.map(|_| ()),
            function.ari.map(|_| ()),
            function.ats.map(|_| ()),
            topology.sriov(index).map(|_| ()),
            detail.pri.map(|_| ()),
            detail.pasid.map(|_| ()),
        ]
    });
    let grouping = Linux::new(&topology, database).group();
    let groups = grouping.groups.iter().map(|g| (g.functions.iter().copied().collect(), g.is_certain()));
    let complete = topology.functions().iter().all(|function| function.is_complete());
    (presences.collect(), groups.collect(), complete)
}

#[test]
fn a_hole_anywhere_hides_things_and_turns_none_of_them_into_absence_or_certainty() {
    let database = db::builtin().expect("good");
    let mut holes = 0;
    for case in ["ari-device", "sriov-next-bus", "qemu-small", "acs-32-bit-registers", "amd-iommu-host"] {
        let functions = functions(case);
        let (whole, groups, complete) = answers(&functions, None, &database);
        assert!(complete, "{case}");
        let partition: BTreeSet<_> = groups.iter().map(|(functions, _)| functions).collect();
        for (index, (address, bytes)) in functions.iter().enumerate() {
            for row in 0..u16::try_from(bytes.len()).expect("small") / ROW {
                let place = format!("{case}: {address} without {:03x}", row * ROW);
                let (found, holed, _) = answers(&functions, Some((index, row)), &database);
                for (before, after) in whole.iter().flatten().zip(found.iter().flatten()) {
                    let kept = after.is_not_captured() || after == before;
                    assert!(kept, "{place}: {before:?} became {after:?}");
                }
                for (functions, certain) in &holed {
                    assert!(
                        !certain || partition.contains(functions),
                        "{place}: {functions:?} is not certain"
                    );
                }
                holes += 1;
            }
        }
    }
    println!("{holes} holes");
    assert!(holes > 3000, "{holes}");
}
