//! Reads raw PCI configuration space and explains isolation: who can reach whom peer-to-peer below
//! the root complex, past the IOMMU; what may be assigned to a guest safely; and which bit of which
//! function is in the way.
//!
//! The kernel answers with a group number and libvirt with yes or no, for the running host only.
//! This crate answers from bytes, of this host or of a dump, and each answer names the registers and
//! the database entries that it rests on. The command `acsscan` is a thin layer on top of it.
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use acsscan::addr::Sbdf;
//! use acsscan::config::ConfigSpace;
//! use acsscan::db;
//! use acsscan::function::{Attributes, Inventory, Record, Sink};
//! use acsscan::route::linux::Linux;
//! use acsscan::topology::Topology;
//!
//! // A root port: bus 1 below it, PCI Express at 40h, ACS at 100h with four controls on.
//! let mut bytes = [0; 4096];
//! bytes[0x00..0x04].copy_from_slice(&[0x86, 0x80, 0x01, 0x00]);
//! bytes[0x06] = 0x10;
//! bytes[0x0a..0x0f].copy_from_slice(&[0x04, 0x06, 0x00, 0x00, 0x01]);
//! bytes[0x18..0x1b].copy_from_slice(&[0, 1, 1]);
//! bytes[0x34] = 0x40;
//! bytes[0x40..0x44].copy_from_slice(&[0x10, 0x00, 0x42, 0x00]);
//! bytes[0x100..0x108].copy_from_slice(&[0x0d, 0x00, 0x01, 0x00, 0x1f, 0x00, 0x1d, 0x00]);
//!
//! let address: Sbdf = "0000:00:1c.0".parse()?;
//! let mut inventory = Inventory::new();
//! let config = &ConfigSpace::new(&bytes);
//! inventory.record(Record { address, config, attributes: Attributes::default() });
//!
//! let topology = Topology::new(inventory.finish());
//! let database = db::builtin()?;
//! let linux = Linux::new(&topology, &database);
//! let index = topology.index_of(address).ok_or("not in the dump")?;
//! assert!(linux.isolation(index).isolates);
//!
//! let grouping = linux.group();
//! assert_eq!(grouping.group_of, [Some(0)]);
//! assert!(grouping.groups[0].is_certain(), "the dump held all that was asked for");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # Flow and layers
//!
//! ```text
//! bytes ──► views ──► functions ──► topology ──► routes / groups ──► findings ──► reports
//! ```
//!
//! Data goes one way. A module imports only from its own layer or a lower one; a test reads the
//! source and fails on an import that points up.
//!
//! | layer | modules | needs | what is there |
//! |---|---|---|---|
//! | 0 | [`addr`], [`anomaly`] | core | addresses, requester IDs, bus ranges; what contradicts the specification, what was not captured |
//! | 0 | `limits` | std | how much is taken from one input |
//! | 1 | [`config`] | core | bounded reads over borrowed bytes, header views |
//! | 2 | [`cap`] | core | the two list walkers, one file for each capability |
//! | 3 | `function`, `db` | alloc | one decoded function, compact and owned; the device database |
//! | 4 | `topology` | alloc | buses, parents, virtual functions, orphans |
//! | 5 | [`route`] | core, alloc | the models of reachability: `route::{port, trace, domains}` follow the specification, `route::linux` is the kernel's grouping, `route::{libvirt, p2pdma}` those checks; `route::check` asks what may be assigned, `route::accept` what somebody accepts |
//! | 5 | `kernel` | alloc | kernel releases, the command line, what it does to ACS |
//! | 6 | `diff` | alloc | two states of a machine: what changed, and what caused what |
//! | 6 | `finding` | alloc | coded, located judgements, lifted from all below; `finding::Question`: may these be assigned, and what does that rest on |
//! | 7 | `dump`, `report` | std | readers and writers; neither imports the other |
//! | 7 | `guest` | cli | the functions that a libvirt domain is given |
//! | 8 | `cli`, `main`, `capi` | std | the command line, the C interface |
//!
//! Guides for kinds of users are in `guide`.
//!
//! `testkit` stands beside them: builders and generators for tests and fuzz targets, used by nothing
//! else.
//!
//! Views report registers and never judge. Every judgement is made in a later layer, once, and keeps
//! its evidence.
//!
//! # Features
//!
//! All features add; none changes what another one does. Embedders take `default-features = false`.
//!
//! | feature | brings |
//! |---|---|
//! | none | `no_std`, no allocation: layers 0 to 2 |
//! | `alloc` | functions, the database's types, topology, the models, findings |
//! | `std` | readers, reports, the built-in database and files of its form |
//! | `archive` (default) | reading archives and compressed dumps |
//! | `mmap` (default) | reading an ECAM image through a memory mapping, on request |
//! | `serde` | JSON output and its schema |
//! | `cli` (default) | the command `acsscan` |
//! | `capi` | the C interface |
//! | `testkit` | what tests and fuzz targets share; no promise of stability |
//!
//! No type of a command-line, colour or JSON library is in a public signature.
//!
//! # Four ways to be off
//!
//! | what | type | effect |
//! |---|---|---|
//! | the dump does not hold these bytes | [`Presence::NotCaptured`](anomaly::Presence::NotCaptured) | the answer is "unknown", never "absent" |
//! | the bytes contradict the specification | [`Anomaly`](anomaly::Anomaly) | it becomes a finding, and parsing goes on |
//! | legal, but weak or contradictory | `finding::Finding` | it is reported: code, severity, functions, evidence, advice |
//! | the operation failed | an `Error` of the module | it says what, where, and what to try |
//!
//! **Absence is proved, not assumed.** "This function has no ACS" requires that its extended list was
//! captured and walked to its end. A walk that an anomaly or the end of the dump cuts short proves
//! nothing, and neither do registers that read all ones.
//!
//! # Trust
//!
//! Every byte of a dump may come from an attacker: a guest can write some of them, and a dump can be
//! edited.
//!
//! * Nothing panics on any bytes. Indexing, unchecked arithmetic, `unwrap` and their like are denied by
//!   lints, and the fuzz targets look for what the lints miss.
//! * Everything is bounded: the walkers visit each offset once, 48 and 960 steps at most; following
//!   parents ends after 255; work and memory grow linearly with the input.
//! * Text is untrusted too. What a dump says about names and drivers is escaped where it is printed.
//! * There is no `unsafe` code, but for the mapping of a file (`mmap`) and the C interface (`capi`).
//! * Nothing is written to the host, and there is no network access.
//!
//! What is *not* promised: that a dump tells the truth. Registers are evidence of what software saw.
//!
//! # What is modelled, and what is not
//!
//! Modelled: ACS with the egress control vector and the enhanced controls, ARI, SR-IOV (virtual
//! functions on later buses, too), PCI Express ports, conventional buses and their bridges, segments
//! that Linux's VMD driver makes, devices with registers laid out otherwise, and Linux's exceptions
//! for devices without ACS.
//!
//! Not modelled: multicast, flattening portal bridges, bus numbers and BARs of Enhanced Allocation,
//! AtomicOp egress blocking, non-transparent bridges, subtractive decode, VGA forwarding, messages: findings
//! where registers show them. Where an answer would rest on flattening portals, Enhanced Allocation, subtractive
//! decode or VGA forwarding it is undetermined; *isolated* says nothing of multicast (against which of ACS only
//! Source Validation acts), nor of what another host sends through a non-transparent bridge.
//! What a root complex does between its own ports is not specified, and no register tells: answers
//! that rest on it say so.
//!
//! # Sources
//!
//! * PCI Express Base Specification, revision 6.x: §6.12 "Access Control Services (ACS)", §6.13
//!   "Alternative Routing-ID Interpretation (ARI)", §7.5 and §7.7 to §7.9 (registers), §9 "Single Root
//!   I/O Virtualization". Citations give section *and* title, because numbers move.
//! * PCI-SIG ECN "ACS Enhanced Capability", 2019-05-07.
//! * PCI Local Bus Specification 3.0; PCI-to-PCI Bridge Architecture Specification 1.2; PC Card
//!   Standard 8.0, volume 4 (header layout 2).
//! * PCI Code and ID Assignment Specification 1.16.
//! * Linux 7.2.13 (alike in 6.12.117): `drivers/iommu/iommu.c`, `drivers/pci/{pci,probe,quirks,search,iov}.c`.
//! * pciutils, for the names of registers and the form of dumps.
//!
//! The `linux` model is compared with what real kernels did: see `corpus/README.md`.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(not(any(feature = "mmap", feature = "capi")), forbid(unsafe_code))]
#![cfg_attr(any(feature = "mmap", feature = "capi"), deny(unsafe_code))]
// No bytes may make the library panic, and none is lost in a conversion that was not meant to lose it. A
// module of layer 7 or 8 that needs an exception from the former takes it on its `mod` line, with the reason;
// layers 0 to 6 have none (tests/architecture.rs).
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod addr;
pub mod anomaly;
pub mod cap;
#[cfg(feature = "capi")]
pub mod capi;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
#[cfg(feature = "alloc")]
pub mod db;
#[cfg(feature = "alloc")]
pub mod diff;
#[cfg(feature = "std")]
pub mod dump;
#[cfg(feature = "alloc")]
pub mod finding;
#[cfg(feature = "alloc")]
pub mod function;
#[cfg(feature = "cli")]
pub mod guest;
#[cfg(feature = "alloc")]
pub mod kernel;
#[cfg(feature = "std")]
pub mod limits;
#[cfg(feature = "std")]
pub mod guide {
    //! Guides, one for each kind of user. A test runs every command in them.

    #[doc = include_str!("docs/embed.md")]
    pub mod embed {}
    #[doc = include_str!("docs/engines.md")]
    pub mod engines {}
    #[doc = include_str!("docs/fleet.md")]
    pub mod fleet {}
    #[doc = include_str!("docs/group.md")]
    pub mod group {}
    #[doc = include_str!("docs/libvirt.md")]
    pub mod libvirt {}
    #[doc = include_str!("docs/limits.md")]
    pub mod limits {}
    #[doc = include_str!("docs/p2p.md")]
    pub mod p2p {}
}
#[cfg(feature = "std")]
pub mod report;
#[allow(
    clippy::cast_possible_truncation,
    reason = "indices of functions, buses and entries are kept in 32 bits: 2^32 functions would take 384 GiB"
)]
pub mod route;
#[cfg(feature = "testkit")]
#[doc(hidden)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it makes bytes and takes none on trust"
)]
pub mod testkit;
#[cfg(feature = "alloc")]
pub mod topology;
