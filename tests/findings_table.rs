//! `FINDINGS.md` is made from the code; `ACSSCAN_BLESS=1` rewrites it.
#![cfg(feature = "alloc")]

use std::path::Path;

use acsscan::finding::Code;

#[test]
fn the_table_of_findings_is_that_of_the_code() {
    let mut table = String::from(
        "# Findings\n\nWhat `acsscan` can find, in the order in which it would print it. The codes are stable. This \
         table is made from the code.\n\n| code | severity | what it says | what to do |\n|---|---|---|---|\n",
    );
    let mut codes: Vec<_> = Code::ALL.to_vec();
    codes.sort_by_key(|code| (std::cmp::Reverse(code.severity()), *code));
    for code in codes {
        let (summary, advice) = (code.summary().trim(), code.advice());
        table += &format!("| `{}` | {} | {summary} | {advice} |\n", code.as_str(), code.severity());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FINDINGS.md");
    if std::env::var_os("ACSSCAN_BLESS").is_some() {
        std::fs::write(&path, &table).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "FINDINGS.md is not that of the code; ACSSCAN_BLESS=1 rewrites it");
}
