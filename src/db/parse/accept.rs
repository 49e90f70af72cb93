//! Acceptances in database files.

use std::format;
use std::string::String;

use toml_datetime::Datetime;

use super::error::quoted;
use super::{ACCEPT, Reader, Table, value};
use crate::db::{Acceptance, Date, Slot, Subjects};

/// A day, such as `2027-06-30`; `None` if it is none of the calendar's.
#[must_use]
pub fn date(text: &str) -> Option<Date> {
    of_datetime(&text.parse().ok()?)
}

fn of_datetime(parsed: &Datetime) -> Option<Date> {
    let date = parsed.date.filter(|_| parsed.time.is_none() && parsed.offset.is_none())?;
    Some(Date { year: date.year, month: date.month, day: date.day })
}

impl Reader<'_> {
    pub(super) fn acceptance(&mut self, table: Table<'_>, name: Option<String>) -> Option<Acceptance> {
        let subject = self.subjects(table, "an acceptance");
        let with = table.get("with").map(|value| match Table::of(value) {
            Some(with) => {
                self.deny_unknown(with, &["match", "slot"]);
                self.subjects(with, "`with`")
            }
            None => {
                self.wrong_type(value, "with", "a table, such as { slot = \"0000:00:1c.0/00.1\" }");
                None
            }
        });
        let [who, reason] = ["who", "reason"].map(|key| {
            self.required(table, "an acceptance", key)?;
            self.string(table, key, "a string", |text| value::prose(text).map_err(|e| format!("`{key}` {e}")))
        });
        let until = self.until(table);
        let direct = self.boolean(table, "direct").unwrap_or(false);
        Some(Acceptance {
            name: name?,
            layer: self.layer,
            file: String::from(self.file),
            subject: subject?,
            with: match with {
                Some(with) => Some(with?),
                None => None,
            },
            direct,
            who: who?,
            reason: reason?,
            until,
        })
    }

    /// Exactly one of `match` and `slot`.
    fn subjects(&mut self, table: Table<'_>, about: &str) -> Option<Subjects> {
        match (table.get("match"), table.get("slot")) {
            (Some(_), None) => {
                let wanted = self.matches(table, Some(ACCEPT));
                Some(Subjects::Matching(wanted))
            }
            (None, Some(_)) => {
                let form = "a place in the hierarchy, such as \"0000:00:1c.0/00.0\"";
                let slot = |text: &str| {
                    text.parse::<Slot>().map_err(|error| format!("{} is no place: {error}", quoted(text)))
                };
                self.string(table, "slot", form, slot).map(Subjects::Slot)
            }
            (None, None) => {
                self.problems.push(table.at, format!("{about} needs `match` or `slot`"));
                None
            }
            (Some(_), Some(slot)) => {
                let at = slot.span().start;
                self.problems.push(at, format!("{about} has `match`, too: one of the two is enough"));
                None
            }
        }
    }

    /// A date of TOML, or the same in quotes.
    fn until(&mut self, table: Table<'_>) -> Option<Date> {
        let value = table.get("until")?;
        let found = match (value.get_ref().as_str(), value.get_ref().as_datetime()) {
            (Some(text), _) => date(text),
            (None, Some(datetime)) => of_datetime(datetime),
            (None, None) => None,
        };
        if found.is_none() {
            let problem = "`until` must be a day of the calendar, such as 2027-06-30";
            self.problems.push(value.span().start, problem);
        }
        found
    }
}
