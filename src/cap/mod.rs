//! Capabilities: their names, the two lists, and one file for each structure that is decoded.
//!
//! Layer 2. Views report registers; they do not judge.
//!
//! | structure | file | decoded |
//! |---|---|---|
//! | PCI Express (10h) | [`pcie`] | versions 1 and 2: port type, port number, ARI forwarding |
//! | ACS (000Dh) | [`acs`] | every bit, the egress control vector, the enhanced controls |
//! | ARI (000Eh) | [`ari`] | capability, control |
//! | ATS (000Fh) | [`ats`] | capability, control |
//! | SR-IOV (0010h) | [`sriov`] | everything that places virtual functions |
//! | PRI (0013h), PASID (001Bh) | [`pri`], [`pasid`] | capability, control, status |
//! | FPB (15h), EA (14h) | [`fpb`], [`ea`] | whether they are in force |
//! | VC (0002h, 0009h), MFVC (0008h) | [`vc`] | presence, number of extended VCs |
//!
//! Every other capability of the lists is named ([`id`]), with its offset, and not decoded.

pub mod acs;
pub mod ari;
pub mod ats;
pub mod ea;
pub mod fpb;
pub mod id;
pub mod list;
pub mod pasid;
pub mod pcie;
pub mod pri;
pub mod sriov;
pub mod vc;
