//! The trail: who did what, in a file that is only ever appended to; each line carries the hash of the one before.
//!
//! A line is a JSON object: `seq` (from 1, without a gap), `at`, `principal`, `action`, `target`, `outcome`, `from` (the
//! address, for what was refused and for sessions), `prev`, `hash`. The hash is the SHA-256 of the line's bytes up to its own
//! member `hash`; `prev` is that of the line before, 64 zeros before the first. So a line that is changed, taken out, moved or
//! cut off is found ([`verify`]). Lines taken off the *end* leave a shorter trail that is whole: whoever wants to see that
//! keeps a head (`seq:hash`) elsewhere, such as the one in the log at each rotation, and verifies against it.
//!
//! *Durability.* A line is in the file before its request is answered, so the death of the process loses none. It is on the
//! disk within `audit_flush_every`, so a loss of power may lose that much, and a line that was half written then is taken
//! off at the next start and said to have been (`trail.torn`).
//!
//! *Failing.* An order for a post does not wait for a disk of ours: what cannot be written is counted and said in the log,
//! and `trail.gap` stands there as soon as writing goes again.
//!
//! *Several writers.* The service and `muster token` write the same trail; a lock beside it keeps them apart, and whoever finds
//! it longer than it left it reads its end again.
//!
//! *Rotation.* Beyond `audit_bytes_max` the file is renamed to `<name>.<seq of its last line>` and the chain goes on in a
//! new one. Nothing is ever deleted here.
//!
//! No token, no report's text, no words of an operator are ever in it: targets are ids, and what is no id becomes `?`.

pub mod verify;

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::{error, info};

use super::token::hex;
use crate::model::Timestamp;

/// Bytes of a line; what is written here is far shorter.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;
/// Before the first line.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// So often the lock is tried before a line counts as one that could not be written.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// Characters of a target.
const TARGET_CHARS_MAX: usize = 128;

/// What is written down.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// Who; `?` is nobody we know.
    pub principal: &'a str,
    /// What, such as `command.close`, `session.begin`, `GET /v1/incidents`.
    pub action: &'a str,
    /// To what: an id, see [`target`].
    pub target: &'a str,
    /// What became of it: a status and a word.
    pub outcome: &'a str,
    /// From where.
    pub from: Option<IpAddr>,
}

/// A line, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Counted from 1 over all files of the trail.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub principal: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// What became of it.
    pub outcome: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// The hash of the line before.
    pub prev: String,
    /// Of this line, up to here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

impl Line {
    /// The line as text, sealed: with its hash.
    fn sealed(mut self) -> (String, String) {
        self.hash.clear();
        let mut text = serde_json::to_string(&self).expect("texts and numbers have a form in JSON");
        text.pop();
        let hash = hash(text.as_bytes());
        text.push_str(",\"hash\":\"");
        text.push_str(&hash);
        text.push_str("\"}\n");
        (text, hash)
    }
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A line taken apart: what it says, and whether its hash fits.
pub(super) fn open(text: &str) -> Option<(Line, bool)> {
    let line: Line = serde_json::from_str(text).ok()?;
    let sealed = format!(",\"hash\":\"{}\"}}", line.hash);
    let fits = text.strip_suffix(&sealed).is_some_and(|body| hash(body.as_bytes()) == line.hash);
    Some((line, fits))
}

/// What something was done to, fit for the trail: an id as it is; anything that could be words is `?`.
#[must_use]
pub fn target(id: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
    if id.len() <= TARGET_CHARS_MAX && id.chars().all(plain) { id } else { "?" }
}

/// Why the trail cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The system refuses.
    #[error("[access] audit = {path:?}: {reason}")]
    System {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// Its end is no end of a trail.
    #[error(
        "[access] audit = {path:?}: its last line is not one of a trail, so the chain cannot go on from it; see \
         `muster audit verify`, keep the file, and move it away to begin a new one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A trail that is written.
#[derive(Debug)]
pub struct Trail {
    path: PathBuf,
    bytes_max: u64,
    writer: Mutex<Writer>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Writer {
    lock: File,
    file: File,
    /// Which file it is, and how long we left it.
    left: (u64, u64),
    seq: u64,
    hash: String,
    dirty: bool,
    /// Lines that could not be written, of which the trail does not know yet.
    gap: u64,
}

impl Trail {
    /// Goes on with the trail at this path, or begins it.
    ///
    /// # Errors
    /// When the file cannot be used, or its end is damaged.
    pub fn open(path: &Path, bytes_max: u64) -> Result<Self, TrailError> {
        let system = |reason| TrailError::System { path: path.to_owned(), reason };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(system)?;
        }
        let lock = options().write(true).truncate(false).open(beside(path, ".lock")).map_err(system)?;
        lock.lock().map_err(system)?;
        let mut writer = Writer::at_end(path, lock)?;
        writer.lock.unlock().map_err(system)?;
        writer.dirty = true;
        info!(path = %path.display(), seq = writer.seq, hash = writer.hash, "audit.opened");
        Ok(Self { path: path.to_owned(), bytes_max, writer: Mutex::new(writer), lost: AtomicU64::new(0) })
    }

    /// Writes a line. What cannot be written is counted and said.
    pub fn append(&self, entry: &Entry<'_>) {
        let mut writer = self.writer();
        if let Err(why) = self.write(&mut writer, entry) {
            writer.gap += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            error!(%why, action = entry.action, gap = writer.gap, "audit.lost: a line could not be written");
        }
    }

    fn write(&self, writer: &mut Writer, entry: &Entry<'_>) -> Result<(), TrailError> {
        let system = |reason| TrailError::System { path: self.path.clone(), reason };
        // Where lines are missing already, nobody waits a second time.
        let patience = if writer.gap > 0 { 1 } else { LOCK_TRIES };
        acquire(&writer.lock, patience).map_err(system)?;
        let written = self.write_alone(writer, entry);
        writer.lock.unlock().map_err(system)?;
        written
    }

    fn write_alone(&self, writer: &mut Writer, entry: &Entry<'_>) -> Result<(), TrailError> {
        let system = |reason| TrailError::System { path: self.path.clone(), reason };
        if fs::metadata(&self.path).ok().map(|m| (m.ino(), m.len())) != Some(writer.left) {
            let lock = writer.lock.try_clone().map_err(system)?;
            let (gap, fresh) = (writer.gap, Writer::at_end(&self.path, lock)?);
            *writer = Writer { gap, ..fresh };
        }
        if writer.gap > 0 {
            let outcome = format!("lost {}", writer.gap);
            let said = Entry {
                at: entry.at,
                principal: "muster",
                action: "trail.gap",
                target: "",
                outcome: &outcome,
                from: None,
            };
            writer.append(&said).map_err(system)?;
            writer.gap = 0;
        }
        writer.append(entry).map_err(system)?;
        if writer.left.1 >= self.bytes_max {
            self.rotate(writer).map_err(system)?;
        }
        Ok(())
    }

    /// The full file keeps its lines under another name; the chain goes on in a new one.
    fn rotate(&self, writer: &mut Writer) -> std::io::Result<()> {
        writer.file.sync_all()?;
        fs::rename(&self.path, beside(&self.path, &format!(".{:012}", writer.seq)))?;
        writer.file = append_to(&self.path)?;
        writer.left = (writer.file.metadata()?.ino(), 0);
        info!(
            seq = writer.seq,
            hash = writer.hash,
            "audit.rotated: keep this head to see later that nothing is missing"
        );
        Ok(())
    }

    /// What was written is on the disk after it.
    pub fn flush(&self) {
        let (file, path) = {
            let mut writer = self.writer();
            if !std::mem::take(&mut writer.dirty) {
                return;
            }
            (writer.file.try_clone(), &self.path)
        };
        // Not under the lock: nobody waits for the disk.
        if let Err(why) = file.and_then(|file| file.sync_data()) {
            error!(%why, path = %path.display(), "audit.unflushed");
            self.writer().dirty = true;
        }
    }

    /// How many lines could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Reads the end of the trail, under the lock. A line that was half written is taken off, and said.
    fn at_end(path: &Path, lock: File) -> Result<Self, TrailError> {
        let system = |reason| TrailError::System { path: path.to_owned(), reason };
        let file = append_to(path).map_err(system)?;
        let bytes = file.metadata().map_err(system)?.len();
        let tail = tail(&file, bytes).map_err(system)?;
        let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let torn = &tail[whole..];
        let damaged = || TrailError::Damaged { path: path.to_owned() };
        if tail.len() as u64 != bytes && whole == 0 {
            return Err(damaged());
        }
        let end = match last_line(&tail[..whole]) {
            Some(text) => Some(open(text).filter(|(_, fits)| *fits).ok_or_else(damaged)?.0),
            None => before(path).map_err(system)?,
        };
        let (seq, hash) = end.map_or_else(|| (0, GENESIS.to_owned()), |line| (line.seq, line.hash));
        let left = (file.metadata().map_err(system)?.ino(), bytes - torn.len() as u64);
        let mut writer = Self { lock, file, left, seq, hash, dirty: false, gap: 0 };
        if !torn.is_empty() {
            writer.file.set_len(left.1).map_err(system)?;
            let outcome = format!("{} bytes of sha256 {}", torn.len(), self::hash(torn));
            let entry = Entry {
                at: now(),
                principal: "muster",
                action: "trail.torn",
                target: "",
                outcome: &outcome,
                from: None,
            };
            writer.append(&entry).map_err(system)?;
        }
        Ok(writer)
    }

    fn append(&mut self, e: &Entry<'_>) -> std::io::Result<()> {
        let line = Line {
            seq: self.seq + 1,
            at: e.at.to_rfc3339(),
            principal: e.principal.to_owned(),
            action: e.action.to_owned(),
            target: e.target.to_owned(),
            outcome: e.outcome.to_owned(),
            from: e.from,
            prev: self.hash.clone(),
            hash: String::new(),
        };
        let (text, hash) = line.sealed();
        if let Err(why) = self.file.write_all(text.as_bytes()) {
            // Half a line must not stand before the next one.
            let _ = self.file.set_len(self.left.1);
            return Err(why);
        }
        self.seq += 1;
        self.hash = hash;
        self.left.1 += text.len() as u64;
        self.dirty = true;
        Ok(())
    }
}

/// Waits for the other writer, but not for one that has stopped.
fn acquire(lock: &File, tries: u32) -> std::io::Result<()> {
    for _ in 1..tries {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            taken => return taken.map_err(Into::into),
        }
    }
    lock.try_lock().map_err(Into::into)
}

/// The last whole line of what ends with one.
fn last_line(bytes: &[u8]) -> Option<&str> {
    let text = bytes.strip_suffix(b"\n")?;
    let start = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    std::str::from_utf8(&text[start..]).ok()
}

fn tail(mut file: &File, bytes: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(2 * LINE_BYTES_MAX as u64)))?;
    let mut tail = Vec::new();
    file.take(2 * LINE_BYTES_MAX as u64).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The last line of the newest full file beside the trail.
fn before(path: &Path) -> std::io::Result<Option<Line>> {
    let Some(newest) = rotated(path)?.pop() else { return Ok(None) };
    let file = File::open(&newest)?;
    let tail = tail(&file, file.metadata()?.len())?;
    let line = last_line(&tail).and_then(open).filter(|(_, fits)| *fits);
    let why = || std::io::Error::other(format!("{}: its last line is not one of a trail", newest.display()));
    Ok(Some(line.ok_or_else(why)?.0))
}

/// The full files of a trail, oldest first.
///
/// # Errors
/// When their folder cannot be read.
pub fn rotated(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let digits = entry.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        if digits.is_some_and(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit)) {
            found.push(folder.join(entry));
        }
    }
    found.sort();
    Ok(found)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn append_to(path: &Path) -> std::io::Result<File> {
    options().read(true).append(true).open(path)
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600);
    options
}

/// The wall's time, for what has no other: a command line, the mending of an end.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "it decides nothing: it is when a line was written")]
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
