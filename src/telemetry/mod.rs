//! Telemetry: what the process says about itself, as log lines and as metrics.
//!
//! Names stand in `metrics`, once. What happened is read off accepted steps by [`Tally`], so a line or a count
//! means that the thing was decided *and* kept; nothing here decides anything. A happening both logs and counts in one
//! place. No free text of a report ever comes here: [`crate::model::FreeText`] shows only its length.
//!
//! Lines go to standard error: for people on a terminal, as JSON elsewhere.

mod foreseen;
mod levels;
mod metrics;
mod shard;
mod tally;

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use metrics::{Metrics, drill};
pub use tally::Tally;

/// `[log]`: what is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How a line looks.
    pub format: Format,
    /// Which lines: a level, or `module=level` pairs, such as `info,muster::deliver=debug`.
    pub filter: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: Format::Auto, filter: String::from("info") }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
#[error("[log] filter = {filter:?}: {reason}; write a level (`info`) or pairs (`info,muster::deliver=debug`)")]
pub struct Error {
    filter: String,
    reason: String,
}

/// Sets up the log of the whole process. The first call counts.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(options: &Options) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|e| Error { filter: options.filter.clone(), reason: e.to_string() })?;
    let pretty = match options.format {
        Format::Auto => std::io::stderr().is_terminal(),
        Format::Pretty => true,
        Format::Json => false,
    };
    let line = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start (tests of one process) keeps the first log; that is no error of the caller.
    let _ = if pretty {
        registry.with(line.with_target(false)).try_init()
    } else {
        registry.with(line.json().flatten_event(true)).try_init()
    };
    Ok(())
}
