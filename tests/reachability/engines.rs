//! Two engines: domains against the closure of all pairs.

use acsscan::db::Database;
use acsscan::testkit::engines::disagreement;
use acsscan::testkit::fabric::{Choices, Shape, machine};
use acsscan::testkit::{Config, Machine};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn domains_are_the_closure_of_all_pairs(numbers in prop::collection::vec(any::<u32>(), 0..160)) {
        let machine = machine(&mut Choices::new(&numbers), Shape::default());
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    #[test]
    fn domains_are_the_closure_of_all_pairs_where_parts_are_missing(
        numbers in prop::collection::vec(any::<u32>(), 0..160),
    ) {
        let machine = machine(&mut Choices::new(&numbers), Shape { damaged: true, ..Shape::default() });
        let found = disagreement(&machine.topology(), &Database::default());
        prop_assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
}

#[test]
fn what_does_not_answer_leads_to_no_orphan_of_another_segment() {
    let gone = Config::endpoint().captured(0);
    let machine = Machine::new().with("0001:e9:14.2", gone).with("0000:04:08.4", Config::conventional());
    assert_eq!(disagreement(&machine.topology(), &Database::default()), None);
}
