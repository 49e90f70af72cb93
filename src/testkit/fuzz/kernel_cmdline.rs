//! A kernel command line: how it is cut, what its ACS options do, and what is said about it.
//!
//! Input: the text.

use std::string::String;

use super::database::machine;
use crate::kernel::acs_param::{AcsOptions, Match};
use crate::kernel::cmdline::{Piece, parameters, pci_options};
use crate::kernel::lint::lint;
use crate::report::clean;

use super::judge;

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let in_place = |piece: Piece<'_>| {
        let found = text.get(piece.at..).is_some_and(|rest| rest.starts_with(piece.text));
        assert!(found, "{piece:?} is not where it says");
    };
    let mut behind = 0;
    for parameter in parameters(&text) {
        assert!(parameter.at >= behind, "back at {}", parameter.at);
        in_place(Piece { at: parameter.at, text: "" });
        parameter.value.into_iter().for_each(in_place);
        behind = parameter.at + parameter.name.len();
    }
    pci_options(&text).for_each(in_place);
    let topology = machine().topology();
    let options = AcsOptions::of_command_line(&text);
    for option in [&options.disable_acs_redir, &options.config_acs].into_iter().flatten() {
        for entry in option.entries() {
            assert!(text.get(entry.at..).is_some(), "{entry:?}");
        }
        for index in 0..topology.functions().len() {
            // One after the other, as the kernel does.
            let mut matches =
                option.entries().iter().map(|entry| (entry, entry.device.matches(&topology, index)));
            let first = matches.find(|(_, found)| *found != Match::No);
            let first = first.filter(|(_, found)| *found == Match::Yes).map(|(entry, _)| entry);
            assert_eq!(option.entry_for(&topology, index), first, "{index}");
            if let Some(entry) = first {
                let changed = entry.apply(crate::cap::acs::AcsControl::empty());
                assert!(entry.mask.contains(changed), "bits beside the mask");
            }
        }
    }
    for topology in [None, Some(&topology)] {
        for found in lint(&text, None, topology) {
            assert!(found.at <= text.len());
            assert_eq!(judge::harmless(&clean(&found.message)), None);
        }
    }
}
