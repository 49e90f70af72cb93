//! Acceptances as JSON: they stand beside a disposition, which stays what it is.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::db::Acceptance;

/// Who accepted what is left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AcceptedDocument {
    /// Name of the entry.
    pub entry: String,
    /// Layer that it comes from.
    pub layer: &'static str,
    /// File that it comes from.
    pub file: String,
    /// Who decided.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds; `null` is without end.
    pub until: Option<String>,
}

/// `accepted (by WHO, until WHEN)`.
impl fmt::Display for AcceptedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.as_ref().map_or(String::from("without end"), |until| format!("until {until}"));
        write!(f, "accepted (by {}, {until})", self.who)
    }
}

impl From<&Acceptance> for AcceptedDocument {
    fn from(acceptance: &Acceptance) -> Self {
        Self {
            entry: acceptance.name.clone(),
            layer: acceptance.layer.word(),
            file: acceptance.file.clone(),
            who: acceptance.who.clone(),
            reason: acceptance.reason.clone(),
            until: acceptance.until.map(|until| until.to_string()),
        }
    }
}
