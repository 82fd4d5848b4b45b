//! Rows to records: what each row of a table says, by the mapping, and why a row says nothing.
//!
//! A row that cannot be used is set aside with its line and the reason, a cell that cannot be used likewise while the
//! rest of the row counts; neither is ever silent and neither stops the file. Reasons are words of ours and names of
//! columns, never what stood in a cell. Reading knows nothing of an engine: the same records feed a replay and any
//! independent count.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::clock::{Clocks, Earlier, Unreadable};
use super::mapping::{AssignmentShape, Field, FieldSpec, Mapping, MappingError, Milestone, PlaceShape, Time, point};
use crate::model::{Act, Kind, Millis, Position, ReportSeverity, Timestamp};

/// What one row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it stands in the file, from 1 (the header).
    pub line: u64,
    /// Its own id: the file's, or its line.
    pub row: SmolStr,
    /// The incident it belongs to.
    pub incident: SmolStr,
    /// When the report was received.
    pub received: Timestamp,
    /// What kind, in the city's words.
    pub code: Option<SmolStr>,
    /// How bad, where the row says.
    pub severity: Option<ReportSeverity>,
    /// Where, if anywhere.
    pub place: Option<Position>,
    /// How it ended.
    pub disposition: SmolStr,
    /// Whom it sent.
    pub assignments: Vec<Assignment>,
}

/// One unit sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Which.
    pub unit: SmolStr,
    /// Its kind of post.
    pub kind: Kind,
    /// Where its base is, where the file says.
    pub base: Option<Position>,
    /// The place among those sent at the same instant.
    pub sequence: u32,
    /// Whether it can be sent nowhere else meanwhile.
    pub binds: bool,
    /// When.
    pub dispatched: Timestamp,
    /// What it did, in the order of procedure.
    pub acts: Vec<(Act, Timestamp)>,
}

/// A row, or a cell of one, that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// Where it stands in the file.
    pub line: u64,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// A stable word and its meaning.
    pub reason: &'static str,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Table {
    /// Rows read, used or not.
    pub rows: u64,
    /// What they say.
    pub records: Vec<Record>,
    /// Rows that say nothing, with the incident they name where they name one.
    pub refused: Vec<(Unusable, Option<SmolStr>)>,
    /// Cells that say nothing, of rows that are used all the same.
    pub cells: Vec<Unusable>,
    /// Oddities by name: how often each, and the lines of the first few.
    pub notes: Notes,
}

/// Oddities that were decided by a rule and are told all the same.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Notes(BTreeMap<&'static str, Note>);

/// One kind of oddity.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How often.
    pub count: u64,
    /// The lines of the first few.
    pub lines: Vec<u64>,
}

impl Notes {
    /// Lines named of each kind.
    const LINES_MAX: usize = 20;

    /// Notes that `what` was met on `line`.
    pub fn add(&mut self, what: &'static str, line: u64) {
        let note = self.0.entry(what).or_default();
        note.count += 1;
        if note.lines.len() < Self::LINES_MAX {
            note.lines.push(line);
        }
    }

    /// How often.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).map_or(0, |n| n.count)
    }

    /// Every kind, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Note)> {
        self.0.iter().map(|(what, note)| (*what, note))
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The mapping does not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The file is no table.
    #[error("the file is no table that can be read: {0}")]
    Csv(#[from] csv::Error),
    /// More rows than the mapping allows.
    #[error("the file has more than {0} rows; raise `rows_max` in [file] or cut it")]
    TooLong(u64),
}

/// Reads a whole table. `progress` is told the byte reached, now and then.
///
/// # Errors
/// When the header lacks a column of the mapping, or the stream breaks. Rows alone never cause one.
pub fn read(mapping: &Mapping, file: impl Read, mut progress: impl FnMut(u64)) -> Result<Table, TableError> {
    let delimiter = u8::try_from(mapping.file.delimiter).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(file);
    let header: Vec<String> = reader.byte_headers()?.iter().map(|name| words(name).0.into_owned()).collect();
    let sheet = Sheet::new(mapping, &header)?;
    let mut table = Table::default();
    let mut seen: BTreeMap<SmolStr, (u64, u64)> = BTreeMap::new();
    let mut bytes = csv::ByteRecord::new();
    while reader.read_byte_record(&mut bytes)? {
        let line = bytes.position().map_or(0, csv::Position::line);
        if table.rows >= mapping.file.rows_max {
            return Err(TableError::TooLong(mapping.file.rows_max));
        }
        table.rows += 1;
        if table.rows % 256 == 0 {
            progress(bytes.position().map_or(0, csv::Position::byte));
        }
        let row = Row { cells: bytes.iter().map(words).collect(), line, sheet: &sheet };
        row.note_shape(&mut table);
        match row.record(&mut table) {
            Ok(record) if row.is_new(&record, &mut seen, &mut table.notes) => table.records.push(record),
            Ok(_) => {}
            Err(refused) => table.refused.push((refused, row.text(&mapping.report.incident).map(SmolStr::from))),
        }
    }
    Ok(table)
}

/// A cell's text; invalid UTF-8 is replaced, and said.
fn words(cell: &[u8]) -> (Cow<'_, str>, bool) {
    let text = String::from_utf8_lossy(cell);
    let broken = matches!(text, Cow::Owned(_));
    let trimmed = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim().trim_start_matches('\u{feff}')),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (trimmed, broken)
}

/// A mapping bound to the header of one file.
#[derive(Debug)]
struct Sheet<'m> {
    mapping: &'m Mapping,
    columns: BTreeMap<String, usize>,
    clocks: Clocks<'m>,
    width: usize,
}

impl<'m> Sheet<'m> {
    fn new(mapping: &'m Mapping, header: &[String]) -> Result<Self, MappingError> {
        let wrong = |reason| MappingError { file: mapping.history.name.to_string(), reason };
        let mut columns = BTreeMap::new();
        for (i, name) in header.iter().enumerate() {
            columns.entry(name.clone()).or_insert(i);
        }
        for field in mapping.fields() {
            let Some(&index) = field.names().find_map(|name| columns.get(name)) else {
                let column = &field.column;
                let alike = |name: &&String| strsim::jaro_winkler(name, column);
                let near = header.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
                let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
                return Err(wrong(format!("the file has no column `{column}`{near}")));
            };
            columns.entry(field.column.to_string()).or_insert(index);
        }
        let clocks = Clocks::new(&mapping.times).map_err(wrong)?;
        Ok(Self { mapping, columns, clocks, width: header.len() })
    }
}

/// One row under its mapping.
struct Row<'r, 'm> {
    cells: Vec<(Cow<'r, str>, bool)>,
    line: u64,
    sheet: &'r Sheet<'m>,
}

impl Row<'_, '_> {
    /// What a field says of this row; `None` when it says nothing.
    fn text<'a>(&'a self, field: &'a Field) -> Option<Cow<'a, str>> {
        let FieldSpec { column, split, part, empty, table, other, missing, .. } = &field.0;
        let cell = self.sheet.columns.get(column.as_str()).and_then(|&i| self.cells.get(i)).map_or("", |c| &c.0);
        let cell = match split {
            Some(cut) if *part >= 0 => cell.split(cut.as_str()).nth(part.unsigned_abs() as usize).unwrap_or(""),
            Some(cut) => cell.rsplit(cut.as_str()).nth(part.unsigned_abs() as usize - 1).unwrap_or(""),
            None => cell,
        };
        let nothing = |word: &SmolStr| word == cell;
        if cell.is_empty() || empty.iter().chain(&self.sheet.mapping.file.empty).any(nothing) {
            return missing.as_ref().map(|m| Cow::Borrowed(m.as_str()));
        }
        let meant = table.get(cell).or(other.as_ref());
        Some(Cow::Borrowed(meant.map_or(cell, SmolStr::as_str))).filter(|t| !t.is_empty())
    }

    fn place(&self, shape: &PlaceShape) -> Result<Option<Position>, Unusable> {
        let (said, column) = if let Some(field) = &shape.point {
            (self.text(field).map(|t| point(&t, shape.lon_first)), field)
        } else {
            let (Some(lat), Some(lon)) = (&shape.lat, &shape.lon) else { return Ok(None) };
            let both = self.text(lat).zip(self.text(lon));
            (both.map(|(lat, lon)| point(&format!("{lat} {lon}"), false)), lat)
        };
        match said {
            None => Ok(None),
            Some(None) => Err(self.unusable("no position on the globe", Some(column.0.column.to_string()))),
            Some(position) => Ok(position),
        }
    }

    fn time(&self, time: &Time, earlier: &Earlier, table: &mut Table) -> Result<Option<Timestamp>, Unusable> {
        let told = self.sheet.clocks.read(&time.0, |f| self.text(f), earlier);
        match told {
            Ok(Some(told)) => {
                if told.daylight_saving {
                    table.notes.add("clock-in-an-hour-that-daylight-saving-skips-or-repeats", self.line);
                }
                Ok(Some(told.at))
            }
            Ok(None) => Ok(None),
            Err(Unreadable { column, reason }) => Err(self.unusable(reason, Some(column))),
        }
    }

    fn record(&self, table: &mut Table) -> Result<Record, Unusable> {
        let shape = &self.sheet.mapping.report;
        let column = |field: &Field| Some(field.0.column.to_string());
        let none = |field: &Field| self.unusable("no incident is named", column(field));
        let incident = self.text(&shape.incident).ok_or_else(|| none(&shape.incident))?;
        let received = self.time(&shape.received, &Earlier::default(), table)?;
        let received = received.ok_or_else(|| self.unusable("no time of receipt", None))?;
        let mut earlier = Earlier::default();
        earlier.set(Milestone::Received, received);
        let place = match shape.place.as_ref().map_or(Ok(None), |p| self.place(p)) {
            Ok(place) => place,
            Err(cell) => {
                table.cells.push(cell);
                None
            }
        };
        if place.is_none() {
            table.notes.add("row-without-a-place", self.line);
        }
        let mut assignments = Vec::new();
        for shape in &self.sheet.mapping.assignments {
            assignments.extend(self.assignment(shape, earlier, table));
        }
        if assignments.is_empty() {
            table.notes.add("row-that-sends-nobody", self.line);
        }
        let row = shape.row.as_ref().and_then(|f| self.text(f)).map(SmolStr::from);
        Ok(Record {
            line: self.line,
            row: row.unwrap_or_else(|| SmolStr::from(format!("line-{}", self.line))),
            incident: incident.into(),
            received,
            code: shape.code.as_ref().and_then(|f| self.text(f)).map(SmolStr::from),
            severity: shape.severity.as_ref().and_then(|f| self.word(f, table)),
            place,
            disposition: self.disposition(),
            assignments,
        })
    }

    fn disposition(&self) -> SmolStr {
        let shape = &self.sheet.mapping.report;
        let said = shape.disposition.as_ref().and_then(|f| self.text(f)).map(SmolStr::from);
        said.unwrap_or_else(|| shape.disposition_else.clone())
    }

    fn assignment(&self, shape: &AssignmentShape, mut earlier: Earlier, table: &mut Table) -> Option<Assignment> {
        let unit = self.text(&shape.unit)?;
        let dispatched = match self.time(&shape.dispatched, &earlier, table) {
            Ok(at) => at,
            Err(cell) => {
                table.cells.push(cell);
                None
            }
        };
        let Some(dispatched) = dispatched else {
            table.notes.add("unit-without-a-time-of-dispatch", self.line);
            return None;
        };
        earlier.set(Milestone::Dispatched, dispatched);
        let mut acts: Vec<(Act, Timestamp)> = Vec::new();
        for (act, time) in shape.acts() {
            match self.time(time, &earlier, table) {
                Ok(Some(at)) => {
                    earlier.set(Milestone::from(act), at);
                    acts.push((act, at));
                }
                Ok(None) => {}
                Err(cell) => table.cells.push(cell),
            }
        }
        let times: Vec<Timestamp> = std::iter::once(dispatched).chain(acts.iter().map(|a| a.1)).collect();
        if !times.is_sorted() {
            table.notes.add("time-inversion", self.line);
        }
        let base = shape.base.as_ref().map_or(Ok(None), |p| self.place(p));
        let base = base.unwrap_or_else(|cell| {
            table.cells.push(cell);
            None
        });
        let sequence = shape.sequence.as_ref().and_then(|f| self.text(f)?.parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to its range")]
        let sequence = sequence.map_or(u32::MAX, |n| n.clamp(0.0, f64::from(u32::MAX)) as u32);
        let kind = shape.kind.as_ref().and_then(|f| self.word(f, table)).unwrap_or(shape.kind_else);
        Some(Assignment { unit: unit.into(), kind, base, sequence, binds: shape.binds, dispatched, acts })
    }

    /// A field whose values are words of ours, such as a kind of post.
    fn word<T: for<'de> Deserialize<'de>>(&self, field: &Field, table: &mut Table) -> Option<T> {
        let text = self.text(field)?;
        let word = T::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&text)).ok();
        if word.is_none() {
            table
                .cells
                .push(self.unusable("a value the mapping's table does not list", Some(field.0.column.to_string())));
        }
        word
    }

    /// Whether the row is not one that stood in the file before.
    fn is_new(&self, record: &Record, seen: &mut BTreeMap<SmolStr, (u64, u64)>, notes: &mut Notes) -> bool {
        if self.sheet.mapping.report.row.is_none() {
            return true;
        }
        let mut hash = blake3::Hasher::new();
        for (cell, _) in &self.cells {
            hash.update(cell.as_bytes()).update(&[0]);
        }
        let digest = u64::from_le_bytes(hash.finalize().as_bytes()[..8].try_into().expect("eight of 32 bytes"));
        match seen.insert(record.row.clone(), (self.line, digest)) {
            Some((_, same)) if same == digest => {
                notes.add("row-that-stands-twice", self.line);
                false
            }
            Some(_) => {
                notes.add("row-id-that-stands-twice-with-other-content", self.line);
                true
            }
            None => true,
        }
    }

    fn note_shape(&self, table: &mut Table) {
        if self.cells.len() != self.sheet.width {
            table.notes.add("row-with-more-or-fewer-cells-than-the-header", self.line);
        }
        if self.cells.iter().any(|c| c.1) {
            table.notes.add("cell-that-is-not-utf-8", self.line);
        }
    }

    fn unusable(&self, reason: &'static str, column: Option<String>) -> Unusable {
        Unusable { line: self.line, column, reason }
    }
}

impl Assignment {
    /// When it was free again, if the row says so.
    #[must_use]
    pub fn cleared(&self) -> Option<Timestamp> {
        self.acts.iter().find(|(act, _)| *act == Act::Cleared).map(|a| a.1)
    }

    /// When it stood there, if the row says so.
    #[must_use]
    pub fn on_scene(&self) -> Option<Timestamp> {
        self.acts.iter().find(|(act, _)| *act == Act::OnScene).map(|a| a.1)
    }

    /// The last thing known of it.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.acts.iter().map(|a| a.1).fold(self.dispatched, Timestamp::max)
    }

    /// From order to arrival.
    #[must_use]
    pub fn reached_after(&self) -> Option<Millis> {
        self.on_scene().map(|at| at.since(self.dispatched))
    }
}
