//! The acceptance: an operator's word, in the journal, that a loss is known and the shard shall go on.
//!
//! It lifts the numbers over all that was ever given out, as far as anybody can know: what was lost may have been decided, sent
//! and acted upon, and nothing new may look like it. The head and the outputs say how far that had come, but they may be a little
//! behind; hence the margin.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext};

use super::{Damage, Journal};
use crate::journal::log::{OwnerName, Record, Stand};
use crate::kafka::client::Context;

/// Steps that a shard may have decided since its head was written and its outputs were looked at: a head is written each
/// second, and no shard decides a hundred thousand steps in that time.
const STEPS_MARGIN: u64 = 100_000;
/// Epochs that may have been claimed since: owners that lose rest ever longer.
const EPOCHS_MARGIN: u64 = 1_000;
/// The brokers are tried for so long.
const WITHIN: Duration = Duration::from_secs(30);

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Where it stands in the journal.
    pub offset: u64,
    /// Where the rule stands after it.
    pub beyond: Stand,
}

/// Where the numbers go on: above all that is known to have been given out, by a margin.
#[must_use]
pub fn beyond(known: &Stand) -> Stand {
    Stand {
        epoch: known.epoch + EPOCHS_MARGIN,
        owner: OwnerName::default(),
        step: known.step + STEPS_MARGIN,
        // Time goes on by itself; what was decided by then is read again from there, where an input was cut.
        at: known.at,
    }
}

/// Writes the acceptance of a loss and reads it back.
///
/// # Errors
/// When the brokers do not take it, or another record stands where it should.
pub fn accept(journal: &mut Journal, damage: &Damage, by: &str, reason: &str) -> anyhow::Result<Accepted> {
    let beyond = beyond(&damage.known);
    let record = Record::acceptance(&damage.fold, by, reason, beyond.clone());
    let bytes = record.encode();
    let offset = append(journal, damage.shard, &bytes).context("the acceptance was not kept, or nobody knows")?;
    let mut stands = false;
    journal.read("journal", damage.shard, offset, offset + 1, |stored| {
        stands = stored.offset == offset && stored.bytes == bytes;
        false
    })?;
    if !stands {
        bail!("another record stands at offset {offset}, where the acceptance was written; look again");
    }
    Ok(Accepted { offset, beyond })
}

fn append(journal: &Journal, shard: u32, bytes: &[u8]) -> anyhow::Result<u64> {
    let (told, hears) = channel();
    let context = Told { base: journal.clients.context(), told: Mutex::new(told) };
    let producer = journal.clients.journal_writer(context)?;
    let topic = journal.clients.topic("journal");
    let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&topic).partition(i32::try_from(shard)?).payload(bytes);
    producer.send(record).map_err(|(error, _)| error)?;
    let landed = hears.recv_timeout(WITHIN).context("the brokers did not answer in time")??;
    u64::try_from(landed).context("the brokers did not say where it stands; look with `muster journal show`")
}

struct Told {
    base: Context,
    told: Mutex<Sender<Result<i64, KafkaError>>>,
}

impl ClientContext for Told {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.base.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.base.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.base.generate_oauth_token(config)
    }
}

impl ProducerContext<NoCustomPartitioner> for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let landed = result.as_ref().map(rdkafka::Message::offset).map_err(|(error, _)| error.clone());
        // Who waited may have given up.
        if let Ok(told) = self.told.lock() {
            let _ = told.send(landed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn the_numbers_go_on_above_all_that_was_given_out() {
        let known = Stand { epoch: 7, owner: OwnerName::new("a"), step: 40, at: Timestamp(500) };
        let after = beyond(&known);
        assert!(after.epoch > 7 && after.step >= 100_040 && after.owner.is_nobody());
        assert_eq!(after.at, Timestamp(500));
    }
}
