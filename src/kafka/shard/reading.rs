//! The log is read in slices, whenever the owner asks for it.

use std::time::Duration;

use tracing::warn;

use super::Shard;
use crate::journal::log::{Malformed, Phase, Record, Token};
use crate::kafka::trouble::Trouble;

/// A reading of the log that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) ticket: Token,
    pub(super) next: u64,
    pub(super) bounds: Option<(u64, u64)>,
}

impl Shard {
    /// Reads a slice of the log, if the owner asked for it.
    pub(super) fn read_on(&mut self) {
        let Some(mut slice) = self.reading.take() else { return };
        match self.slice(&mut slice) {
            Ok(true) => {
                let (first, end) = slice.bounds.unwrap_or_default();
                self.owner.reached(slice.ticket, first, end, self.parts.clock.now());
                if self.owner.phase() == &Phase::Owning {
                    self.reader.rest();
                }
            }
            // The owner may have asked for another reading meanwhile.
            Ok(false) => self.reading = self.reading.take().or(Some(slice)),
            Err(error) => {
                self.parts.watch.failed("read", Trouble::of(&error).as_str());
                if let Some(kept_back) = self.unreadable.now() {
                    warn!(%error, shard = self.parts.shard, kept_back, "kafka.journal_unreadable: trying again");
                }
                std::thread::sleep(Duration::from_millis(200));
                self.reading = Some(Slice { bounds: None, ..slice });
            }
        }
    }

    /// Whether the end has been reached.
    fn slice(&mut self, slice: &mut Slice) -> Result<bool, rdkafka::error::KafkaError> {
        let (first, end) = match slice.bounds {
            Some(bounds) => bounds,
            None => *slice.bounds.insert(self.reader.bounds()?),
        };
        slice.next = slice.next.max(first);
        if slice.next >= end {
            return Ok(true);
        }
        for stored in self.reader.read(slice.next, end)? {
            slice.next = stored.offset + 1;
            match Record::decode(&stored.bytes) {
                Ok(record) => self.owner.read(slice.ticket, stored.offset, stored.appended, &record),
                Err(why) => {
                    if matches!(why, Malformed::Foreign(_)) {
                        warn!(shard = self.parts.shard, offset = stored.offset, %why, "kafka.journal_foreign");
                    }
                    self.owner.malformed(slice.ticket, stored.offset, stored.appended, why);
                }
            }
        }
        Ok(slice.next >= end)
    }
}
