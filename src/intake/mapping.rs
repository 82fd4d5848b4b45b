//! The mapping file: how the rows of a city's own table become reports and acts.
//!
//! A mapping names columns and says how they are read; it never holds a program. `[history]` says whose record it is,
//! `[file]` how the file is written, `[times]` how its clocks are read, `[report]` what makes an incident, each
//! `[[assignment]]` one unit that a row may send, each `[[category]]` which codes mean what, and `[city]` the rest of
//! a playbook (plans, rings, dispositions), which together with what the rows name goes through the playbook's own
//! loader (see `book`). The shipped `config/mappings/*.toml` show every key.
//!
//! Two kinds of value recur. A *field* is the name of a column, or a table that says more: a part of the cell, words that mean
//! nothing, a table of values. A *time* is the name of a column with date and clock, or a table: date and clock apart,
//! a date and an hour, a clock whose date follows from an earlier time (and may lie past midnight), a span after an
//! earlier time.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use smol_str::SmolStr;

use crate::model::{Act, AreaId, CategoryId, Kind, Millis, PlanId, Position, Severity, SourceId};
use crate::playbook::Matching;

/// A mapping file, read and checked in itself; its columns are checked against the header of a file by `rows`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Whose record this is.
    pub history: Head,
    /// How the file is written.
    #[serde(default)]
    pub file: FileShape,
    /// How its clocks are read.
    pub times: TimeShape,
    /// What makes an incident.
    pub report: ReportShape,
    /// The units a row may send; a row without any is a report only.
    #[serde(default, rename = "assignment")]
    pub assignments: Vec<AssignmentShape>,
    /// Which codes mean what; the first that fits.
    #[serde(rename = "category")]
    pub categories: Vec<CategoryShape>,
    /// The rest of the playbook, as it would stand in a playbook's files. Its plans come in two sets: `recorded`, by
    /// hand, and `decide`, whose linkage picks.
    pub city: toml::Table,
}

/// `[history]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Short name, which also becomes the playbook's.
    pub name: SmolStr,
    /// What people call it.
    pub title: SmolStr,
    /// The `source` its reports carry.
    pub source: SourceId,
    /// The seat that gives the recorded orders.
    #[serde(default = "default_seat")]
    pub seat: SmolStr,
    /// The plan of every incident.
    pub plan: PlanId,
    /// The kind of risk of every class, one of the city's.
    pub risk: SmolStr,
    /// The assessed area that units without one of their own belong to.
    pub area: AreaId,
    /// An incident is closed so long after the last thing recorded of it.
    #[serde(default = "default_close")]
    pub close_after: Millis,
}

/// `[file]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileShape {
    /// Between the cells.
    pub delimiter: char,
    /// Cells that mean nothing, wherever they stand; an empty cell always does.
    pub empty: Vec<SmolStr>,
    /// More rows than this are not read.
    pub rows_max: u64,
    /// More different codes than this share one category.
    pub codes_max: usize,
}

impl Default for FileShape {
    fn default() -> Self {
        Self { delimiter: ',', empty: Vec::new(), rows_max: 5_000_000, codes_max: 1_000 }
    }
}

/// `[times]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeShape {
    /// IANA name of the zone of clocks that do not say theirs.
    pub zone: SmolStr,
    /// Forms of a cell with date and clock, tried in order: `strptime` patterns, `rfc3339`, `epoch-s`, `epoch-ms`.
    #[serde(default)]
    pub formats: Vec<SmolStr>,
    /// Forms of a date alone.
    #[serde(default)]
    pub dates: Vec<SmolStr>,
    /// Forms of a clock alone.
    #[serde(default)]
    pub clocks: Vec<SmolStr>,
    /// Cells that say "never".
    #[serde(default)]
    pub never: Vec<SmolStr>,
    /// A time before this local date (`1971-01-01`) says "never" too.
    #[serde(default)]
    pub never_before: Option<SmolStr>,
    /// A clock without a date is taken to lie from so long before the time it follows up to a day later.
    #[serde(default = "default_slack")]
    pub slack: Millis,
}

/// `[report]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportShape {
    /// Rows with the same value are one incident.
    pub incident: Field,
    /// The row's own id, so that a row that stands twice counts once.
    #[serde(default)]
    pub row: Option<Field>,
    /// When the report was received. The earliest row of an incident counts.
    pub received: Time,
    /// What kind it is, in the city's own words or codes.
    #[serde(default)]
    pub code: Option<Field>,
    /// How bad, as one of CAP's words: `extreme`, `severe`, `moderate`, `minor`.
    #[serde(default)]
    pub severity: Option<Field>,
    /// Where.
    #[serde(default)]
    pub place: Option<PlaceShape>,
    /// How it ended: a code of the playbook's dispositions.
    #[serde(default)]
    pub disposition: Option<Field>,
    /// The code where the file names none.
    pub disposition_else: SmolStr,
}

/// Where something is: two columns, or both numbers in one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceShape {
    /// Degrees north.
    #[serde(default)]
    pub lat: Option<Field>,
    /// Degrees east.
    #[serde(default)]
    pub lon: Option<Field>,
    /// A cell that holds both, such as `(37.7, -122.4)` or `POINT (-122.4 37.7)`.
    #[serde(default)]
    pub point: Option<Field>,
    /// Whether that cell names the longitude first. Well-known text (`POINT …`) always does.
    #[serde(default)]
    pub lon_first: bool,
}

/// `[[assignment]]`: one unit that a row sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentShape {
    /// Which unit; without one the row sends nobody.
    pub unit: Field,
    /// Its kind of post.
    #[serde(default)]
    pub kind: Option<Field>,
    /// The kind where the file names none.
    #[serde(default = "default_kind")]
    pub kind_else: Kind,
    /// Where its base is. Without it: the middle of the places it was sent to.
    #[serde(default)]
    pub base: Option<PlaceShape>,
    /// The place among the units sent at the same instant.
    #[serde(default)]
    pub sequence: Option<Field>,
    /// False for a unit that stands for several, such as a station: sent once, it can be sent again.
    #[serde(default = "yes")]
    pub binds: bool,
    /// When it was ordered.
    pub dispatched: Time,
    /// What it did.
    #[serde(default)]
    pub signed: Option<Time>,
    /// What it did.
    #[serde(default)]
    pub en_route: Option<Time>,
    /// What it did.
    #[serde(default)]
    pub on_scene: Option<Time>,
    /// What it did.
    #[serde(default)]
    pub first_report: Option<Time>,
    /// When it was free again.
    #[serde(default)]
    pub cleared: Option<Time>,
}

impl AssignmentShape {
    /// Its acts in the order of procedure.
    pub fn acts(&self) -> impl Iterator<Item = (Act, &Time)> {
        [
            (Act::Signed, &self.signed),
            (Act::EnRoute, &self.en_route),
            (Act::OnScene, &self.on_scene),
            (Act::FirstReport, &self.first_report),
            (Act::Cleared, &self.cleared),
        ]
        .into_iter()
        .filter_map(|(act, time)| Some((act, time.as_ref()?)))
    }
}

/// `[[category]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryShape {
    /// `domain/class/item`. With `{code}` in it, each code that comes here is a category of its own.
    pub id: CategoryId,
    /// English name.
    #[serde(default)]
    pub en: SmolStr,
    /// Chinese name.
    #[serde(default)]
    pub zh: SmolStr,
    /// Codes that mean it: whole, or with `*` at the end for all that begin so (whole codes count first, then the
    /// longest beginning). `*` alone: everything else.
    pub codes: Vec<SmolStr>,
    /// How bad, where the row does not say.
    pub severity: Severity,
    /// Categories of one family may be reports of one happening. Default: each is a family of its own.
    #[serde(default)]
    pub family: Option<SmolStr>,
    /// How two reports of one happening find each other.
    pub matching: Matching,
}

/// A column, and how its cell is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldSpec {
    /// Its name in the header.
    pub column: SmolStr,
    /// Other names it has in other editions of the file; the first that the header holds counts.
    pub or: Vec<SmolStr>,
    /// The cell is cut at this text …
    pub split: Option<SmolStr>,
    /// … and this part is taken: 0 is the first, −1 the last.
    pub part: i32,
    /// Cells of this column that mean nothing.
    pub empty: Vec<SmolStr>,
    /// What its values mean. A value without an entry means itself, unless `other` is given.
    pub table: BTreeMap<SmolStr, SmolStr>,
    /// What a value means that the table does not list.
    pub other: Option<SmolStr>,
    /// What an empty cell means.
    pub missing: Option<SmolStr>,
}

/// How a time is read. Exactly one of `at`, `date`, `clock`, `span`, `after` leads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeSpec {
    /// Date and clock in one cell.
    pub at: Option<Field>,
    /// A date. Alone, it means `clock_else` of that day.
    pub date: Option<Field>,
    /// A clock: of `date`, or without it the first such clock after `after`.
    pub clock: Option<Field>,
    /// An hour of the day as a number, beside `date`.
    pub hour: Option<Field>,
    /// The clock of a date without one.
    pub clock_else: Option<SmolStr>,
    /// A number of `unit`s after `after`.
    pub span: Option<Field>,
    /// `ms`, `s`, `min` or `h`.
    pub unit: Option<SmolStr>,
    /// `received`, or an earlier time of the same assignment.
    pub after: Option<Milestone>,
    /// Added to `after`: an assumption of the mapping, where the record is silent.
    pub plus: Option<Millis>,
}

/// A time that another one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the keys of an assignment")]
pub enum Milestone {
    Received,
    Dispatched,
    Signed,
    EnRoute,
    OnScene,
    FirstReport,
    Cleared,
}

impl From<Act> for Milestone {
    fn from(act: Act) -> Self {
        match act {
            Act::Signed => Self::Signed,
            Act::EnRoute => Self::EnRoute,
            Act::OnScene => Self::OnScene,
            Act::FirstReport => Self::FirstReport,
            _ => Self::Cleared,
        }
    }
}

/// A field: the name of a column, or a table that says more.
#[derive(Clone, Debug)]
pub struct Field(pub FieldSpec);

/// A time: the name of a column with date and clock, or a table that says more.
#[derive(Clone, Debug)]
pub struct Time(pub TimeSpec);

fn column(name: &str) -> FieldSpec {
    FieldSpec { column: name.into(), ..FieldSpec::default() }
}

/// Reads a text as a column's name and a table as it stands, so that an error in the table keeps its own words.
struct TextOrTable<T>(fn(&str) -> T);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrTable<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column, or a table that says how it is read")
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable(column)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = |name: &str| TimeSpec { at: Some(Field(column(name))), ..TimeSpec::default() };
        deserializer.deserialize_any(TextOrTable(at)).map(Self)
    }
}

/// Why a mapping cannot be used: which file, what is wrong, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct MappingError {
    /// The mapping's file name.
    pub file: String,
    /// What is wrong, with line and key where the reader knows them.
    pub reason: String,
}

impl Mapping {
    /// Reads a mapping from the text of `file`.
    ///
    /// # Errors
    /// When it is no TOML of this shape, or contradicts itself.
    pub fn read(file: &str, text: &str) -> Result<Self, MappingError> {
        let wrong = |reason: String| MappingError { file: file.to_owned(), reason };
        let mapping: Self = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        mapping.check().map_err(wrong)?;
        Ok(mapping)
    }

    /// Every field of the mapping.
    pub fn fields(&self) -> impl Iterator<Item = &FieldSpec> {
        let report = &self.report;
        let times = self.assignments.iter().flat_map(|a| a.acts().map(|(_, t)| t).chain([&a.dispatched]));
        let times = times.chain([&report.received]).flat_map(|t| t.0.fields());
        let places = report.place.iter().chain(self.assignments.iter().filter_map(|a| a.base.as_ref()));
        let places = places.flat_map(|p| [&p.lat, &p.lon, &p.point]).flatten();
        let units = self.assignments.iter();
        let units = units.flat_map(|a| [Some(&a.unit), a.kind.as_ref(), a.sequence.as_ref()]).flatten();
        let own = [&report.row, &report.code, &report.severity, &report.disposition].into_iter().flatten();
        let all = own.chain([&report.incident]).chain(times).chain(places).chain(units);
        all.map(|field| &field.0)
    }

    /// What `serde` cannot see: times that lead nowhere, categories that can never be reached.
    fn check(&self) -> Result<(), String> {
        self.report.received.0.check("report.received", self)?;
        if self.report.received.0.after.is_some() {
            return Err("report.received: `after` is for later times; nothing comes before receipt".into());
        }
        for (i, a) in self.assignments.iter().enumerate() {
            a.dispatched.0.check(&format!("assignment[{i}].dispatched"), self)?;
            for (act, time) in a.acts() {
                time.0.check(&format!("assignment[{i}].{act}"), self)?;
                if time.0.after.is_some_and(|m| m >= Milestone::from(act)) {
                    return Err(format!("assignment[{i}].{act}: `after` must name an earlier time"));
                }
            }
        }
        for place in self.report.place.iter().chain(self.assignments.iter().filter_map(|a| a.base.as_ref())) {
            if place.point.is_some() == (place.lat.is_some() && place.lon.is_some()) {
                return Err("a place needs either `point`, or both `lat` and `lon`".into());
            }
        }
        match self.categories.iter().position(|c| c.codes.iter().any(|c| c == "*")) {
            None => Err("the last [[category]] must have codes = [\"*\"], so that every row has a category".into()),
            Some(at) if at + 1 < self.categories.len() => {
                Err(format!("category `{}` can never be reached: the one before takes `*`", self.categories[at + 1].id))
            }
            Some(_) => Ok(()),
        }
    }
}

impl TimeSpec {
    fn fields(&self) -> impl Iterator<Item = &Field> {
        [&self.at, &self.date, &self.clock, &self.hour, &self.span].into_iter().flatten()
    }

    /// Whether the parts given make a time.
    fn check(&self, key: &str, mapping: &Mapping) -> Result<(), String> {
        let times = &mapping.times;
        let needs = |there: bool, what: &str| if there { Ok(()) } else { Err(format!("{key}: {what}")) };
        let leads =
            usize::from(self.at.is_some()) + usize::from(self.date.is_some()) + usize::from(self.span.is_some());
        needs(leads <= 1, "give one of `at`, `date` and `span`, not several")?;
        if self.at.is_some() {
            return needs(!times.formats.is_empty(), "a cell with date and clock needs `formats` in [times]");
        }
        if self.date.is_some() {
            needs(!times.dates.is_empty(), "a date needs `dates` in [times]")?;
            needs(self.clock.is_none() || self.hour.is_none(), "give `clock` or `hour`, not both")?;
            let (alone, clocks) = (self.clock.is_none() && self.hour.is_none(), !times.clocks.is_empty());
            needs(!alone || self.clock_else.is_some(), "a date alone needs `clock_else`, such as \"12:00\"")?;
            return needs(self.clock.is_none() || clocks, "a clock needs `clocks` in [times]");
        }
        needs(self.after.is_some(), "say `after` which time it comes, or give it a date")?;
        if self.span.is_some() {
            let unit = self.unit.as_deref().and_then(unit_ms);
            return needs(unit.is_some(), "a span needs `unit`: \"ms\", \"s\", \"min\" or \"h\"");
        }
        needs(self.clock.is_none() || !times.clocks.is_empty(), "a clock needs `clocks` in [times]")?;
        needs(self.clock.is_some() || self.plus.is_some(), "give `at`, `date`, `clock`, `span` or `plus`")
    }
}

/// Milliseconds of a unit's name.
pub(super) fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    })
}

impl FieldSpec {
    /// Every name it may have, in the order in which they count.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.column).chain(&self.or).map(SmolStr::as_str)
    }
}

/// The point a text holds: its first two numbers.
pub(super) fn point(text: &str, lon_first: bool) -> Option<Position> {
    let lon_first = lon_first || text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("point"));
    let number = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
    let mut numbers = text.split(number).filter_map(|t| t.parse::<f64>().ok());
    let (a, b) = (numbers.next()?, numbers.next()?);
    let (lon, lat) = if lon_first { (a, b) } else { (b, a) };
    Some(Position { lon, lat }).filter(|p| p.is_valid())
}

fn yes() -> bool {
    true
}
fn default_seat() -> SmolStr {
    "command/record".into()
}
fn default_close() -> Millis {
    Millis::from_mins(15)
}
fn default_slack() -> Millis {
    Millis::from_mins(60)
}
fn default_kind() -> Kind {
    Kind::Patrol
}
