//! The page of `acsscan report` in a browser: it loads nothing, each part works, and what a dump says is text.
//! Skipped where Chromium is not installed.
#![cfg(feature = "cli")]

#[path = "support/browser.rs"]
mod browser;
mod support;

use std::path::{Path, PathBuf};

use browser::{Browser, DOWN, ENTER, LEFT, RIGHT, UP};
use support::acsscan;

fn corpus(case: &str) -> String {
    format!("{}/corpus/{case}/dump.txt", env!("CARGO_MANIFEST_DIR"))
}

/// The page of a dump, in `scratch`.
fn page(scratch: &Path, dump: &str, options: &[&str]) -> PathBuf {
    let path = scratch.join("host.html");
    let written = path.to_str().expect("UTF-8");
    let output = acsscan(&[&["report", "--force", "-o", written, "--dump", dump], options].concat());
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// The browser with the page of a dump.
fn shown(dump: &str, options: &[&str]) -> Option<Browser> {
    let scratch = tempfile::tempdir().expect("a directory");
    let browser = Browser::start(1400, 1000)?;
    browser.open(&page(scratch.path(), dump, options));
    assert_eq!(browser.run("return document.documentElement.dataset.ready"), "yes");
    Some(browser)
}

/// Presses `key` until the item that has the focus says `text`.
fn walk(browser: &Browser, key: char, text: &str) {
    for _ in 0..50 {
        let item = browser.run("return document.activeElement.firstElementChild.innerText");
        if item.as_str().is_some_and(|item| item.contains(text)) {
            return;
        }
        browser.press(key, false);
    }
    panic!("{text} is not reached");
}

#[test]
fn a_page_asks_for_nothing_and_complains_of_nothing() {
    let scratch = tempfile::tempdir().expect("a directory");
    let Some(browser) = Browser::start(1400, 1000) else { return };
    for case in ["qemu-config-acs", "hostile-names", "decoded-text", "acs-enhanced", "all-ones"] {
        let path = page(scratch.path(), &corpus(case), &[]);
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        assert!(
            !text.contains("http:") && !text.contains("https:") && !text.contains("url("),
            "{case}: a link"
        );
        browser.open(&path);
        assert_eq!(browser.run("return document.documentElement.dataset.ready"), "yes", "{case}");
        browser.run(
            "for (const b of document.querySelectorAll('#expand, [role=treeitem], .line, td.cell[data-at]')) b.click()",
        );
        let (complaints, requests) = browser.complaints_and_requests();
        assert_eq!(complaints, [""; 0], "{case}");
        assert!(
            !requests.is_empty() && requests.iter().all(|url| url.starts_with("file://")),
            "{requests:?}"
        );
    }
    let refused = "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')";
    assert_eq!(browser.run(&format!("return {refused}")), "refused");
    let (complaints, _) = browser.complaints_and_requests();
    assert!(complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}

#[test]
fn a_function_is_shown_with_its_registers_its_domain_and_who_reaches_it() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    browser.keys("#find-text", "04:00.0");
    browser.keys("#find-text", &ENTER.to_string());
    let detail = browser.text("#detail");
    for part in ["0000:04:00.0", "Domain 6", "held together by", "0000:04:00.1", "ACS", "Capability lists"] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    let reached = browser.text("#detail .reach");
    assert!(reached.contains("direct") || reached.contains("undetermined"), "{reached}");
    let chosen = browser.text("[aria-selected=true]");
    assert!(chosen.contains("0000:04:00.0") && chosen.contains("domain 6"), "{chosen}");
    browser.keys("#find-text", "nothing of this name");
    browser.click("#find button");
    assert_eq!(browser.text("#find-status"), "Nothing found");
}

#[test]
fn the_tree_is_walked_and_two_functions_are_chosen_with_the_keyboard_alone() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    browser.run("document.querySelector('#tree [tabindex=\"0\"]').focus()");
    walk(&browser, DOWN, "0000:00:02.0");
    let expanded = "return document.activeElement.getAttribute('aria-expanded')";
    assert_eq!(browser.run(expanded), "true");
    browser.press(LEFT, false);
    assert_eq!(browser.run(expanded), "false");
    browser.press(RIGHT, false);
    assert_eq!(browser.run(expanded), "true");
    browser.press(RIGHT, false);
    walk(&browser, DOWN, "0000:01:00.0");
    browser.press(ENTER, false);
    assert!(browser.text("#detail").starts_with("0000:01:00.0"));
    browser.run("document.querySelector('[aria-selected=true]').focus()");
    walk(&browser, DOWN, "0000:03:00.0");
    browser.press(ENTER, true);
    let route = browser.text("#route");
    assert!(route.starts_with("0000:01:00.0 to 0000:03:00.0"), "{route}");
    browser.run("document.querySelector('[aria-selected=true]').focus()");
    walk(&browser, UP, "0000:00:00.0");
}

#[test]
fn a_route_says_of_each_hop_the_bits_that_decide() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    browser.keys("#route-from", "04:00.0");
    browser.keys("#route-to", "nowhere");
    browser.click("#route-form button");
    assert!(browser.text("#route").contains("No function has the address"));
    browser.run("document.getElementById('route-to').value = '03:00.0'");
    browser.click("#route-form button");
    let route = browser.text("#route");
    let told = acsscan(&["p2p", "04:00.0", "03:00.0", "--dump", &corpus("qemu-config-acs")]);
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    let hops: Vec<&str> = told.lines().filter(|line| line.contains(" reads 0x")).collect();
    assert!(!hops.is_empty(), "{told}");
    for hop in hops {
        let (_, evidence) = hop.split_once(": ").expect("evidence");
        let first = evidence.split("; ").next().expect("evidence");
        assert!(route.contains(first), "{first:?} is not in {route}");
    }
    browser.click("#route-swap");
    assert!(browser.text("#route").starts_with("0000:03:00.0 to 0000:04:00.0"));
    browser.click("#route .hops button.link");
    assert!(!browser.text("#detail h3").is_empty());
}

#[test]
fn cells_of_the_matrix_tell_their_reason_to_the_pointer_and_to_the_keyboard() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    let asked = browser.text("#matrix-reason");
    browser.point("td.cell[data-at]");
    let reason = browser.text("#matrix-reason");
    assert!(reason != asked && reason.contains("class 0"), "{reason}");
    browser.run("document.querySelector('td.cell[data-at]').focus()");
    browser.press(RIGHT, false);
    let next = browser.text("#matrix-reason");
    assert_ne!(next, reason);
    assert_eq!(browser.run("return document.activeElement.getAttribute('aria-label')"), next.as_str());
    browser.press(ENTER, false);
    assert!(browser.text("#route").contains("The least safe that counts"), "{}", browser.text("#route"));
}

#[test]
fn light_and_dark_take_turns() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    let paper = "return getComputedStyle(document.body).backgroundColor";
    let first = browser.run(paper);
    browser.click("#theme");
    let second = browser.run(paper);
    assert_ne!(first, second);
    browser.click("#theme");
    assert_eq!(browser.run(paper), first);
}

#[test]
fn what_a_dump_or_a_file_is_called_stays_text() {
    const HOSTILE: &str = "<img src=x onerror=hacked=1></script><script>hacked=1</script>";
    let scratch = tempfile::tempdir().expect("a directory");
    let Some(browser) = Browser::start(1400, 1000) else { return };
    let dump = std::fs::read_to_string(corpus("qemu-config-acs")).expect("readable");
    // A driver's name, after the first line of the first endpoint.
    let driver = format!("\tKernel driver in use: {HOSTILE}\u{202e}\u{1b}[2J\n");
    let at = dump.find("\n0000:01:00.0 ").or_else(|| dump.find("\n01:00.0 ")).expect("a function");
    let end = at + 1 + dump[at + 1..].find('\n').expect("a line") + 1;
    // A file's name cannot hold a slash.
    let name = scratch.path().join("<script>hacked=1<!--\u{202e}&lt;\u{1b}[2J.txt");
    std::fs::write(&name, format!("{}{driver}{}", &dump[..end], &dump[end..])).expect("writable");
    let ids = scratch.path().join("ids");
    std::fs::write(&ids, format!("1af4  {HOSTILE}\n\t1041  {HOSTILE}\nC 02  {HOSTILE}\n\t00  {HOSTILE}\n"))
        .expect("writable");
    let (name, ids) = (name.to_str().expect("UTF-8"), ids.to_str().expect("UTF-8"));
    // The second -n asks for names.
    let path = page(scratch.path(), name, &["-n", "--ids", ids]);
    browser.open(&path);
    browser.keys("#find-text", "01:00.0");
    browser.click("#find button");
    let detail = browser.text("#detail");
    assert!(detail.contains(HOSTILE), "{detail}");
    browser.click("td.cell[data-at]");
    assert!(browser.text("h1").contains("<script>hacked=1<!--"));
    assert_eq!(browser.run("return typeof hacked"), "undefined");
    assert_eq!(browser.run("return document.images.length"), 0);
    assert_eq!(browser.run("return document.scripts.length"), 2);
    let unsafe_text = "return /[\\u001b\\u202e]/.test(document.documentElement.textContent)";
    assert_eq!(browser.run(unsafe_text), false);
    let (complaints, requests) = browser.complaints_and_requests();
    assert_eq!(complaints, [""; 0]);
    assert!(requests.iter().all(|url| url.starts_with("file://")), "{requests:?}");
}

#[test]
fn what_somebody_accepted_is_marked_with_the_name() {
    const ACCEPT: &str = r#"schema = 1
[[entry]]
name = "our-card"
kind = "accept"
match = { vendor = "8086", devices = ["10ca"] }
direct = true
who = "Erika <b>Mustermann</b>"
reason = "Both guests are ours."
"#;
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("lab.toml");
    std::fs::write(&file, ACCEPT).expect("writable");
    let options = ["--db", file.to_str().expect("UTF-8")];
    let Some(browser) = shown(&corpus("qemu-config-acs"), &options) else { return };
    let mark = "accepted (by Erika <b>Mustermann</b>, without end)";
    browser.keys("#find-text", "04:10.0");
    browser.click("#find button");
    assert!(browser.text("#detail .why").contains(mark), "{}", browser.text("#detail .why"));
    browser.keys("#route-from", "04:10.0");
    browser.keys("#route-to", "04:00.0");
    browser.click("#route-form button");
    assert!(browser.text("#route").contains(mark), "{}", browser.text("#route"));
    assert!(browser.text("#route .verdict").contains("undetermined"), "the answer stays what it is");
}

#[test]
fn commands_on_a_page_answer_as_the_page_does() {
    let options = ["--set", "00:02.0=+CmpltRedir", "--root-complex", "unknown"];
    let Some(browser) = shown(&corpus("qemu-config-acs"), &options) else { return };
    assert!(browser.text("header .alarm").contains("--set 00:02.0=+CmpltRedir: 0000:00:02.0: ACS Control"));
    let dump = corpus("qemu-config-acs");
    let typed = format!(" --dump {dump} --set 00:02.0=+CmpltRedir --root-complex unknown");
    let told = "return JSON.parse(document.getElementById('data').textContent).options";
    assert_eq!(browser.run(told), typed.as_str());
    let many = ["--set", "00:02.0=+CmpltRedir"].repeat(300);
    let Some(browser) = shown(&corpus("qemu-config-acs"), &many) else { return };
    let alarm = browser.text("header .alarm");
    assert!(alarm.contains("WHAT-IF stands for them") && alarm.contains("and 100 more"), "{alarm}");
    assert!(browser.run(told).as_str().is_some_and(|options| options.ends_with(" WHAT-IF")));
}

#[test]
fn what_the_page_opens_with_leads_to_the_domains_that_functions_share() {
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    let domains = browser.text("#detail .domains");
    assert!(domains.contains("domain 6: 4 functions, held together by what is not known"), "{domains}");
    browser.click("#detail .domains button");
    assert!(browser.text("#detail").contains("held together by"));
    assert_eq!(browser.run("return document.activeElement.getAttribute('aria-selected')"), "true");
    // An item is called what its line says, and not what is below it.
    let name = "return document.querySelector('[data-key=\"b0\"]').getAttribute('aria-label')";
    assert_eq!(browser.run(name), "bus 0000:00, root bus");
}

#[cfg(feature = "testkit")]
#[test]
fn a_matrix_that_no_sheet_has_room_for_says_where_all_of_it_is() {
    use acsscan::testkit::{Config, Machine};
    let scratch = tempfile::tempdir().expect("a directory");
    // Each endpoint below a root port that no other is like.
    let mut machine = Machine::new();
    for n in 0..62_u8 {
        let port = Config::root_port(n + 1, n + 1).acs(0x007f, u16::from(n), 0);
        machine = machine.with(&format!("00:{:02x}.{}", n / 8 + 1, n % 8), port.multi_function());
        machine = machine.with(&format!("{:02x}:00.0", n + 1), Config::endpoint());
    }
    for (address, config) in machine.functions_mut() {
        std::fs::write(scratch.path().join(format!("{address}.bin")), config.bytes()).expect("writable");
    }
    let Some(browser) = shown(scratch.path().to_str().expect("UTF-8"), &[]) else { return };
    let note = browser.run("return document.querySelector('.on-paper').textContent");
    let note = note.as_str().expect("text");
    assert!(note.contains("the matrix of 62 classes"), "{note}");
    assert!(note.contains("acsscan p2p --matrix --format json --dump "), "{note}");
    // Only on paper: the screen has the table as large as it is.
    let shown_as = "return getComputedStyle(document.querySelector('.on-paper')).display";
    assert_eq!(browser.run(shown_as), "none");
    let Some(browser) = shown(&corpus("qemu-config-acs"), &[]) else { return };
    assert_eq!(browser.run("return document.querySelector('.on-paper')"), serde_json::Value::Null);
}

/// A full segment: every routing ID, 256 functions below each of 255 root ports, no two with the same registers.
#[cfg(feature = "testkit")]
#[test]
fn a_page_of_65536_functions_stays_below_5_megabytes_and_finds_each() {
    use acsscan::testkit::generate::{self, Set, Size};
    let scratch = tempfile::tempdir().expect("a directory");
    let image = scratch.path().join("segment.ecam");
    let nodes = generate::machine(Set::Regular, Size::Xl, 1);
    assert_eq!(nodes.len(), 65_536);
    let file = std::fs::File::create(&image).expect("writable");
    generate::ecam(&nodes, 1, 0, true, &file).expect("writable");
    let path = page(scratch.path(), image.to_str().expect("UTF-8"), &["--input-format", "ecam"]);
    let size = std::fs::metadata(&path).expect("there").len();
    assert!(size < 5_000_000, "{size} bytes");
    let Some(browser) = Browser::start(1400, 1000) else { return };
    browser.open(&path);
    assert_eq!(browser.run("return document.documentElement.dataset.ready"), "yes");
    for address in ["0000:00:1f.7", "0000:80:03.5", "0000:ff:1f.7"] {
        browser.run(&format!("document.getElementById('find-text').value = '{address}'"));
        browser.run("document.querySelector('#find button').click()");
        let detail = browser.text("#detail");
        assert!(detail.starts_with(address) && detail.contains("held together by"), "{address}: {detail}");
    }
    // A pair that the page does not hold is answered by its classes, with the command for the hops.
    browser.run("document.getElementById('route-from').value = '80:03.5'");
    browser.run("document.getElementById('route-to').value = '10:00.1'");
    browser.run("document.querySelector('#route-form button').click()");
    let route = browser.text("#route");
    assert!(route.contains("acsscan p2p 0000:80:03.5 0000:10:00.1"), "{route}");
    let (complaints, _) = browser.complaints_and_requests();
    assert_eq!(complaints, [""; 0]);
}
