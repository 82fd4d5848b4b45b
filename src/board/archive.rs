//! The archive: the journal's own timeline table, read through a connection that can only read.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};

use crate::engine::Entry;
use crate::journal::open_read_only;
use crate::model::{IncidentId, Millis};
use crate::wire::Shard;

/// A line of the timeline with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// See [`crate::wire::Shard::rev`].
    pub rev: u64,
    /// What happened.
    pub entry: Entry,
}

/// Why the archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be opened or asked.
    #[error("the archive {file} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// The store's words.
        reason: String,
    },
}

/// Reads the journal's timeline. One connection, used by one reader at a time; a read is a few rows by an index.
#[derive(Debug)]
pub struct Archive {
    file: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Archive {
    const BUSY: Millis = Millis::from_secs(2);

    /// The archive in this file, opened at the first question.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file, connection: Mutex::new(None) }
    }

    /// What happened with an incident after `after`, oldest first, at most `max` lines. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incident(&self, id: &IncidentId, after: Option<(u64, u64)>, max: usize) -> Result<Vec<Line>, ArchiveError> {
        let mut held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.read(&mut held, id, after, max);
        result.map_err(|e| {
            // The next reader opens it anew.
            *held = None;
            ArchiveError::Unreadable { file: self.file.display().to_string(), reason: e.to_string() }
        })
    }

    fn read(
        &self,
        held: &mut Option<Connection>,
        id: &IncidentId,
        after: Option<(u64, u64)>,
        max: usize,
    ) -> rusqlite::Result<Vec<Line>> {
        let connection = match held {
            Some(connection) => connection,
            None => held.insert(open_read_only(&self.file, Self::BUSY)?),
        };
        let mut query = connection.prepare_cached(
            "SELECT step, ix, body FROM timeline WHERE incident = ?1 AND (step, ix) > (?2, ?3) ORDER BY step, ix LIMIT ?4",
        )?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let after = after.map_or((-1, -1), |(step, ix)| (number(step), number(ix)));
        let rows = query.query_map(params![id.to_string(), after.0, after.1, number(max as u64)], |row| {
            let (step, index): (i64, i64) = (row.get(0)?, row.get(1)?);
            let body: String = row.get(2)?;
            let entry = serde_json::from_str(&body)
                .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
            let rev = Shard::ONLY.rev(step.unsigned_abs(), usize::try_from(index).unwrap_or(usize::MAX));
            Ok(Line { rev, entry })
        })?;
        rows.collect()
    }
}
