//! The text of a playbook: TOML files read as one, every entry with its file and lines.
//!
//! Every top-level table may stand in any file. Arrays of tables are put one after the other, in the order of the file
//! names and then of the lines; single tables may stand once. A file is read entry by entry, so that one fault hides no
//! other, and an entry that cannot be read keeps its name, so that nobody who refers to it is blamed as well.
//!
//! Unknown keys are refused everywhere: a misspelt field must not silently mean its default, and there is no way to add a
//! field of one's own, least of all one that names a person.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problem::{Part, Problems};
use super::templates::TemplateText;
use super::{
    Agency, Area, Cost, County, Disposition, Folding, Head, Keywords, LateRule, Limits, Linkage, Matching, Modifier,
    Neighbour, Plan, Rings, Rule, Site, Source, Subscription, Suppression, Township, Travel, Window, Zone,
};
use crate::model::{AgencyId, AreaId, CategoryId, Hours, Kind, PostSpec};

/// All files of a playbook as one text.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub head: Option<Entry<Head>>,
    pub rings: Option<Entry<Rings>>,
    pub travel: Option<Entry<Travel>>,
    pub cost: Option<Entry<Cost>>,
    pub limits: Option<Entry<Limits>>,
    pub folding: Option<Entry<Folding>>,
    pub suppression: Option<Entry<Suppression>>,
    pub risk_kinds: Vec<Entry<Word>>,
    pub domains: Vec<Entry<Word>>,
    pub classes: Vec<Entry<ClassText>>,
    pub items: Vec<Entry<ItemText>>,
    pub keywords: Vec<Entry<Keywords>>,
    pub rules: Vec<Entry<Rule>>,
    pub modifiers: Vec<Entry<Modifier>>,
    pub plans: Vec<Entry<Plan>>,
    pub linkages: Vec<Entry<Linkage>>,
    pub counties: Vec<Entry<County>>,
    pub townships: Vec<Entry<Township>>,
    pub areas: Vec<Entry<Area>>,
    pub sites: Vec<Entry<Site>>,
    pub zones: Vec<Entry<Zone>>,
    pub neighbours: Vec<Entry<Neighbour>>,
    pub posts: Vec<Entry<PostSpec>>,
    pub post_blocks: Vec<Entry<PostBlock>>,
    pub teams: Vec<Entry<TeamBlock>>,
    pub subscriptions: Vec<Entry<Subscription>>,
    pub windows: Vec<Entry<Window>>,
    pub agencies: Vec<Entry<Agency>>,
    pub dispositions: Vec<Entry<Disposition>>,
    pub sources: Vec<Entry<Source>>,
    pub templates: Vec<Entry<TemplateText>>,
    /// Names of entries that could not be read, by table: known, whatever they say.
    pub broken: BTreeSet<(&'static str, String)>,
}

/// Every top-level table, for "did you mean".
const TABLES: [&str; 31] = [
    "playbook",
    "rings",
    "travel",
    "cost",
    "limits",
    "folding",
    "suppression",
    "risk_kind",
    "domain",
    "class",
    "item",
    "keywords",
    "rule",
    "modifier",
    "plan",
    "linkage",
    "county",
    "township",
    "area",
    "site",
    "zone",
    "neighbour",
    "post",
    "post_block",
    "teams",
    "subscription",
    "window",
    "agency",
    "disposition",
    "source",
    "template",
];

/// `[[domain]]`, `[[risk_kind]]`: a word with its two names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    pub id: SmolStr,
    pub zh: SmolStr,
    pub en: SmolStr,
}

/// `[[class]]`: a class of the taxonomy with what holds for its items unless they say otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts of a class, each a word in its text")]
pub(super) struct ClassText {
    /// `domain/class`
    pub id: CategoryId,
    pub zh: SmolStr,
    pub en: SmolStr,
    /// One of the five kinds of risk.
    pub risk: SmolStr,
    pub family: Option<SmolStr>,
    #[serde(default)]
    pub matching: Matching,
    #[serde(default)]
    pub late: LateRule,
    #[serde(default)]
    pub trigger_at_once: bool,
    #[serde(default)]
    pub bottom_line: bool,
    #[serde(default)]
    pub mediation: bool,
    #[serde(default)]
    pub volunteers_barred: bool,
    #[serde(default)]
    pub agencies: Vec<AgencyId>,
}

/// `[[item]]`: a leaf of the taxonomy; what it leaves out is its class's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemText {
    /// `domain/class/item`
    pub id: CategoryId,
    pub zh: SmolStr,
    pub en: SmolStr,
    pub family: Option<SmolStr>,
    pub matching: Option<Matching>,
    pub late: Option<LateRule>,
    pub trigger_at_once: Option<bool>,
    pub bottom_line: Option<bool>,
    pub mediation: Option<bool>,
    pub volunteers_barred: Option<bool>,
    pub agencies: Option<Vec<AgencyId>>,
}

/// `[[post_block]]`: so many like posts, spread over an area. See `roster` for where they stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostBlock {
    /// Their call signs are `<prefix>-001`, `<prefix>-002` …
    pub prefix: SmolStr,
    pub kind: Kind,
    pub area: AreaId,
    pub count: u16,
    /// They stand within this of the area's centre, in metres.
    pub radius_m: f64,
    #[serde(default)]
    pub hours: Hours,
    #[serde(default = "one")]
    pub strength: u16,
    #[serde(default)]
    pub capabilities: Vec<SmolStr>,
    /// Standing posts: the radius in metres within which each holds a scene.
    pub holds_m: Option<f64>,
}

/// `[[teams]]`: so many volunteer teams, spread over an area.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamBlock {
    /// Their ids are `<prefix>-001`, `<prefix>-002` …
    pub prefix: SmolStr,
    pub area: AreaId,
    pub count: u16,
    /// They muster within this of the area's centre, in metres.
    pub radius_m: f64,
    #[serde(default = "one")]
    pub strength: u16,
}

fn one() -> u16 {
    1
}

/// An entry with the place of everything in it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// The number of its file.
    pub file: u16,
    lines: Lines,
    /// What it says.
    pub value: T,
}

impl<T> std::ops::Deref for Entry<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Entry<T> {
    /// The line of a part; of the nearest thing around it, where it was left out.
    pub(super) fn line(&self, path: &[Part<'_>]) -> usize {
        let mut here = &self.lines;
        for part in path {
            let inner = match *part {
                Part::Key(key) => here.inner.iter().find(|(name, _)| name == key).map(|(_, lines)| lines),
                Part::Nth(nth) => here.inner.get(nth).map(|(_, lines)| lines),
            };
            let Some(inner) = inner else { break };
            here = inner;
        }
        here.line as usize
    }

    /// Whether the author wrote this field, rather than leaving it to its default.
    pub(super) fn says(&self, field: &str) -> bool {
        self.lines.inner.iter().any(|(name, _)| name == field)
    }
}

/// The lines of a value and of everything in it.
#[derive(Debug)]
struct Lines {
    line: u32,
    inner: Vec<(SmolStr, Lines)>,
}

impl Lines {
    fn of(value: &Spanned<DeValue<'_>>, starts: &LineStarts) -> Self {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table
                .iter()
                .map(|(key, value)| {
                    let mut lines = Self::of(value, starts);
                    // A table's own span may be that of its first key; the key is where a reader looks.
                    lines.line = starts.line(key.span().start);
                    (SmolStr::new(key.get_ref()), lines)
                })
                .collect(),
            DeValue::Array(array) => array.iter().map(|v| (SmolStr::default(), Self::of(v, starts))).collect(),
            _ => Vec::new(),
        };
        Self { line: starts.line(value.span().start), inner }
    }
}

/// Where the lines of a text begin.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self(std::iter::once(0).chain(after_breaks).collect())
    }

    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }
}

impl Text {
    /// Reads all files; whatever cannot be read is noted and left out.
    pub(super) fn read(files: &[(String, String)], problems: &mut Problems) -> Self {
        let mut text = Self::default();
        for (number, (_, content)) in files.iter().enumerate() {
            let file = u16::try_from(number).unwrap_or(u16::MAX);
            let starts = LineStarts::of(content);
            let (table, errors) = DeTable::parse_recoverable(content);
            for error in errors {
                let line = starts.line(error.span().map_or(0, |span| span.start));
                problems.line(file, line as usize, error.message());
                if error.message() == "duplicate key" {
                    problems.hint("one file lists a table either as `name = [...]` or under `[[name]]` headers");
                }
            }
            for (key, value) in table.into_inner() {
                let mut reader = Reader { file, starts: &starts, problems: &mut *problems, broken: &mut text.broken };
                match key.get_ref().as_ref() {
                    "playbook" => reader.single("playbook", value, &mut text.head),
                    "rings" => reader.single("rings", value, &mut text.rings),
                    "travel" => reader.single("travel", value, &mut text.travel),
                    "cost" => reader.single("cost", value, &mut text.cost),
                    "limits" => reader.single("limits", value, &mut text.limits),
                    "folding" => reader.single("folding", value, &mut text.folding),
                    "suppression" => reader.single("suppression", value, &mut text.suppression),
                    "risk_kind" => reader.array("risk_kind", value, &mut text.risk_kinds),
                    "domain" => reader.array("domain", value, &mut text.domains),
                    "class" => reader.array("class", value, &mut text.classes),
                    "item" => reader.array("item", value, &mut text.items),
                    "keywords" => reader.array("keywords", value, &mut text.keywords),
                    "rule" => reader.array("rule", value, &mut text.rules),
                    "modifier" => reader.array("modifier", value, &mut text.modifiers),
                    "plan" => reader.array("plan", value, &mut text.plans),
                    "linkage" => reader.array("linkage", value, &mut text.linkages),
                    "county" => reader.array("county", value, &mut text.counties),
                    "township" => reader.array("township", value, &mut text.townships),
                    "area" => reader.array("area", value, &mut text.areas),
                    "site" => reader.array("site", value, &mut text.sites),
                    "zone" => reader.array("zone", value, &mut text.zones),
                    "neighbour" => reader.array("neighbour", value, &mut text.neighbours),
                    "post" => reader.array("post", value, &mut text.posts),
                    "post_block" => reader.array("post_block", value, &mut text.post_blocks),
                    "teams" => reader.array("teams", value, &mut text.teams),
                    "subscription" => reader.array("subscription", value, &mut text.subscriptions),
                    "window" => reader.array("window", value, &mut text.windows),
                    "agency" => reader.array("agency", value, &mut text.agencies),
                    "disposition" => reader.array("disposition", value, &mut text.dispositions),
                    "source" => reader.array("source", value, &mut text.sources),
                    "template" => reader.array("template", value, &mut text.templates),
                    unknown => {
                        let line = starts.line(key.span().start) as usize;
                        problems.line(file, line, format!("a playbook has no table `{unknown}`"));
                        problems.suggest(unknown, TABLES);
                    }
                }
            }
        }
        text
    }
}

/// Reads the entries of one table of one file.
struct Reader<'r> {
    file: u16,
    starts: &'r LineStarts,
    problems: &'r mut Problems,
    broken: &'r mut BTreeSet<(&'static str, String)>,
}

impl Reader<'_> {
    fn single<T: DeserializeOwned>(
        &mut self,
        table: &'static str,
        value: Spanned<DeValue<'_>>,
        into: &mut Option<Entry<T>>,
    ) {
        let line = self.starts.line(value.span().start) as usize;
        if into.is_some() || self.broken.contains(&(table, String::new())) {
            self.problems.line(self.file, line, format!("`[{table}]` stands twice; it may stand in one file only"));
            return;
        }
        *into = self.entry(table, value);
    }

    fn array<T: DeserializeOwned>(
        &mut self,
        table: &'static str,
        value: Spanned<DeValue<'_>>,
        into: &mut Vec<Entry<T>>,
    ) {
        let line = self.starts.line(value.span().start) as usize;
        match value.into_inner() {
            DeValue::Array(elements) => into.extend(elements.into_iter().filter_map(|e| self.entry(table, e))),
            _ => {
                self.problems.line(self.file, line, format!("`{table}` is a list; write `[[{table}]]`"));
            }
        }
    }

    fn entry<T: DeserializeOwned>(&mut self, table: &'static str, value: Spanned<DeValue<'_>>) -> Option<Entry<T>> {
        let lines = Lines::of(&value, self.starts);
        let name = name_of(value.get_ref());
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(Entry { file: self.file, lines, value }),
            Err(error) => {
                let line = error.span().map_or(lines.line, |span| self.starts.line(span.start));
                let shown = if name.is_empty() { format!("[{table}]") } else { format!("{table} `{name}`") };
                let what = error.message().lines().next().unwrap_or_default();
                self.problems.line(self.file, line as usize, format!("{shown}: {what}"));
                if let Some((given, known)) = unknown_name(what) {
                    if TABLES.contains(&given) {
                        self.problems
                            .hint(format!("`{given} = [...]` must stand above the first `[` header of its file"));
                    } else {
                        self.problems.suggest(given, known.iter().copied());
                    }
                }
                self.broken.insert((table, name));
                None
            }
        }
    }
}

/// What an entry calls itself, whatever is wrong with the rest of it.
fn name_of(value: &DeValue<'_>) -> String {
    let text = |key: &str| value.get(key)?.get_ref().as_str().map(str::to_owned);
    ["id", "code", "prefix", "command_area", "name", "desk"].into_iter().find_map(text).unwrap_or_default()
}

/// Serde's "unknown field `x`, expected one of `a`, `b`" taken apart.
fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (given, rest) = rest.split_once('`')?;
    Some((given, rest.split('`').skip(1).step_by(2).collect()))
}
