//! The ends of the helps: notes and examples. `examples/make_assets.rs` makes sections of the manual pages
//! of them: a line at the margin that ends with a colon is a heading.

/// One line.
pub(super) const ABOUT: &str = "Who can reach whom in a PCI hierarchy, past the IOMMU, and why";

/// What it does and reads.
pub(super) const LONG_ABOUT: &str = "\
Reads PCI configuration space, of this host or from a dump, decodes ACS, ARI, SR-IOV and the \
multi-function headers, predicts the kernel's IOMMU groups, and says for each group which bit of \
which register holds it together.

Without a verb: the scan. SOURCE is a file or directory; its format is found out: output of lspci \
-x, -xxx, -xxxx or -vv, config files or directories of them, a copy of sysfs or of /proc/bus/pci, an \
archive of these (tar; gzip, bzip2, xz, Zstandard), an sos report, a dump of rdma_topo, an ECAM image, or - for standard \
input. Without --dump: this host (root is needed for more \
than the first 64 bytes of each function).";

/// The scan.
pub(super) const SCAN: &str = "\
Examples:
  acsscan                                      this host: groups, reasons, findings
  lspci -xxxx | acsscan --dump -               the same from a pipe
  acsscan --dump host.txt                      somebody else's dump
  acsscan 01:00.0 --dump host.txt              one function, and its group
  acsscan show -s 00:1c --dump host.txt        decoded registers, as lspci -s selects them
  acsscan show -t --dump host.txt              the hierarchy, with groups and domains
  acsscan groups --format json --dump host.txt the groups for a program
  acsscan capture -o host.tar.zst              this host in one file, as root
  acsscan report -o host.html --dump host.txt  one page that holds everything, for a browser

Exit codes:
  0 done   1 a finding at or above --fail-on   2 usage
  3 something that the answer needs is not in the dump   4 the input could not be read";

/// `db`.
pub(super) const DB: &str = "\
Layers, later ones win: what is compiled in, /usr/share/acsscan/devices.d/*.toml,
/etc/acsscan/devices.d/*.toml, --db FILE (a file or a directory, may be repeated).
The kernel knows the first layer only: its groups stay what they are.

A file, complete:
  schema = 1

  [[entry]]                                 # a fact about a device
  name = \"our-adapter\"
  kind = \"isolates\"
  match = { vendor = \"1af4\", devices = [\"1041\", \"1050-105f\"] }
  services = [\"ReqRedir\", \"CmpltRedir\"]
  source = \"Letter of the vendor, 2026-03-02\"
  reason = \"Its functions share no internal path.\"

  [[entry]]                                 # a decision, which is no fact
  name = \"lab-switch\"
  kind = \"accept\"
  slot = \"0000:00:1c.0/00.0/01.0\"          # or match = { ... }
  direct = true                             # what is proved, too
  who = \"Erika Mustermann\"
  reason = \"Both guests are ours.\"
  until = 2027-06-30

All kinds and keys: the page src/db/README.md of the source.

Examples:
  acsscan db list                           everything, with sources
  acsscan db lookup 8086:10fb               what there is about a device
  acsscan db explain 01:00.0                what it does to a function of this host
  acsscan db check my.toml                  every mistake, with line and column; exit code 1
  acsscan db accept 01:00.0 --who Erika --reason 'Both guests are ours' --direct > my.toml";

/// `db list`.
pub(super) const DB_LIST: &str = "\
Examples:
  acsscan db list                           everything, with sources
  acsscan db list --db my.toml --format json with a layer of one's own, for a program";

/// `db lookup`.
pub(super) const DB_LOOKUP: &str = "\
Examples:
  acsscan db lookup 8086:10fb               a device
  acsscan db lookup 8086:                   all of a vendor
  acsscan db lookup 01:00.0 --dump host.txt what a dump has at an address";

/// `db check`.
pub(super) const DB_CHECK: &str = "\
Examples:
  acsscan db check my.toml                  one file
  acsscan db check /etc/acsscan/devices.d   a directory of them
  acsscan db check                          all files of this host";

/// `db explain`.
pub(super) const DB_EXPLAIN: &str = "\
Examples:
  acsscan db explain 01:00.0                of this host
  acsscan db explain 01:00.0 --dump host.txt --db my.toml";

/// `db accept`.
pub(super) const DB_ACCEPT: &str = "\
Examples:
  acsscan db accept 01:00.0 --who Erika --reason 'Both guests are ours' --direct > my.toml
  acsscan db accept 01:00.0 --with 01:00.1 --until 2027-06-30 --who Erika --reason 'One guest has both'";

/// `plan isolate`.
pub(super) const PLAN_ISOLATE: &str = "\
Examples:
  acsscan plan isolate 03:00.0 --dump host.txt               its setpci lines, parameters, side effects
  acsscan plan isolate 03:00.0 --model linux --dump host.txt for a group of its own, which VFIO asks for

Exit code 1 where no change of registers does it, 3 where the dump does not tell.";

/// `plan connect`.
pub(super) const PLAN_CONNECT: &str = "\
Examples:
  acsscan plan connect 03:00.0 04:00.0 --dump host.txt             for GPUDirect or RDMA between the two
  acsscan plan connect --all-pairs --class gpu,nic --dump host.txt between all of these

Exit code 1 where no change of registers does it.";

/// `hook`.
pub(super) const HOOK: &str = "\
Examples:
  acsscan hook libvirt -- \"$@\"                    in /etc/libvirt/hooks/qemu.d/10-acsscan
  acsscan hook libvirt -- guest prepare begin - < guest.xml
                                                 what it would say to this guest";

/// `hook libvirt`.
pub(super) const HOOK_LIBVIRT: &str = "\
Only `prepare begin` is answered; every other operation ends with 0 at once. The guest's XML is read
from standard input. Nothing goes to standard output; the reason is the first line of standard
error, which libvirt shows and logs.

A hook is not asked when a device is plugged into a running guest (virsh attach-device).

Installation:
  As root, in /etc/libvirt/hooks/qemu.d/10-acsscan (mode 755), then restart libvirtd:
    #!/bin/sh
    exec /usr/bin/acsscan hook libvirt -- \"$@\"

Examples:
  acsscan hook libvirt -- guest prepare begin - < guest.xml
                                                 what it would say to this guest";

#[cfg(test)]
mod tests {
    use clap::Command;

    fn without_examples(command: &Command, without: &mut Vec<String>) {
        let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !end.lines().any(|line| line == "Examples:") {
            without.push(command.get_name().to_owned());
        }
        command.get_subcommands().for_each(|below| without_examples(below, without));
    }

    #[test]
    fn every_command_shows_examples() {
        let mut without = Vec::new();
        without_examples(&crate::cli::typed::command(), &mut without);
        assert!(without.is_empty(), "{without:?}");
    }

    /// Manual pages leave out the short help of an option that `-h` does not show.
    fn without_description(command: &Command, without: &mut Vec<String>) {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        let lacking = shown.filter(|argument| match argument.is_hide_short_help_set() {
            true => argument.get_long_help().is_none(),
            false => argument.get_help().is_none(),
        });
        without.extend(lacking.map(|argument| argument.get_id().to_string()));
        command.get_subcommands().for_each(|below| without_description(below, without));
    }

    #[test]
    fn every_option_has_a_description_in_the_manual_pages() {
        let mut without = Vec::new();
        without_description(&crate::cli::typed::command(), &mut without);
        assert!(without.is_empty(), "{without:?}");
    }
}
