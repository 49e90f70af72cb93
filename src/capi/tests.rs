//! What the C border itself has to keep: nothing is followed that is NULL, no panic gets through, and
//! what is handed out can be freed. What a C program gets to see is in tests/capi.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use super::border::call;
use super::*;

/// Takes a string that was handed out.
fn take(text: *mut c_char) -> String {
    assert!(!text.is_null(), "there is a text");
    // SAFETY: it was handed out by the library.
    let copy = unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8").to_owned();
    // SAFETY: as before, and it is not used any more.
    unsafe { acsscan_string_free(text) };
    copy
}

fn corpus(name: &str) -> *mut CScan {
    let path = format!("{}/corpus/{name}/dump.txt", env!("CARGO_MANIFEST_DIR"));
    let path = CString::new(path).expect("no NUL");
    let (mut scan, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are good.
    let status = unsafe { acsscan_open_path(path.as_ptr(), null(), &raw mut scan, &raw mut error) };
    assert_eq!(status, CStatus::Ok);
    assert!(error.is_null());
    scan
}

fn options() -> COptions {
    COptions {
        size: size_of::<COptions>(),
        flags: 0,
        database_count: 0,
        databases: null(),
        database_root: null(),
        today: null(),
    }
}

#[test]
fn a_panic_becomes_a_status_and_a_text() {
    let mut error = null_mut();
    // SAFETY: the pointer is good.
    let status = unsafe { call(&raw mut error, || panic!("for a test")) };
    assert_eq!(status, CStatus::Internal);
    assert!(take(error).contains("please report"));
}

#[test]
fn null_is_reported_and_not_followed() {
    let mut error = null_mut();
    let mut number = 7_usize;
    // SAFETY: NULL is what is tested.
    unsafe {
        let status = acsscan_function_find(null(), null(), &raw mut number, &raw mut error);
        assert_eq!(status, CStatus::InvalidArgument);
        assert!(take(error).contains("scan is NULL"));
        assert_eq!(number, 7, "no output on failure");
        assert_eq!(acsscan_open_path(null(), null(), null_mut(), null_mut()), CStatus::InvalidArgument);
        assert_eq!(acsscan_function_count(null()), 0);
        assert_eq!(
            acsscan_builder_finish(null_mut(), null(), null_mut(), null_mut()),
            CStatus::InvalidArgument
        );
        acsscan_close(null_mut());
        acsscan_builder_free(null_mut());
        acsscan_string_free(null_mut());
    }
}

#[test]
fn numbers_and_flags_that_make_no_sense_are_refused() {
    let scan = corpus("qemu-sriov");
    let mut error = null_mut();
    // SAFETY: all pointers are good or NULL.
    unsafe {
        let count = acsscan_function_count(scan);
        let mut address = CAddress { segment: 0, bus: 0, device: 0, function: 0 };
        let status = acsscan_function_address(scan, count, &raw mut address, &raw mut error);
        assert_eq!(status, CStatus::InvalidArgument);
        assert_eq!(take(error), format!("function {count} of {count}: numbers start at 0"));
        let (mut verdict, mut disposition) = (CVerdict::Assignable, CDisposition::Direct);
        let mut found = 0;
        address.device = 32;
        let status = acsscan_function_find(scan, &raw const address, &raw mut found, null_mut());
        assert_eq!(status, CStatus::InvalidArgument);
        (address.bus, address.device) = (0xfe, 31);
        let status = acsscan_function_find(scan, &raw const address, &raw mut found, null_mut());
        assert_eq!(status, CStatus::NotFound);
        let status = acsscan_check(scan, &raw const count, 1, 0, &raw mut verdict, null_mut(), null_mut());
        assert_eq!(status, CStatus::InvalidArgument);
        let status = acsscan_check(scan, [0].as_ptr(), 1, 99, &raw mut verdict, null_mut(), &raw mut error);
        assert_eq!((status, take(error).contains("acsscan_policy")), (CStatus::InvalidArgument, true));
        let status = acsscan_p2p(scan, 0, 1, 5, &raw mut disposition, null_mut(), &raw mut error);
        assert_eq!((status, take(error).contains("acsscan_transaction")), (CStatus::InvalidArgument, true));
        acsscan_close(scan);
        let mut scan = null_mut();
        for (wrong, said) in [
            (COptions { flags: 0x8000, ..options() }, "flags 0x8000 are not known"),
            (COptions { size: size_of::<usize>() - 1, ..options() }, "sizeof(acsscan_options)"),
            (COptions { database_count: 1, ..options() }, "options.databases is NULL"),
            (COptions { today: c"2026-02-30".as_ptr(), ..options() }, "options.today is 2026-02-30"),
        ] {
            let status =
                acsscan_open_memory([0].as_ptr(), 1, &raw const wrong, &raw mut scan, &raw mut error);
            assert_eq!(status, CStatus::InvalidArgument);
            let text = take(error);
            assert!(text.contains(said), "{text}");
        }
        assert!(scan.is_null());
    }
}

#[test]
fn attributes_of_other_versions_count_as_far_as_both_know_them() {
    /// What a later version may look like.
    #[repr(C)]
    struct Later {
        attributes: CAttributes,
        more: usize,
    }
    let builder = acsscan_builder_new();
    let address = |function| CAddress { segment: 0, bus: 0, device: 1, function };
    let group = 5;
    let attributes = CAttributes {
        size: size_of::<Later>(),
        driver: null(),
        kernel_group: &raw const group,
        physical_function: null(),
        is_whole_config_file: true,
    };
    let mut later = Later { attributes, more: 0 };
    let bytes = [0x86_u8, 0x80, 1, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: all pointers are good or NULL.
    unsafe {
        let add = |function, given: *const CAttributes| {
            let at = address(function);
            acsscan_builder_add(builder, &raw const at, bytes.as_ptr(), 16, given, null_mut())
        };
        assert_eq!(add(0, (&raw const later).cast()), CStatus::Ok);
        later.more = 1;
        assert_eq!(add(1, (&raw const later).cast()), CStatus::InvalidArgument, "it wants what is not known");
        // An earlier version without the last members: of those behind its end nothing is read.
        later.attributes.size = std::mem::offset_of!(CAttributes, physical_function);
        later.attributes.physical_function = std::ptr::dangling();
        assert_eq!(add(2, (&raw const later).cast()), CStatus::Ok);
        later.attributes.size = 0;
        assert_eq!(add(3, (&raw const later).cast()), CStatus::InvalidArgument, "no size");
        let mut scan = null_mut();
        assert_eq!(acsscan_builder_finish(builder, null(), &raw mut scan, null_mut()), CStatus::Ok);
        assert_eq!(acsscan_function_count(scan), 2);
        for function in 0..2 {
            let (mut read, mut ids) = (0, 0);
            assert_eq!(acsscan_function_kernel_group(scan, function, &raw mut read, null_mut()), CStatus::Ok);
            assert_eq!(acsscan_function_ids(scan, function, &raw mut ids, null_mut()), CStatus::Ok);
            assert_eq!((read, ids), (5, 0x8086_0001));
        }
        let mut acs = CAcs { presence: CPresence::Present, offset: 1, capability: 1, control: 1 };
        assert_eq!(acsscan_function_acs(scan, 0, &raw mut acs, null_mut()), CStatus::Ok);
        assert_eq!((acs.presence, acs.offset), (CPresence::NotCaptured, 0), "not captured is not absent");
        acsscan_close(scan);
    }
}

#[test]
fn every_function_is_in_the_domain_and_the_group_that_it_names() {
    let scan = corpus("qemu-sriov");
    // SAFETY: all pointers are good.
    unsafe {
        let count = acsscan_function_count(scan);
        let mut seen = 0;
        for domain in 0..acsscan_domain_count(scan) {
            let mut members = vec![usize::MAX; count];
            let mut size = 0;
            let status =
                acsscan_domain_members(scan, domain, members.as_mut_ptr(), count, &raw mut size, null_mut());
            assert_eq!(status, CStatus::Ok);
            assert!(members[size..].iter().all(|rest| *rest == usize::MAX), "no more than there are");
            for member in &members[..size] {
                let mut of = usize::MAX;
                assert_eq!(acsscan_domain_of(scan, *member, &raw mut of, null_mut()), CStatus::Ok);
                assert_eq!(of, domain);
            }
            seen += size;
        }
        assert_eq!((seen, count), (32, 32));
        let (mut one, mut size) = ([usize::MAX; 2], 0);
        let group = 0;
        let status = acsscan_group_members(scan, group, one.as_mut_ptr(), 1, &raw mut size, null_mut());
        assert_eq!((status, one[1]), (CStatus::Ok, usize::MAX), "no more than there is room for");
        acsscan_close(scan);
    }
}

/// Threads share a scan; handles wander between them.
#[test]
fn a_scan_may_be_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<CScan>();
    is_sent::<CBuilder>();
}

/// An administrator's directory counts as it does for the command, and can be left out.
#[test]
fn an_acceptance_of_the_administrator_counts_until_its_last_day() {
    let root = tempfile::tempdir().expect("a directory");
    let folder = root.path().join("etc/acsscan/devices.d");
    std::fs::create_dir_all(&folder).expect("made");
    let accepted = include_str!("../../tests/capi/accepted.toml");
    std::fs::write(folder.join("ours.toml"), accepted).expect("written");
    std::fs::write(folder.join("wrong.toml"), "schema = 9").expect("written");
    let root = CString::new(root.path().to_str().expect("UTF-8")).expect("no NUL");
    let path = CString::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/qemu-sriov/dump.txt"));
    let path = path.expect("no NUL");
    let check = |options: &COptions| {
        let (mut scan, mut error, mut why) = (null_mut(), null_mut(), null_mut());
        let (mut verdict, mut function) = (CVerdict::Assignable, 0);
        let (mut address, policy) = (CAddress { segment: 0, bus: 1, device: 0, function: 0 }, CPolicy::Spec);
        // SAFETY: all pointers are good.
        unsafe {
            let status = acsscan_open_path(path.as_ptr(), options, &raw mut scan, &raw mut error);
            assert_eq!(status, CStatus::Ok);
            acsscan_function_find(scan, &raw mut address, &raw mut function, null_mut());
            let problems = acsscan_problem_count(scan);
            let status = acsscan_check(
                scan,
                &raw const function,
                1,
                policy as u32,
                &raw mut verdict,
                &raw mut why,
                null_mut(),
            );
            assert_eq!(status, CStatus::Ok);
            acsscan_close(scan);
            (verdict, take(why), problems)
        }
    };
    let of = |today: &std::ffi::CStr, flags| COptions {
        database_root: root.as_ptr(),
        today: today.as_ptr(),
        flags,
        ..options()
    };
    let own = CFlag::OwnHost as u32;
    let (verdict, why, problems) = check(&of(c"2026-12-31", own));
    assert_eq!(
        (verdict, problems),
        (CVerdict::Inconclusive, 1),
        "a file that is wrong might say more: {why}"
    );
    assert!(why.contains("wrong.toml"), "{why}");
    std::fs::remove_file(folder.join("wrong.toml")).expect("there");
    let (verdict, why, problems) = check(&of(c"2026-12-31", own));
    assert_eq!((verdict, problems), (CVerdict::Accepted, 0), "{why}");
    assert!(why.starts_with("0000:01:00.0: accepted (by Virtualization team, until 2026-12-31): "), "{why}");
    let (verdict, why, _) = check(&of(c"2027-01-01", own));
    assert_eq!(verdict, CVerdict::Inconclusive);
    assert!(why.starts_with("not known: 0000:01:00.0 is not kept apart from functions outside: "), "{why}");
    let (verdict, ..) = check(&of(c"2026-12-31", 0));
    assert_eq!(verdict, CVerdict::Inconclusive, "a place of this host says nothing of another one's dump");
    let (verdict, _, problems) = check(&of(c"2026-12-31", own | CFlag::NoDefaultDatabases as u32));
    assert_eq!((verdict, problems), (CVerdict::Inconclusive, 0));
}
