//! Who was told what, by sequence number: the count from outside that says whether anything was lost.
//!
//! Eight bytes a report, made before the run begins, whatever becomes of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::IncidentId;

/// Reports of one run; eight bytes each are held.
pub const REPORTS_MAX: u32 = 50_000_000;
/// Days and command areas that the ids of one run may name.
const PREFIXES_MAX: usize = 1 << 15;

/// An incident as the ledger writes it: the day and command area, and the number of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

/// What is known of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not sent, or not answered.
    Unknown,
    /// The door did not take it.
    Refused,
    /// Taken, and of no incident here: it was handed to another centre.
    Elsewhere,
    /// Taken, and it opened this incident.
    Opened(Key),
    /// Taken, and it belongs to this incident.
    Belongs(Key),
}

const REFUSED: u64 = 1;
const ELSEWHERE: u64 = 2;
const OPENED: u64 = 1 << 63;
const BELONGS: u64 = 1 << 62;

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    fates: Box<[AtomicU64]>,
    prefixes: Mutex<Vec<String>>,
}

impl Ledger {
    /// One for so many reports.
    #[must_use]
    pub fn new(reports: u32) -> Self {
        Self { fates: (0..reports).map(|_| AtomicU64::new(0)).collect(), prefixes: Mutex::default() }
    }

    /// Writes down what became of a report. Who was taken once stays taken.
    pub fn note(&self, n: u32, fate: Fate) {
        let Some(slot) = self.fates.get(n as usize) else { return };
        let value = match fate {
            Fate::Unknown => 0,
            Fate::Refused => REFUSED,
            Fate::Elsewhere => ELSEWHERE,
            Fate::Opened(Key(key)) => OPENED | key,
            Fate::Belongs(Key(key)) => BELONGS | key,
        };
        if fate == Fate::Refused {
            let _ = slot.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
        } else {
            slot.store(value, Ordering::Relaxed);
        }
    }

    /// What became of a report.
    #[must_use]
    pub fn fate(&self, n: u32) -> Fate {
        match self.fates.get(n as usize).map_or(0, |slot| slot.load(Ordering::Relaxed)) {
            0 => Fate::Unknown,
            REFUSED => Fate::Refused,
            ELSEWHERE => Fate::Elsewhere,
            value if value & OPENED != 0 => Fate::Opened(Key(value & !OPENED)),
            value => Fate::Belongs(Key(value & !BELONGS)),
        }
    }

    /// The key of an incident; `None` when it is no id of ours, or the run has seen more days than it can.
    pub fn key(&self, incident: &str) -> Option<Key> {
        let (prefix, number) = incident.rsplit_once('-')?;
        let number: u32 = number.parse().ok()?;
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match prefixes.iter().position(|p| p == prefix) {
            Some(place) => place,
            None if prefixes.len() < PREFIXES_MAX && incident.parse::<IncidentId>().is_ok() => {
                prefixes.push(prefix.to_owned());
                prefixes.len() - 1
            }
            None => return None,
        };
        Some(Key((place as u64) << 32 | u64::from(number)))
    }

    /// The id of a key.
    #[must_use]
    pub fn incident(&self, Key(key): Key) -> String {
        let prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(key >> 32).unwrap_or(usize::MAX);
        let prefix = prefixes.get(place).map_or("", String::as_str);
        format!("{prefix}-{}", key & u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_once_stays_taken() {
        let ledger = Ledger::new(4);
        let key = ledger.key("4304-20261123-17").unwrap();
        assert_eq!(ledger.incident(key), "4304-20261123-17");
        assert_eq!(ledger.key("4304-20261123-17"), Some(key));
        assert_ne!(ledger.key("4304-20261124-17"), Some(key));
        assert_eq!(ledger.key("nonsense"), None);
        ledger.note(0, Fate::Refused);
        ledger.note(1, Fate::Opened(key));
        ledger.note(1, Fate::Refused);
        ledger.note(2, Fate::Belongs(key));
        ledger.note(9, Fate::Elsewhere);
        let fates: Vec<Fate> = (0..5).map(|n| ledger.fate(n)).collect();
        assert_eq!(fates, [Fate::Refused, Fate::Opened(key), Fate::Belongs(key), Fate::Unknown, Fate::Unknown]);
        // Who was refused and tried again was taken after all.
        ledger.note(0, Fate::Elsewhere);
        assert_eq!(ledger.fate(0), Fate::Elsewhere);
    }
}
