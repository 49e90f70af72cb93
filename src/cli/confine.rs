//! What the process gives up before it looks at bytes of strangers.
//!
//! Linux's Landlock leaves it files and directories to read that were named, and nothing to write, run
//! or connect to. Root that reads a dump becomes `nobody`, with the one capability to read what root may
//! read. What the system does not offer is left out: nothing depends on it, and `-v` tells.
//!
//! Sources: Linux, Documentation/userspace-api/landlock.rst; capabilities(7), prctl(2).

use std::error::Error;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

/// What stays open.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Files, and directories with all that is in them.
    pub(super) read: Vec<PathBuf>,
    /// Whether only files are read: this host's configuration space takes root's capabilities.
    pub(super) dump: bool,
}

/// Gives up the rest, and says for `-v` what became of it, one line each.
pub(super) fn confine(needs: &Needs) -> Vec<String> {
    let mut said = Vec::new();
    if needs.dump && geteuid().is_root() {
        said.push(match become_nobody() {
            Ok(()) => String::from("no longer root: nobody, who may read what root may and nothing else"),
            Err(error) => format!("still root: {error}"),
        });
    }
    // Also what Landlock asks for.
    said.push(match prctl::set_no_new_privs() {
        Ok(()) => String::from("no new privileges"),
        Err(error) => format!("new privileges are possible: {error}"),
    });
    said.push(match restrict(&needs.read) {
        Ok(RulesetStatus::FullyEnforced) => {
            String::from("Landlock: nothing but the input can be read, nothing written")
        }
        Ok(RulesetStatus::PartiallyEnforced) => String::from(
            "Landlock: nothing but the input can be read, nothing written (as far as this kernel can)",
        ),
        Ok(RulesetStatus::NotEnforced) => String::from("Landlock: not in this kernel"),
        Err(error) => format!("Landlock: {error}"),
    });
    said
}

/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// Another user, no groups, one capability. In a container that has no such user, or without the
/// capabilities for it, all stays as it was.
fn become_nobody() -> Result<(), String> {
    let nix = |error: nix::Error| error.to_string();
    let caps = |error: caps::errors::CapsError| error.to_string();
    let kept: CapsHashSet = [Capability::CAP_DAC_READ_SEARCH].into_iter().collect();
    if !caps::read(None, CapSet::Permitted).map_err(caps)?.is_superset(&kept) {
        return Err(String::from("nobody could not read what root may, for want of CAP_DAC_READ_SEARCH"));
    }
    prctl::set_keepcaps(true).map_err(nix)?;
    setgroups(&[]).map_err(nix)?;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setresgid(group, group, group).map_err(nix)?;
    setresuid(user, user, user).map_err(nix)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(caps)?;
    caps::set(None, CapSet::Effective, &kept).map_err(caps)
}

/// The newest rules that are known here; an older kernel takes those that it knows.
const RULES: ABI = ABI::V6;

fn restrict(read: &[PathBuf]) -> Result<RulesetStatus, Box<dyn Error>> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?;
    let mut created = ruleset.create()?;
    for rule in read.iter().filter_map(|path| rule(path)) {
        // A pipe that a shell has opened cannot be ruled upon, and needs no rule.
        if let Ok(more) = created.try_clone()?.add_rule(rule) {
            created = more;
        }
    }
    Ok(created.restrict_self()?.ruleset)
}

/// Reading of a file, or of all in a directory. What cannot be opened is not there to be read.
fn rule(path: &Path) -> Option<PathBeneath<PathFd>> {
    let file: BitFlags<AccessFs> = AccessFs::ReadFile.into();
    let access = if path.is_dir() { file | AccessFs::ReadDir } else { file };
    PathFd::new(path).ok().map(|opened| PathBeneath::new(opened, access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;

    #[test]
    fn what_was_not_named_can_neither_be_read_nor_written() {
        let scratch = tempfile::tempdir().expect("a directory");
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir_all(path("named/inside")).expect("made");
        fs::write(path("named/inside/config"), "x").expect("written");
        fs::write(path("other"), "y").expect("written");
        // Landlock holds for the thread that asks for it.
        let (named, inside, other) = (path("named"), path("named/inside/config"), path("other"));
        let confined = std::thread::spawn(move || {
            let status = restrict(&[named.clone(), PathBuf::from("/nowhere")]).expect("restricted");
            if status == RulesetStatus::NotEnforced {
                return None;
            }
            let denied = |result: std::io::Result<()>| {
                assert_eq!(result.expect_err("refused").kind(), ErrorKind::PermissionDenied);
            };
            assert_eq!(fs::read_to_string(&inside).expect("named"), "x");
            assert_eq!(fs::read_dir(&named).expect("named").count(), 1);
            denied(fs::read(&other).map(drop));
            denied(fs::read("/etc/passwd").map(drop));
            denied(fs::write(&inside, "z"));
            denied(fs::write(named.join("new"), "z"));
            denied(fs::remove_file(&inside));
            denied(std::process::Command::new("/bin/true").status().map(drop));
            Some(())
        });
        if confined.join().expect("as expected").is_none() {
            println!("skipped: this kernel has no Landlock");
        }
        assert_eq!(fs::read_to_string(path("other")).expect("another thread"), "y");
    }
}
