//! The delivery log: one line for each attempt and each skip, with its reason.
//!
//! The newest lines are held in memory for `GET /v1/deliveries`; all of them are also written, as JSON lines, to
//! `deliveries.jsonl` in the data folder, which becomes `deliveries.1.jsonl` when it is full. What was read of the file
//! at the start is shown again after a restart. Both are bounded. A writer that falls behind by more than its queue holds
//! loses lines, which are counted; delivery never waits for its log.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use tracing::warn;

use crate::model::Timestamp;
use crate::wire::Kind;

/// The file in the data folder.
pub const FILE: &str = "deliveries.jsonl";
const OLDER: &str = "deliveries.1.jsonl";
/// Lines that may wait for the writer.
const QUEUE_MAX: usize = 65_536;

/// What happened at one attempt, or why none was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// The target took it.
    Sent,
    /// The attempt failed; another follows.
    Failed,
    /// No attempt was made; it counts as a failed one.
    Skipped,
    /// The attempts within the deadline are used up: told to the engine. Further attempts follow until it expires.
    GaveUp,
    /// Its time is over.
    Expired,
    /// A newer message of the same key took its place.
    Superseded,
    /// There was no room for it.
    Overflowed,
}

impl Did {
    /// The label of the metric, and the word of the filter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::GaveUp => "gave-up",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Overflowed => "overflowed",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counted from 1; it goes on over restarts.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub target: SmolStr,
    /// Of which type.
    pub kind: KindName,
    /// Of the message: an order's id, a notice's id.
    pub key: SmolStr,
    /// Of the message.
    pub rev: u64,
    /// Which attempt, from 1; 0 where none was made.
    pub attempt: u32,
    /// What happened.
    pub did: Did,
    /// Why; empty where it was sent.
    pub reason: SmolStr,
    /// How long the attempt took, in milliseconds.
    pub took_ms: u64,
}

/// The short name of a type of message.
pub type KindName = SmolStr;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The key of the message.
    pub key: Option<SmolStr>,
    /// The target.
    pub target: Option<SmolStr>,
    /// What happened.
    pub did: Option<Did>,
    /// Go on below this line.
    pub cursor: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    writer: Option<SyncSender<Line>>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Line>,
    kept: usize,
    last: u64,
    lost: u64,
}

impl Log {
    /// One that is held in memory alone.
    #[must_use]
    pub fn in_memory(kept: usize) -> Self {
        let inner = Inner { kept: kept.max(1), ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), writer: None }
    }

    /// One that is also written to `folder`, two files of at most `bytes_max / 2` each. What stands there is read first.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread be had.
    pub fn in_folder(folder: &Path, kept: usize, bytes_max: u64) -> std::io::Result<Self> {
        let log = Self::in_memory(kept);
        std::fs::create_dir_all(folder)?;
        for file in [folder.join(OLDER), folder.join(FILE)] {
            log.read(&file);
        }
        let file = Rotating::open(folder, (bytes_max / 2).max(4096))?;
        let (writer, lines) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new().name(String::from("delivery-log")).spawn(move || write(file, &lines))?;
        Ok(Self { writer: Some(writer), ..log })
    }

    fn read(&self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let mut inner = self.lock();
        // A line that was cut off by a crash is left out.
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        for line in lines.filter_map(|line| serde_json::from_str::<Line>(&line).ok()) {
            inner.last = inner.last.max(line.n);
            inner.push(line);
        }
    }

    /// Writes a line; its number is given here.
    pub fn write(&self, mut line: Line) {
        let mut inner = self.lock();
        inner.last += 1;
        line.n = inner.last;
        if let Some(writer) = &self.writer
            && writer.try_send(line.clone()).is_err()
        {
            inner.lost += 1;
            if inner.lost.is_power_of_two() {
                warn!(lost = inner.lost, "delivery_log.behind: lines are missing in the file");
            }
        }
        inner.push(line);
    }

    /// The lines that are looked for, newest first, and where to go on.
    #[must_use]
    pub fn find(&self, query: &Query) -> (Vec<Line>, Option<u64>) {
        let inner = self.lock();
        let wanted = |line: &&Line| {
            query.cursor.is_none_or(|cursor| line.n < cursor)
                && query.key.as_ref().is_none_or(|key| *key == line.key)
                && query.target.as_ref().is_none_or(|target| *target == line.target)
                && query.did.is_none_or(|did| did == line.did)
        };
        let mut found: Vec<Line> = inner.lines.iter().rev().filter(wanted).take(query.limit + 1).cloned().collect();
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|line| line.n);
        (found, next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, line: Line) {
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The short name of a type, as lines carry it.
#[must_use]
pub fn kind_name(kind: Kind) -> KindName {
    SmolStr::new_static(kind.as_str())
}

struct Rotating {
    folder: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    bytes_max: u64,
}

impl Rotating {
    fn open(folder: &Path, bytes_max: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(FILE))?;
        let bytes = file.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), file: BufWriter::new(file), bytes, bytes_max })
    }

    fn line(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.bytes + text.len() as u64 > self.bytes_max {
            self.file.flush()?;
            std::fs::rename(self.folder.join(FILE), self.folder.join(OLDER))?;
            *self = Self::open(&self.folder, self.bytes_max)?;
        }
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }
}

/// The writer's thread: ends with the last handle.
fn write(mut file: Rotating, lines: &Receiver<Line>) {
    let mut well = true;
    while let Ok(first) = lines.recv() {
        let batch = std::iter::once(first).chain(lines.try_iter());
        let written = batch.map(|line| file.line(&line)).fold(Ok(()), Result::and).and_then(|()| file.file.flush());
        match written {
            Ok(()) => well = true,
            Err(reason) => {
                if well {
                    warn!(%reason, "delivery_log.failed: lines are missing in the file");
                }
                well = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, target: &str, did: Did) -> Line {
        Line {
            n: 0,
            at: Timestamp(7),
            target: target.into(),
            kind: kind_name(Kind::Order),
            key: key.into(),
            rev: 1,
            attempt: 1,
            did,
            reason: "answered 500".into(),
            took_ms: 3,
        }
    }

    #[test]
    fn lines_are_found_newest_first_and_bounded() {
        let log = Log::in_memory(3);
        for (key, target, did) in
            [("a", "x", Did::Sent), ("a", "y", Did::Failed), ("b", "x", Did::Sent), ("a", "x", Did::Skipped)]
        {
            log.write(line(key, target, did));
        }
        let numbers = |query: &Query| log.find(query).0.iter().map(|l| l.n).collect::<Vec<_>>();
        assert_eq!(numbers(&Query { limit: 9, ..Query::default() }), [4, 3, 2], "the oldest is gone");
        assert_eq!(numbers(&Query { key: Some("a".into()), limit: 9, ..Query::default() }), [4, 2]);
        assert_eq!(
            numbers(&Query { target: Some("x".into()), did: Some(Did::Sent), limit: 9, ..Query::default() }),
            [3]
        );
        let (first, next) = log.find(&Query { limit: 1, ..Query::default() });
        assert_eq!((first[0].n, next), (4, Some(4)));
        assert_eq!(numbers(&Query { cursor: next, limit: 9, ..Query::default() }), [3, 2]);
    }

    #[test]
    fn the_file_is_read_after_a_restart_and_never_grows_beyond_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Log::in_folder(folder.path(), 1_000, 16_384).unwrap();
        let log = open();
        for n in 0..500 {
            log.write(line(&n.to_string(), "x", Did::Sent));
        }
        drop(log);
        let bytes =
            || -> u64 { std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum() };
        // The writer's thread ends by itself; how soon is not our business.
        let file = folder.path().join(FILE);
        while !std::fs::read_to_string(&file).unwrap_or_default().contains("\"n\":500,") {
            std::thread::yield_now();
        }
        assert!(bytes() <= 16_384, "{}", bytes());
        let again = open();
        assert_eq!(again.find(&Query { limit: 1, ..Query::default() }).0[0].n, 500);
        again.write(line("new", "x", Did::Sent));
        assert_eq!(again.find(&Query { limit: 1, ..Query::default() }).0[0].n, 501);
    }
}
