//! What a judgement rests on: a register's bits, a structure that is or is not there, or an entry of
//! the device database.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::addr::Sbdf;
use crate::cap::acs::AcsControl;
use crate::cap::pcie::DevicePortType;
use crate::db::{Entry, Layer};

/// One piece of evidence, about one function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// A register as it reads.
    Register {
        /// The function.
        function: Sbdf,
        /// The specification's name of the register.
        register: &'static str,
        /// Offset in configuration space.
        offset: u16,
        /// The bits that matter, as lspci's tokens or by name.
        bits: String,
        /// The whole register.
        value: u32,
    },
    /// A structure that is absent, or that the dump does not tell of.
    Structure {
        /// The function.
        function: Sbdf,
        /// The specification's name of the structure.
        structure: &'static str,
        /// `absent` or `not-captured`.
        presence: &'static str,
    },
    /// The Device/Port Type decides alone.
    PortType {
        /// The function.
        function: Sbdf,
        /// The type, as Linux corrects it.
        port_type: DevicePortType,
    },
    /// An entry of the device database.
    Database {
        /// The function that it matched.
        function: Sbdf,
        /// Name of the entry.
        entry: String,
        /// Layer that the entry comes from.
        layer: Layer,
        /// File that the entry comes from; empty for the built-in layer.
        file: String,
        /// Where the entry's statement is known from.
        source: String,
        /// What must be so on the machine for the entry to hold, in its own words.
        conditions: Vec<String>,
    },
}

impl Evidence {
    /// The entry about this function.
    #[must_use]
    pub fn entry(function: Sbdf, entry: &Entry) -> Self {
        Self::Database {
            function,
            entry: entry.name.clone(),
            layer: entry.layer,
            file: entry.file.clone(),
            source: entry.source.clone(),
            conditions: entry.conditions.iter().map(|condition| condition.kind.to_string()).collect(),
        }
    }
}

impl Evidence {
    /// The function that it is about.
    #[must_use]
    pub const fn function(&self) -> Sbdf {
        match self {
            Self::Register { function, .. }
            | Self::Structure { function, .. }
            | Self::PortType { function, .. }
            | Self::Database { function, .. } => *function,
        }
    }
}

/// One line without the function's address.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { register, offset, bits, value, .. } => {
                write!(f, "{register} at {offset:#05x} reads {value:#06x}: {bits}")
            }
            Self::Structure { structure, presence, .. } => match *presence {
                "absent" => write!(f, "no {structure}"),
                _ => write!(f, "{structure}: {presence}"),
            },
            Self::PortType { port_type, .. } => write!(f, "type {port_type}"),
            Self::Database { entry, layer, file, source, conditions, .. } => {
                write!(f, "by database entry {entry} ({}", layer.word())?;
                if !file.is_empty() {
                    write!(f, ", {file}")?;
                }
                write!(f, "), source: {source}")?;
                if conditions.is_empty() { Ok(()) } else { write!(f, "; if {}", conditions.join(" and ")) }
            }
        }
    }
}

/// lspci's tokens of these control bits, each with `+` or `-`.
#[must_use]
pub fn control_tokens(bits: AcsControl, sign: char) -> String {
    let mut text = String::new();
    for (token, bit) in AcsControl::TOKENS {
        if bits.contains(bit) {
            push(&mut text, token, sign);
        }
    }
    text
}

fn push(text: &mut String, token: &str, sign: char) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(token);
    text.push(sign);
}
