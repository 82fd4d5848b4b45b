//! The embedded journal: one `SQLite` file, one writer, one transaction for all steps of an append.
//!
//! *Atomic and durable*: write-ahead log with `synchronous=FULL`; when the commit returns, it has been flushed. *Group
//! commit*: the cost of the flush is shared by all steps of an append, and by all inputs of a step.
//!
//! *Each effect stands in one place*: timeline entries in `timeline`, which is also the archive; the others in `outbox`
//! until they have left the house. What a restart must deliver again is read back from both, by step and index.
//!
//! *An error of the disk is final.* After a failed write or flush nobody knows what the disk holds (a later flush may
//! report success for pages that are lost), so the journal refuses every further call and Muster stops. The next start
//! reads what is there and flushes it anew before it acts on it.
//!
//! *One process a folder*: a lock file, held for as long as the journal lives, that says who holds it.
//!
//! Left out: replication (that is the Kafka journal's), encryption at rest (the file system's), and the pruning of the
//! archive, which is a decision of whoever owns the records.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Error, Journal, Reader, Readers, Restored, Step};
use crate::engine::{Document, Effect};
use crate::model::{CommandArea, Millis, Timestamp};

/// The schema, one text a store version; `user_version` says how many have been applied.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// Marks the file as ours: "MSTR".
const APPLICATION_ID: i32 = 0x4D53_5452;

/// `[journal]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalOptions {
    /// The data folder. Made if absent; one process at a time.
    pub path: PathBuf,
    /// How long to wait for somebody else who holds the file, such as a person with a database tool.
    pub busy_timeout: Millis,
    /// Size of the write-ahead log, in pages of 4 KiB, from which on it is folded into the main file.
    pub checkpoint_pages: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { path: "data".into(), busy_timeout: Millis(5_000), checkpoint_pages: 4_000 }
    }
}

impl JournalOptions {
    /// The database within the folder.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path.join("muster.db")
    }
}

/// The embedded journal.
#[derive(Debug)]
pub struct Sqlite {
    options: JournalOptions,
    db: Connection,
    /// Number and instant of the last accepted step.
    last: Option<(u64, Timestamp)>,
    /// Why nothing can be trusted any more.
    dead: Option<String>,
    /// Held for as long as the journal lives; declared last, so that it is released last.
    _lock: File,
}

impl Sqlite {
    /// Opens the journal of this command area, or makes it. `now` is only told to others who find the folder in use.
    ///
    /// # Errors
    /// When the folder is in use, or holds something else than this area's journal in a version known here.
    pub fn open(options: &JournalOptions, area: &CommandArea, now: Timestamp) -> Result<Self, Error> {
        let unusable =
            |e: std::io::Error| Error::Unreadable(format!("the data folder {}: {e}", options.path.display()));
        fs::create_dir_all(&options.path).map_err(unusable)?;
        let lock = lock(&options.path, now)?;
        let opened = open_writer(options, area);
        let (db, last) = opened.map_err(|e| match e {
            Opening::Refused(error) => error,
            Opening::Sqlite(e) => unreadable(&options.file(), &e),
        })?;
        Ok(Self { options: options.clone(), db, last, dead: None, _lock: lock })
    }

    /// Runs what writes; an error is the last thing this journal says.
    fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Error> {
        if let Some(dead) = &self.dead {
            return Err(Error::Fatal(dead.clone()));
        }
        work(self).map_err(|failure| {
            let why = failure.explain(&self.options.file());
            self.dead = Some(why.clone());
            Error::Fatal(why)
        })
    }

    fn append_all(&mut self, steps: &[Arc<Step>]) -> Result<(), Failure> {
        let mut last = self.last;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in steps {
            if let Some(why) = out_of_order(last, step) {
                return Err(Failure::Order(why));
            }
            write_step(&tx, step)?;
            last = Some((step.number, step.at));
        }
        tx.commit()?;
        self.last = last;
        Ok(())
    }

    /// Without a flush of its own: the next append's flush covers it, and losing it costs a repeat.
    fn note_all(&mut self, emitted: u64, alive: Timestamp) -> Result<(), Failure> {
        let last = self.last.map_or(0, |(number, _)| number);
        self.db.execute_batch("PRAGMA synchronous=NORMAL")?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        put_meta(&tx, "alive", &alive.0.to_string())?;
        put_meta(&tx, "emitted", &emitted.min(last).to_string())?;
        tx.prepare_cached("DELETE FROM outbox WHERE step <= ?1")?.execute([int(emitted.min(last))])?;
        tx.prepare_cached("DELETE FROM steps WHERE number <= ?1 AND number < ?2")?
            .execute([int(emitted), int(last)])?;
        tx.commit()?;
        self.db.execute_batch("PRAGMA synchronous=FULL")?;
        Ok(())
    }
}

impl Journal for Sqlite {
    fn restore(&mut self) -> Result<Restored, Error> {
        let file = self.options.file();
        let tx = self.db.transaction().map_err(|e| unreadable(&file, &e))?;
        let restored = read_all(&tx).map_err(|e| unreadable(&file, &e))?;
        Ok(restored)
    }

    fn append(&mut self, steps: &[Arc<Step>]) -> Result<(), Error> {
        if steps.is_empty() && self.dead.is_none() {
            return Ok(());
        }
        self.write(|journal| journal.append_all(steps))
    }

    fn note(&mut self, emitted: u64, alive: Timestamp) -> Result<(), Error> {
        self.write(|journal| journal.note_all(emitted, alive))
    }

    fn readers(&self) -> Readers {
        let options = self.options.clone();
        Box::new(move || Ok(Box::new(SqliteReader::open(&options)?) as Box<dyn Reader>))
    }

    fn close(mut self: Box<Self>) -> Result<(), Error> {
        self.write(|journal| Ok(journal.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?))
    }
}

/// Reads beside the writer, on a connection of its own that cannot write.
#[derive(Debug)]
pub struct SqliteReader {
    file: PathBuf,
    db: Connection,
}

impl SqliteReader {
    /// Opens the journal's file for reading.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(options: &JournalOptions) -> Result<Self, Error> {
        let file = options.file();
        let db = open_read_only(&file, options.busy_timeout).map_err(|e| unreadable(&file, &e))?;
        Ok(Self { file, db })
    }
}

impl Reader for SqliteReader {
    fn state(&mut self) -> Result<(u64, Vec<Document>), Error> {
        let read = |db: &mut Connection| {
            let tx = db.transaction()?;
            Ok((last_step(&tx)?.map_or(0, |(number, _)| number), read_documents(&tx)?))
        };
        read(&mut self.db).map_err(|e| unreadable(&self.file, &e))
    }

    fn unemitted(&mut self, number: u64, max: usize) -> Result<Vec<Arc<Step>>, Error> {
        let read = |db: &mut Connection| {
            let tx = db.transaction()?;
            let emitted = meta(&tx, "emitted")?.unwrap_or(0);
            read_steps(&tx, number.max(emitted.cast_unsigned()), max)
        };
        read(&mut self.db).map_err(|e| unreadable(&self.file, &e))
    }
}

/// A connection for reading only: for the board, the archive and anybody else beside the writer.
///
/// # Errors
/// When there is no such file, or it cannot be opened.
pub fn open_read_only(file: &Path, busy_timeout: Millis) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(std::time::Duration::from_millis(busy_timeout.0))?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

// Opening

enum Opening {
    Refused(Error),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn open_writer(
    options: &JournalOptions,
    area: &CommandArea,
) -> Result<(Connection, Option<(u64, Timestamp)>), Opening> {
    let file = options.file();
    let mut db = Connection::open(&file)?;
    db.busy_timeout(std::time::Duration::from_millis(options.busy_timeout.0))?;
    db.set_prepared_statement_cache_capacity(32);
    migrate(&mut db, &file)?;
    claim(&db, &file, area)?;
    db.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
    // What a flush that failed before the last stop has left in the page cache is flushed anew before it counts.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let last = last_step(&db)?;
    Ok((db, last))
}

/// Brings the store to the version known here; refuses what is not ours, or newer.
fn migrate(db: &mut Connection, file: &Path) -> Result<(), Opening> {
    let pragma = |db: &Connection, name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (ours, version) = (pragma(db, "application_id")? == APPLICATION_ID, pragma(db, "user_version")?);
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let refuse = |text: String| Err(Opening::Refused(Error::Unreadable(text)));
    if tables > 0 && !ours {
        return refuse(format!("{} is a database of something else; name another data folder", file.display()));
    }
    if version > known {
        return refuse(format!(
            "{} was written by a newer Muster (store version {version}, known here: {known}); start that version, \
             or name another data folder",
            file.display()
        ));
    }
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON; PRAGMA temp_store=MEMORY",
    )?;
    for (migration, reached) in MIGRATIONS.iter().zip(1..).skip(usize::try_from(version).unwrap_or(0)) {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", reached)?;
        tx.commit()?;
    }
    Ok(())
}

/// A journal belongs to one command area for ever.
fn claim(db: &Connection, file: &Path, area: &CommandArea) -> Result<(), Opening> {
    let owner: Option<String> =
        db.query_row("SELECT value FROM meta WHERE name = 'command_area'", [], |row| row.get(0)).optional()?;
    match owner {
        Some(owner) if owner != area.as_str() => Err(Opening::Refused(Error::Unreadable(format!(
            "{} is the journal of command area {owner}, the playbook is for {area}; name another data folder",
            file.display()
        )))),
        Some(_) => Ok(()),
        None => Ok(put_meta(db, "command_area", area.as_str())?),
    }
}

/// Takes the folder's lock, which ends with the process, and says who we are.
fn lock(folder: &Path, now: Timestamp) -> Result<File, Error> {
    let path = folder.join("muster.lock");
    let unusable = |e: std::io::Error| Error::Unreadable(format!("the lock file {}: {e}", path.display()));
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = read.map(|_| holder.trim().to_owned()).unwrap_or_default();
            let holder = if holder.is_empty() { String::new() } else { format!(" by {holder}") };
            return Err(Error::Locked { path: folder.display().to_string(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(unusable(e)),
    }
    let say = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "process {} since {now}", std::process::id())
    };
    say(&mut file).map_err(unusable)?;
    Ok(file)
}

// Writing

/// Why a write failed.
enum Failure {
    Sqlite(rusqlite::Error),
    Encode(serde_json::Error),
    Order(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Encode(error)
    }
}

impl Failure {
    fn explain(&self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::Sqlite(e) if e.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                format!("no space is left for {file} ({e}); free some, then start again")
            }
            Self::Sqlite(e) if e.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                format!("the disk under {file} failed ({e}); check it, then start again")
            }
            Self::Sqlite(e) => format!("{file} could not be written ({e})"),
            Self::Encode(e) => format!("a step could not be put into words ({e})"),
            Self::Order(why) => why.clone(),
        }
    }
}

/// Why this step cannot follow.
pub(super) fn out_of_order(last: Option<(u64, Timestamp)>, step: &Step) -> Option<String> {
    let (number, at) = last.unwrap_or((0, step.at));
    let follows = step.number == number + 1 && step.at >= at;
    (!follows).then(|| format!("step {} at {} does not follow step {number} at {at}", step.number, step.at))
}

fn write_step(tx: &Transaction<'_>, step: &Step) -> Result<(), Failure> {
    let number = int(step.number);
    tx.prepare_cached("INSERT INTO steps (number, at) VALUES (?1, ?2)")?.execute(params![number, step.at.0])?;
    for document in &step.documents {
        write_document(tx, number, document)?;
    }
    for (ix, effect) in (0_i64..).zip(&step.effects) {
        write_effect(tx, number, ix, effect)?;
    }
    for (name, next) in &step.positions {
        tx.prepare_cached(
            "INSERT INTO positions (name, next) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET next = excluded.next",
        )?
        .execute(params![name.as_str(), int(*next)])?;
    }
    Ok(())
}

fn write_document(tx: &Transaction<'_>, number: i64, document: &Document) -> Result<(), Failure> {
    let key = document.key.as_str();
    match &document.body {
        Some(body) => tx
            .prepare_cached(
                "INSERT INTO documents (key, step, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET step = excluded.step, body = excluded.body",
            )?
            .execute(params![key, number, &**body])?,
        None => tx.prepare_cached("DELETE FROM documents WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}

fn write_effect(tx: &Transaction<'_>, number: i64, ix: i64, effect: &Effect) -> Result<(), Failure> {
    match effect {
        Effect::Timeline(entry) => {
            let body = serde_json::to_string(entry)?;
            let incident = entry.incident.as_ref().map(ToString::to_string);
            tx.prepare_cached(
                "INSERT INTO timeline (step, ix, at, incident, kind, drill, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![number, ix, entry.at.0, incident, kind(&body), entry.drill, body])?
        }
        other => tx.prepare_cached("INSERT INTO outbox (step, ix, body) VALUES (?1, ?2, ?3)")?.execute(params![
            number,
            ix,
            serde_json::to_string(other)?
        ])?,
    };
    Ok(())
}

/// The word for what happened: the tag of an entry's `what`. An unescaped `"what":` cannot stand within a text.
fn kind(entry: &str) -> &str {
    let what = entry.split_once("\"what\":").map_or("", |(_, what)| what);
    what.trim_start_matches(['{', '"']).split('"').next().unwrap_or("")
}

fn put_meta(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute([name, value]).map(drop)
}

// Reading

fn read_all(tx: &Transaction<'_>) -> rusqlite::Result<Restored> {
    let emitted = meta(tx, "emitted")?.unwrap_or(0).cast_unsigned();
    let mut positions = tx.prepare("SELECT name, next FROM positions")?;
    let positions = positions.query_map([], |row| Ok((SmolStr::new(row.get_ref(0)?.as_str()?), uint(row.get(1)?))))?;
    Ok(Restored {
        last: last_step(tx)?,
        alive: meta(tx, "alive")?.map(Timestamp),
        positions: positions.collect::<rusqlite::Result<BTreeMap<_, _>>>()?,
        documents: read_documents(tx)?,
        unemitted: read_steps(tx, emitted, usize::MAX)?,
    })
}

fn last_step(db: &Connection) -> rusqlite::Result<Option<(u64, Timestamp)>> {
    let sql = "SELECT number, at FROM steps ORDER BY number DESC LIMIT 1";
    db.query_row(sql, [], |row| Ok((uint(row.get(0)?), Timestamp(row.get(1)?)))).optional()
}

fn meta(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn read_documents(db: &Connection) -> rusqlite::Result<Vec<Document>> {
    let mut documents = db.prepare("SELECT key, body FROM documents ORDER BY key")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Document { key: SmolStr::new(row.get_ref(0)?.as_str()?), body: Some(row.get_ref(1)?.as_str()?.into()) })
    };
    documents.query_map([], read)?.collect()
}

/// Steps after `after`, oldest first, at most `max`, each with its effects in their order.
fn read_steps(db: &Connection, after: u64, max: usize) -> rusqlite::Result<Vec<Arc<Step>>> {
    let mut steps = db.prepare("SELECT number, at FROM steps WHERE number > ?1 ORDER BY number LIMIT ?2")?;
    let mut effects = db.prepare(
        "SELECT ix, 0, body FROM outbox WHERE step = ?1 UNION ALL SELECT ix, 1, body FROM timeline WHERE step = ?1
         ORDER BY ix",
    )?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let heads = steps.query_map([int(after), limit], |row| Ok((row.get::<_, i64>(0)?, Timestamp(row.get(1)?))))?;
    let whole = |(number, at): (i64, Timestamp)| {
        let effects = effects.query_map([number], |row| effect(row.get(1)?, row.get_ref(2)?.as_str()?))?;
        let effects = effects.collect::<rusqlite::Result<Vec<_>>>()?;
        let (positions, documents) = (BTreeMap::new(), Vec::new());
        Ok(Arc::new(Step { number: uint(number), at, positions, documents, effects, ..Step::default() }))
    };
    heads.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().map(whole).collect()
}

fn effect(timeline: bool, body: &str) -> rusqlite::Result<Effect> {
    let read = if timeline { serde_json::from_str(body).map(Effect::Timeline) } else { serde_json::from_str(body) };
    read.map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))
}

fn unreadable(file: &Path, error: &rusqlite::Error) -> Error {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "; restore it from a backup, or name another folder"
        }
        Some(ErrorCode::DatabaseBusy) => "; somebody else holds it: close the tool that has it open",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => "; check who owns the folder",
        _ => "",
    };
    Error::Unreadable(format!("{} cannot be read: {error}{hint}", file.display()))
}

/// Step numbers start at 1 and count steps: they fit.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    number.max(0).cast_unsigned()
}
