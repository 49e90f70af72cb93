//! A list that is made while it is written.

use serde::{Serialize, Serializer};

/// A list that is made item by item while it is written, so that memory does not grow with the output.
#[derive(Clone, Copy, Debug)]
pub struct Listed<I>(pub I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Listed<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_made_while_it_is_written_is_written_like_one_that_is_there() {
        for list in [vec![], vec![1], vec![1, 2, 3]] {
            let listed = Listed(list.iter().filter(|_| true));
            let written = serde_json::to_string_pretty(&listed).expect("JSON");
            assert_eq!(written, serde_json::to_string_pretty(&list).expect("JSON"));
        }
    }
}
