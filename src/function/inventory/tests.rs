//! Records of one dump, in any order and as often as they come.

use super::*;
use alloc::vec;

fn record(inventory: &mut Inventory, at: &str, bytes: &[u8], driver: Option<&str>) {
    let address = at.parse().expect("valid");
    let attributes = Attributes { driver: driver.map(String::from), ..Attributes::default() };
    inventory.record(Record { address, config: &ConfigSpace::new(bytes), attributes });
}

#[test]
fn order_and_repetition_of_the_input_do_not_matter() {
    let (short, mut long, mut other) = (vec![0; 64], vec![0; 256], vec![0; 256]);
    long[0] = 1;
    other[0] = 2;
    let mut forward = Inventory::new();
    record(&mut forward, "00:02.0", &short, Some("vfio-pci"));
    record(&mut forward, "00:01.0", &long, None);
    record(&mut forward, "00:02.0", &long, None);
    record(&mut forward, "00:02.0", &other, None);
    let mut backward = Inventory::new();
    record(&mut backward, "00:02.0", &other, None);
    record(&mut backward, "00:02.0", &long, None);
    record(&mut backward, "00:01.0", &long, None);
    record(&mut backward, "00:02.0", &short, Some("vfio-pci"));
    let (forward, backward) = (forward.finish(), backward.finish());
    assert_eq!(forward.functions(), backward.functions());
    assert_eq!(forward.functions().len(), 2);
    let address = "00:02.0".parse().expect("valid");
    assert!(forward.repeats().eq(&[Repeat { address, records: 3, differ: true }]));
    let index = forward.index_of(address).expect("there");
    assert_eq!(forward.functions()[index].captured, 256);
    let driver = forward.attributes(index).and_then(|known| known.driver.as_deref());
    assert_eq!(driver, Some("vfio-pci"));
}

#[test]
fn a_search_from_a_place_finds_what_a_search_of_all_finds() {
    let mut inventory = Inventory::new();
    let addresses = ["00:00.0", "00:00.1", "00:03.0", "02:00.0", "02:00.1", "02:00.7", "80:00.0"];
    addresses.iter().for_each(|at| record(&mut inventory, at, &[0; 64], None));
    let inventory = inventory.finish();
    for bits in 0..=u16::MAX {
        let address = Sbdf { segment: Segment(0), bdf: crate::addr::Bdf::from_bits(bits) };
        let all = inventory.functions().partition_point(|function| function.address < address);
        assert!((0..=all).all(|from| inventory.first_at(from, address) == all), "{address}");
    }
}

#[test]
fn extras_follow_their_function_through_the_sorting() {
    let mut inventory = Inventory::new();
    record(&mut inventory, "00:03.0", &[0xff; 64], None);
    record(&mut inventory, "00:02.0", &[0; 64], None);
    let inventory = inventory.finish();
    assert!(inventory.extras(0).is_none());
    assert_eq!(inventory.extras(1).expect("all ones").anomalies().count(), 1);
}

#[test]
fn a_part_is_taken_behind_what_is_there_and_nowhere_else() {
    let with = |addresses: &[&str]| {
        let mut inventory = Inventory::with_detail();
        for address in addresses {
            record(&mut inventory, address, &[1; 64], Some(address));
        }
        inventory
    };
    let mut all = with(&["00:01.0", "00:02.0"]);
    for other in [&["00:02.0"][..], &["00:01.1"], &["00:04.0", "00:03.0"]] {
        assert!(!all.take(with(other)), "{other:?}");
    }
    assert!(all.part().expect("an inventory takes parts").keep_detail);
    assert!(all.take(with(&["00:03.0", "01:00.0"])) && all.take(Inventory::new()));
    let one_by_one = with(&["00:01.0", "00:02.0", "00:03.0", "01:00.0"]);
    assert_eq!(all.functions(), one_by_one.functions());
    for index in 0..4 {
        assert_eq!(all.attributes(index), one_by_one.attributes(index));
        assert_eq!(all.detail(index), one_by_one.detail(index));
    }
    // What came out of order before takes none: it is sorted at the end.
    let mut unsorted = with(&["00:02.0", "00:01.0"]);
    assert!(!unsorted.take(with(&["00:03.0"])));
}
