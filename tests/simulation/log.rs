//! A model of one partition of a log, as a broker keeps it: records get the next offset and the broker's time; the beginning
//! may be trimmed away; the end may be lost, if the cluster breaks its word. It never re-orders what it has.

use std::sync::Arc;

use crate::journal::log::Record;
use crate::model::Timestamp;

pub struct Entry {
    pub appended: Timestamp,
    /// `None` is something that is no record: somebody wrote into the topic by hand.
    pub record: Option<Arc<Record>>,
}

#[derive(Default)]
pub struct Log {
    first: u64,
    entries: Vec<Entry>,
}

impl Log {
    /// The lowest offset that can be read.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The offset of the next record.
    pub fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn get(&self, offset: u64) -> Option<&Entry> {
        if offset < self.first { None } else { self.entries.get(usize::try_from(offset).unwrap()) }
    }

    pub fn append(&mut self, appended: Timestamp, record: Option<Arc<Record>>) -> u64 {
        self.entries.push(Entry { appended, record });
        self.end() - 1
    }

    /// What `DeleteRecords` does; it never moves back.
    pub fn trim(&mut self, below: u64) {
        self.first = self.first.max(below.min(self.end()));
    }

    /// What an unclean election does.
    pub fn lose(&mut self, from: u64) {
        self.entries.truncate(usize::try_from(from).unwrap());
    }
}
