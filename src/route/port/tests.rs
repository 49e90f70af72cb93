//! The whole input space of [`decide`] against a literal table.

use super::Decision::{Block, Direct, Redirect, Undetermined, Up};
use super::TlpClass::{Completion, CompletionRelaxed, Io, MemoryTranslated, MemoryUntranslated};
use super::*;
extern crate std;
use std::vec::Vec;

const DP: u8 = 1;
const RP: u8 = 2;
const FN: u8 = 4;
const IN: u8 = 8;
const PORT: u8 = DP | RP;
const ANY: u8 = 15;

const UP: u16 = 1;
const BACK: u16 = 2;
const PEER: u16 = 4;
const OWN: u16 = 8;
const PEER_BAR: u16 = 16;
const UPSTREAM_BAR: u16 = 32;
const UNCLAIMED: u16 = 64;
const BAR: u16 = OWN | PEER_BAR | UPSTREAM_BAR;

const MU: u8 = 1;
const MT: u8 = 2;
const C: u8 = 4;
const CR: u8 = 8;
const IO: u8 = 16;
const MEM: u8 = MU | MT;
const CPL: u8 = C | CR;
const ALL: u8 = 31;

/// One row: role, way, class, condition on what is known of ACS, decision. The first that fits counts.
///
/// The condition: `absent`, `unknown`, `any`, or words that must all hold: `TB+` on, `TB-` off or not
/// offered, `RR!` not offered; `bit=0`, `bit=1`, `bit=?` of the vector; `DSP=01` and `USP=01`.
type Row = (u8, u16, u8, &'static str, Decision);

/// Sections 4 and 5 of the routing model, row by row.
const TABLE: &[Row] = &[
    // R2: entering a port from below, before any routing.
    (PORT, !0, MT, "TB+", Block(Reason::TranslationBlocking)),
    (PORT, !0, IO, "IOB+", Block(Reason::IoRequestBlocking)),
    (PORT, UP, MT | IO, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (ANY, UP, ALL, "any", Up),
    // R4: a redirected transaction meets a port above its target.
    (ANY, BACK, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (ANY, BACK, IO, "any", Undetermined(Reason::IoNotGoverned)),
    (ANY, BACK, ALL, "UF+", Up),
    (ANY, BACK, ALL, "absent", Undetermined(Reason::UpstreamForwardingNotImplemented)),
    (ANY, BACK, ALL, "UF!", Undetermined(Reason::UpstreamForwardingNotImplemented)),
    (ANY, BACK, ALL, "UF-", Undetermined(Reason::UpstreamForwardingOff)),
    // Addresses that no port claims.
    (ANY, UNCLAIMED, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (ANY, UNCLAIMED, MEM, "URR+", Redirect(Reason::UnclaimedRedirect)),
    (ANY, UNCLAIMED, ALL, "any", Block(Reason::UnsupportedRequest)),
    // R5: a root port, or a function on a root bus, towards others.
    (RP, PEER | PEER_BAR, ALL, "RR!", Block(Reason::NoPeerSupport)),
    (RP | IN, PEER, ALL, "absent", Undetermined(Reason::RootComplex)),
    (RP | IN, PEER, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (RP | IN, PEER, IO | CR, "any", Undetermined(Reason::RootComplex)),
    (RP | IN, PEER, C, "CR+", Redirect(Reason::CompletionRedirect)),
    (RP | IN, PEER, C, "any", Undetermined(Reason::RootComplex)),
    (RP | IN, PEER, MT, "DT+ TB-", Undetermined(Reason::RootComplex)),
    (RP | IN, PEER, MEM, "RR- EC-", Undetermined(Reason::RootComplex)),
    (RP | IN, PEER, MEM, "RR+ EC-", Redirect(Reason::RequestRedirect)),
    (RP | IN, PEER, MEM, "RR- EC+ bit=1", Block(Reason::EgressControl)),
    (RP | IN, PEER, MEM, "RR+ EC+ bit=1", Redirect(Reason::EgressRedirect)),
    (RP | IN, PEER, MEM, "EC+ bit=?", Undetermined(Reason::VectorNotKnown)),
    (RP | IN, PEER, MEM, "any", Undetermined(Reason::RootComplex)),
    // R1: inside a multi-function device.
    (FN, PEER, ALL, "absent", Undetermined(Reason::MultiFunctionWithoutAcs)),
    (FN, PEER, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (FN, PEER, CPL, "CR!", Redirect(Reason::NoInternalPath)),
    (FN, PEER, MEM, "RR!", Redirect(Reason::NoInternalPath)),
    // R3: turning inside a switch; the same inside a device for what is implemented.
    (DP, PEER, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (DP | FN, PEER, IO, "any", Undetermined(Reason::IoNotGoverned)),
    (DP, PEER, ALL, "absent", Direct(Reason::PortWithoutAcs)),
    (DP | FN, PEER, CR, "any", Direct(Reason::RelaxedOrdering)),
    (DP | FN, PEER, C, "CR+", Redirect(Reason::CompletionRedirect)),
    (DP | FN, PEER, C, "CR!", Direct(Reason::CompletionRedirectNotImplemented)),
    (DP | FN, PEER, C, "CR-", Direct(Reason::CompletionRedirectOff)),
    (DP | FN, PEER, MT, "DT+ TB-", Direct(Reason::DirectTranslated)),
    (DP | FN, PEER, MEM, "RR! EC-", Direct(Reason::RequestRedirectNotImplemented)),
    (DP | FN, PEER, MEM, "RR- EC-", Direct(Reason::RequestRedirectOff)),
    (DP | FN, PEER, MEM, "RR+ EC-", Redirect(Reason::RequestRedirect)),
    (DP | FN, PEER, MEM, "RR- EC+ bit=0", Direct(Reason::EgressAllowed)),
    (DP | FN, PEER, MEM, "RR- EC+ bit=1", Block(Reason::EgressControl)),
    (DP | FN, PEER, MEM, "RR+ EC+ bit=0", Direct(Reason::EgressAllowed)),
    (DP | FN, PEER, MEM, "RR+ EC+ bit=1", Redirect(Reason::EgressRedirect)),
    (DP | FN, PEER, MEM, "EC+ bit=?", Undetermined(Reason::VectorNotKnown)),
    // BARs of ports. What would be direct to another root port's is not known.
    (ANY, BAR, ALL, "unknown", Undetermined(Reason::AcsNotCaptured)),
    (ANY, BAR, IO, "any", Undetermined(Reason::IoNotGoverned)),
    (RP, PEER_BAR | UPSTREAM_BAR, ALL, "absent", Undetermined(Reason::RootComplex)),
    (ANY, BAR, ALL, "absent", Direct(Reason::PortWithoutAcs)),
    (RP, PEER_BAR, CR, "any", Undetermined(Reason::RootComplex)),
    (ANY, PEER_BAR, CR, "any", Direct(Reason::RelaxedOrdering)),
    (ANY, PEER_BAR, C, "CR+", Redirect(Reason::CompletionRedirect)),
    (RP, PEER_BAR, C, "any", Undetermined(Reason::RootComplex)),
    (ANY, PEER_BAR, C, "CR!", Direct(Reason::CompletionRedirectNotImplemented)),
    (ANY, PEER_BAR, C, "any", Direct(Reason::CompletionRedirectOff)),
    (RP, UPSTREAM_BAR, CPL, "any", Undetermined(Reason::RootComplex)),
    (ANY, OWN | UPSTREAM_BAR, CPL, "any", Direct(Reason::OnTheWayUp)),
    (RP, PEER_BAR, MEM, "ENH+ DSP=00", Undetermined(Reason::RootComplex)),
    (RP, UPSTREAM_BAR, MEM, "ENH+ USP=00", Undetermined(Reason::RootComplex)),
    (ANY, OWN | PEER_BAR, MEM, "ENH+ DSP=00", Direct(Reason::MemoryTargetDirect)),
    (ANY, OWN | PEER_BAR, MEM, "ENH+ DSP=01", Block(Reason::MemoryTargetBlock)),
    (ANY, OWN | PEER_BAR, MEM, "ENH+ DSP=10", Redirect(Reason::MemoryTargetRedirect)),
    (ANY, OWN | PEER_BAR, MEM, "ENH+ DSP=11", Undetermined(Reason::MemoryTargetReserved)),
    (ANY, UPSTREAM_BAR, MEM, "ENH+ USP=00", Direct(Reason::MemoryTargetDirect)),
    (ANY, UPSTREAM_BAR, MEM, "ENH+ USP=01", Block(Reason::MemoryTargetBlock)),
    (ANY, UPSTREAM_BAR, MEM, "ENH+ USP=10", Redirect(Reason::MemoryTargetRedirect)),
    (ANY, UPSTREAM_BAR, MEM, "ENH+ USP=11", Undetermined(Reason::MemoryTargetReserved)),
    (RP, PEER_BAR | UPSTREAM_BAR, MEM, "RR-", Undetermined(Reason::RootComplex)),
    (ANY, BAR, MEM, "RR!", Direct(Reason::RequestRedirectNotImplemented)),
    (ANY, BAR, MEM, "RR-", Direct(Reason::RequestRedirectOff)),
    (RP, PEER_BAR | UPSTREAM_BAR, MT, "DT+ TB-", Undetermined(Reason::RootComplex)),
    (ANY, BAR, MT, "DT+ TB-", Direct(Reason::DirectTranslated)),
    (ANY, BAR, MEM, "RR+", Undetermined(Reason::PortTargetUnspecified)),
];

/// What one condition asks of the registers: presence, `(mask of offered, value)`, `(mask, value)` of
/// the controls, vector bit.
#[derive(Clone, Copy)]
struct Asks {
    acs: Option<u8>,
    offered: (u16, u16),
    enabled: (u16, u16),
    bit: Option<VectorBit>,
}

fn parse(condition: &str) -> Asks {
    let mut asks = Asks { acs: Some(2), offered: (0, 0), enabled: (0, 0), bit: None };
    for word in condition.split(' ') {
        let (name, sign) = word.split_at(word.len() - 1);
        let control = match name {
            "TB" => 1 << 1,
            "RR" => 1 << 2,
            "CR" => 1 << 3,
            "UF" => 1 << 4,
            "EC" => 1 << 5,
            "DT" => 1 << 6,
            "IOB" => 1 << 7,
            "URR" => 1 << 12,
            _ => 0,
        };
        let two = |word: &str| u16::from_str_radix(word, 2).expect("two bits");
        match (word, sign) {
            ("any", _) => asks.acs = None,
            ("absent", _) => asks.acs = Some(0),
            ("unknown", _) => asks.acs = Some(1),
            ("bit=0", _) => asks.bit = Some(VectorBit::Clear),
            ("bit=1", _) => asks.bit = Some(VectorBit::Set),
            ("bit=?", _) => asks.bit = Some(VectorBit::Unknown),
            ("ENH+", _) => asks.offered = (1 << 7, 1 << 7),
            (_, "+") => asks.enabled = (asks.enabled.0 | control, asks.enabled.1 | control),
            (_, "-") => asks.enabled.0 |= control,
            (_, "!") => asks.offered.0 |= control,
            _ if word.starts_with("DSP=") => asks.enabled = (3 << 8, two(&word[4..]) << 8),
            _ => asks.enabled = (3 << 10, two(&word[4..]) << 10),
        }
        assert!(
            control != 0 || !name.chars().all(|c| c.is_ascii_uppercase()) || name == "ENH",
            "{condition}"
        );
    }
    asks
}

impl Asks {
    fn holds(&self, acs: Acs, bit: VectorBit) -> bool {
        let (presence, offered, enabled) = match acs {
            Acs::Absent => (0, 0, 0),
            Acs::Unknown(_) => (1, 0, 0),
            Acs::Present(services) => (2, services.offered().bits(), services.enabled().bits()),
        };
        self.acs.is_none_or(|acs| acs == presence)
            && offered & self.offered.0 == self.offered.1
            && enabled & self.enabled.0 == self.enabled.1
            && self.bit.is_none_or(|wanted| wanted == bit)
    }
}

/// Every state of the controls that differs from the others: each of the first seven not offered, off
/// or on; the enhanced ones not offered, or with each value.
fn all_services() -> impl Iterator<Item = Services> {
    let basic = (0..3_u32.pow(7)).map(|n| {
        (0..7).fold((0_u16, 0_u16), |(offered, enabled), bit| match n / 3_u32.pow(bit) % 3 {
            0 => (offered, enabled),
            1 => (offered | 1 << bit, enabled),
            _ => (offered | 1 << bit, enabled | 1 << bit),
        })
    });
    basic.flat_map(|(offered, enabled)| {
        let enhanced = (0..64_u16).map(move |n| (offered | 0x80, enabled | n << 7));
        core::iter::once((offered, enabled)).chain(enhanced).map(|(offered, enabled)| {
            Services::new(AcsCapability::from_bits_retain(offered), AcsControl::from_bits_retain(enabled))
        })
    })
}

#[test]
fn every_input_gives_what_the_table_says() {
    let roles = [
        (DP, Role::SwitchDownstreamPort),
        (RP, Role::RootPort),
        (FN, Role::Function),
        (IN, Role::Integrated),
    ];
    let bits = [VectorBit::Clear, VectorBit::Set, VectorBit::Unknown];
    let mut ways = std::vec![
        (UP, Way::Up, VectorBit::Unknown),
        (BACK, Way::Back, VectorBit::Unknown),
        (OWN, Way::Port(PortMemory::Own), VectorBit::Unknown),
        (PEER_BAR, Way::Port(PortMemory::Peer), VectorBit::Unknown),
        (UPSTREAM_BAR, Way::Port(PortMemory::Upstream), VectorBit::Unknown),
        (UNCLAIMED, Way::Unclaimed, VectorBit::Unknown),
    ];
    ways.extend(bits.map(|bit| (PEER, Way::Peer(bit), bit)));
    let classes = [
        (MU, MemoryUntranslated),
        (MT, MemoryTranslated),
        (C, Completion),
        (CR, CompletionRelaxed),
        (IO, Io),
    ];
    let states: Vec<Acs> = [Acs::Absent, Acs::Unknown(Reason::AcsNotCaptured)]
        .into_iter()
        .chain(all_services().map(Acs::Present))
        .collect();
    let mut used = std::vec![false; TABLE.len()];
    for (role_mask, role) in roles {
        for (way_mask, way, bit) in &ways {
            for (class_mask, class) in classes {
                let rows: Vec<_> = TABLE
                    .iter()
                    .enumerate()
                    .filter(|(_, row)| {
                        row.0 & role_mask != 0 && row.1 & way_mask != 0 && row.2 & class_mask != 0
                    })
                    .map(|(n, row)| (n, parse(row.3), row.4))
                    .collect();
                for acs in &states {
                    let row = rows.iter().find(|(_, asks, _)| asks.holds(*acs, *bit));
                    let Some((n, _, decision)) = row else {
                        panic!("no row for {role:?} {way:?} {class:?} {acs:?}");
                    };
                    used[*n] = true;
                    let decided = decide(role, *acs, *way, class);
                    assert_eq!(decided, *decision, "{role:?} {way:?} {class:?} {acs:?}: {:?}", TABLE[*n]);
                }
            }
        }
    }
    let idle: Vec<_> = TABLE.iter().zip(used).filter(|(_, used)| !used).map(|(row, _)| row).collect();
    assert!(idle.is_empty(), "rows that say nothing: {idle:?}");
}

#[test]
fn source_validation_is_not_decided_by_the_port_alone() {
    let off = Services::new(AcsCapability::all(), AcsControl::REQUEST_REDIRECT);
    let on =
        Services::new(AcsCapability::all(), AcsControl::REQUEST_REDIRECT | AcsControl::SOURCE_VALIDATION);
    for class in TlpClass::ALL {
        let decide = |services| decide(Role::SwitchDownstreamPort, Acs::Present(services), Way::Up, class);
        assert_eq!(decide(on), decide(off));
    }
}

#[test]
fn a_control_bit_without_its_capability_bit_is_off() {
    for capability in 0..=0xff_u16 {
        let services =
            Services::new(AcsCapability::from_bits_retain(capability), AcsControl::from_bits_retain(0x1fff));
        assert_eq!(services.enabled().bits() & 0x7f, capability & 0x7f);
        assert_eq!(services.enabled().bits() & 0x1f80, if capability & 0x80 != 0 { 0x1f80 } else { 0 });
    }
}

#[test]
fn classes_survive_a_round_trip_through_their_words() {
    for class in TlpClass::ALL {
        assert_eq!(TlpClass::from_word(class.word()), Some(class));
    }
    assert_eq!(TlpClass::from_word("message"), None);
}
