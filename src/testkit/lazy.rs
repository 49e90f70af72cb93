//! The lazy reader of hex text against the one that checks every line: the body of a fuzz target.

use crate::dump::{self, Options, SourceInfo};
use crate::function::Inventory;

fn read(text: &[u8], strict: bool) -> (Option<SourceInfo>, Inventory) {
    let mut inventory = Inventory::with_detail();
    let options = Options { format: Some(dump::Format::LspciHex), strict, ..Options::default() };
    let info = dump::read_stream(text, "-", &options, &mut inventory).ok();
    (info, inventory.finish())
}

/// Reads the text both ways. Of a text in which no line is damaged they say the same; of any text, what
/// the lazy reader finds is there. Gives whether the text was undamaged.
///
/// # Panics
///
/// If the two disagree.
pub fn agrees(text: &[u8]) -> bool {
    let (lazy_info, lazy) = read(text, false);
    let (strict_info, strict) = read(text, true);
    for function in lazy.functions() {
        assert!(strict.index_of(function.address).is_some(), "{}: not in the text", function.address);
    }
    let sound = strict_info.as_ref().is_some_and(|info| info.problems.is_empty());
    if sound {
        assert_eq!(lazy_info, strict_info);
        assert_eq!(lazy.functions(), strict.functions());
        assert!(lazy.all_extras().eq(strict.all_extras()));
        assert!(lazy.repeats().eq(strict.repeats()));
        for index in 0..lazy.functions().len() {
            assert_eq!(lazy.attributes(index), strict.attributes(index));
            assert_eq!(lazy.detail(index), strict.detail(index));
        }
    }
    sound
}
