//! A playbook for a history: the mapping's own part, and what the rows name, as one text for the playbook's loader.
//!
//! Units become posts, codes become categories with a rule each, so that a replay goes through the loader, the classifier
//! and the engine like any city. A report carries `<category>:<the city's code>` as its type code and the row's
//! severity as CAP's word; for each pair that occurs there is one rule, none of which overlaps another. Nothing is taken over
//! that a playbook would refuse: the loader has the last word.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;
use toml::{Table, Value};

use super::history::{History, Recorded};
use super::mapping::{CategoryShape, Mapping, MappingError};
use crate::model::{CategoryId, Position, ReportSeverity, Severity};
use crate::playbook::{Area, Playbook};

/// The words of CAP that a rule may ask for, with what they mean here. `Unknown` is left to the category.
const SEVERITIES: [(ReportSeverity, &str, Option<Severity>); 5] = [
    (ReportSeverity::Extreme, "extreme", Some(Severity::I)),
    (ReportSeverity::Severe, "severe", Some(Severity::II)),
    (ReportSeverity::Moderate, "moderate", Some(Severity::III)),
    (ReportSeverity::Minor, "minor", Some(Severity::IV)),
    (ReportSeverity::Unknown, "unknown", None),
];

/// What the codes of a history mean.
#[derive(Debug)]
pub struct Codes<'m> {
    mapping: &'m Mapping,
    /// Each code met, and an incident without one.
    meant: BTreeMap<Option<SmolStr>, (CategoryId, usize)>,
}

impl<'m> Codes<'m> {
    /// Finds the category of every code of a history.
    #[must_use]
    pub fn of(mapping: &'m Mapping, history: &History) -> Self {
        let met: BTreeSet<Option<SmolStr>> = history.incidents.iter().map(|i| i.code.clone()).collect();
        let mut codes = Self { mapping, meant: BTreeMap::new() };
        let mut taken: BTreeSet<CategoryId> = BTreeSet::new();
        for code in met {
            let (at, shape) = category_of(mapping, code.as_deref());
            let own = shape.id.as_str().contains("{code}");
            let mut id = shape.id.clone();
            if own {
                let room = taken.len() < mapping.file.codes_max;
                let name = if room { slug(code.as_deref().unwrap_or("none")) } else { "more".into() };
                // Two codes that read alike as names stay two.
                let name = short(&name, NAME_BYTES_MAX.saturating_sub(shape.id.as_str().len() + 2));
                let names = std::iter::once(name.to_owned()).chain((2_u32..).map(|n| format!("{name}-{n}")));
                let ids = names.map(|name| CategoryId::from(shape.id.as_str().replace("{code}", &name)));
                let mut ids = ids.filter(|id| !room || !taken.contains(id));
                id = ids.next().unwrap_or(id);
                taken.insert(id.clone());
            }
            codes.meant.insert(code, (id, at));
        }
        codes
    }

    /// The category of an incident.
    #[must_use]
    pub fn category(&self, incident: &Recorded) -> Option<&CategoryId> {
        self.meant.get(&incident.code).map(|(id, _)| id)
    }

    /// The type code its report carries.
    #[must_use]
    pub fn report_code(&self, incident: &Recorded) -> Option<SmolStr> {
        let code = incident.code.as_deref().unwrap_or_default();
        self.category(incident).map(|id| SmolStr::from(format!("{id}:{code}")))
    }

    /// Codes that only the last category takes: they stand in no table.
    pub fn unlisted(&self) -> impl Iterator<Item = &str> {
        let last = self.mapping.categories.len() - 1;
        self.meant.iter().filter(move |(_, (_, at))| *at == last).filter_map(|(code, _)| code.as_deref())
    }

    /// Each category with the shape it was made of.
    fn categories(&self) -> BTreeMap<&CategoryId, &CategoryShape> {
        self.meant.values().map(|(id, at)| (id, &self.mapping.categories[*at])).collect()
    }
}

/// The first category that names the code whole, else the one with the longest beginning of it, else that of `*`.
fn category_of<'m>(mapping: &'m Mapping, code: Option<&str>) -> (usize, &'m CategoryShape) {
    let fit = |pattern: &str| match (code, pattern.strip_suffix('*')) {
        (Some(code), None) => (code == pattern).then_some(usize::MAX),
        (Some(code), Some(start)) => code.starts_with(start).then_some(start.len()),
        (None, start) => start.filter(|s| s.is_empty()).map(|_| 0),
    };
    let best = |shape: &CategoryShape| shape.codes.iter().filter_map(|p| fit(p)).max();
    let fits = mapping.categories.iter().enumerate().filter_map(|(at, shape)| Some((best(shape)?, at, shape)));
    let best = fits.max_by_key(|(length, at, _)| (*length, std::cmp::Reverse(*at)));
    best.map(|(_, at, shape)| (at, shape)).expect("the last category takes `*`")
}

/// The most bytes of a name in a playbook.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// The text, cut to so many bytes.
pub(super) fn short(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A name for ids: letters and digits in lower case, everything else a hyphen.
fn slug(text: &str) -> String {
    let hyphened = text.chars().map(|c| if c.is_alphanumeric() { c } else { '-' });
    let lower: String = hyphened.flat_map(char::to_lowercase).collect();
    let name = lower.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "none".into() } else { name }
}

/// The files of the playbook, as the loader takes them.
///
/// # Errors
/// When the mapping's own part is no TOML that can be written.
pub fn files(
    mapping: &Mapping,
    history: &History,
    codes: &Codes<'_>,
    set: &str,
) -> Result<Vec<(String, String)>, MappingError> {
    let name = format!("{} (with its mapping)", mapping.history.name);
    let wrong = |reason: String| MappingError { file: name.clone(), reason };
    let mut book = mapping.city.clone();
    keep_set(&mut book, set);
    for (key, entries) in [
        ("post", posts(mapping, history)),
        ("domain", names(codes, 1)),
        ("class", names(codes, 2)),
        ("item", items(codes)),
        ("rule", rules(mapping, history, codes)),
    ] {
        let list = book.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        let list = list.as_array_mut().ok_or_else(|| wrong(format!("city.{key} is a list of tables")))?;
        // What the mapping names itself stands; a rule of its own stands above those made here.
        let id = |entry: &Value| entry.get("id").cloned();
        let named: Vec<_> = list.iter().map(id).collect();
        list.extend(entries.into_iter().map(Value::Table).filter(|e| !named.contains(&id(e))));
    }
    let text = toml::to_string(&book).map_err(|e| wrong(e.to_string()))?;
    Ok(vec![(name.clone(), text)])
}

/// The loaded playbook, with the plans of `set` in force.
///
/// # Errors
/// When the loader finds a fault, with all it found.
pub fn load(mapping: &Mapping, history: &History, codes: &Codes<'_>, set: &str) -> Result<Playbook, MappingError> {
    let files = files(mapping, history, codes, set)?;
    Playbook::load_set(&files, Some(set)).map_err(|problems| MappingError {
        file: mapping.history.name.to_string(),
        reason: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    })
}

/// Leaves out the plans of other sets and the linkages that only those need: a history whose units could not serve them
/// is no worse for it.
fn keep_set(book: &mut Table, set: &str) {
    let word = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some(Value::Array(plans)) = book.get_mut("plan") else { return };
    plans.retain(|plan| word(plan, "set").is_none_or(|s| s == set || s == "general"));
    let needed: BTreeSet<String> = plans.iter().filter_map(|plan| word(plan, "linkage")).collect();
    if let Some(Value::Array(linkages)) = book.get_mut("linkage") {
        linkages.retain(|linkage| word(linkage, "id").is_none_or(|id| needed.contains(&id)));
    }
}

fn text(text: impl std::fmt::Display) -> Value {
    Value::String(text.to_string())
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn point(at: Position) -> Value {
    Value::Array(vec![Value::Float(at.lon), Value::Float(at.lat)])
}

fn posts(mapping: &Mapping, history: &History) -> Vec<Table> {
    let centre = reach(mapping).map(|(centre, _)| centre);
    let post = |(id, unit): (&crate::model::PostId, &super::history::UnitSeen)| {
        let (kind, name, area) = (text(unit.kind), text(&unit.name), text(&mapping.history.area));
        let base = point(unit.base.or(centre)?);
        Some(table([("id", text(id)), ("kind", kind), ("name", name), ("area", area), ("base", base)]))
    };
    history.units.iter().filter_map(post).collect()
}

/// The area that units belong to: its centre and how far it reaches, in metres.
pub(super) fn reach(mapping: &Mapping) -> Option<(Position, f64)> {
    let areas: Vec<Area> = mapping.city.get("area")?.clone().try_into().ok()?;
    let area = areas.into_iter().find(|area| area.id == mapping.history.area)?;
    Some((area.centre, area.reach_m))
}

/// The domains (one part) or classes (two parts) that the categories stand in.
fn names(codes: &Codes<'_>, parts: usize) -> Vec<Table> {
    let cut = |id: &&CategoryId| id.as_str().split('/').take(parts).collect::<Vec<_>>().join("/");
    let ids: BTreeSet<String> = codes.categories().keys().map(cut).collect();
    let risk = &codes.mapping.history.risk;
    let entry = |id: String| {
        let mut entry = table([("id", text(&id)), ("zh", text(&id)), ("en", text(&id))]);
        if parts == 2 {
            entry.insert("risk".into(), text(risk));
        }
        entry
    };
    ids.into_iter().map(entry).collect()
}

fn items(codes: &Codes<'_>) -> Vec<Table> {
    let item = |(id, shape): (&CategoryId, &CategoryShape)| {
        let or_id = |name: &SmolStr| text(if name.is_empty() { id.as_str() } else { name });
        let family = shape.family.as_ref().map_or(id.as_str(), SmolStr::as_str);
        let matching = Value::try_from(shape.matching).expect("a matching is a plain table");
        // What comes after the record of an incident has ended is another incident, by the record's own word.
        let late = table([("do", text("new")), ("within", text("0s"))]);
        table([
            ("id", text(id)),
            ("zh", or_id(&shape.zh)),
            ("en", or_id(&shape.en)),
            ("family", text(family)),
            ("matching", matching),
            ("late", Value::Table(late)),
        ])
    };
    codes.categories().into_iter().map(item).collect()
}

/// One rule for each category and severity that occurs, worst first, and the default, which none of them leaves anything.
fn rules(mapping: &Mapping, history: &History, codes: &Codes<'_>) -> Vec<Table> {
    let met = history.incidents.iter().filter_map(|i| Some((codes.category(i)?, i.severity)));
    let met: BTreeSet<_> = met.map(|(id, severity)| (id, severity.unwrap_or(ReportSeverity::Unknown))).collect();
    let shapes = codes.categories();
    let plan = || text(&mapping.history.plan);
    let rule = |(n, (id, said)): (usize, (&CategoryId, ReportSeverity))| {
        let (_, word, severity) = SEVERITIES[said as usize];
        let severity = severity.unwrap_or(shapes[id].severity);
        let when =
            table([("code", Value::Array(vec![text(format!("{id}:"))])), ("severity", Value::Array(vec![text(word)]))]);
        let leaf = id.as_str().rsplit('/').next().unwrap_or_default();
        let name = text(format!("{}.{}.{word}", n + 1, short(leaf, NAME_BYTES_MAX - 24)));
        let rule = table([
            ("id", name),
            ("when", Value::Table(when)),
            ("category", text(id)),
            ("severity", text(severity)),
            ("plan", plan()),
        ]);
        (severity, rule)
    };
    let mut rules: Vec<_> = met.into_iter().enumerate().map(rule).collect();
    rules.sort_by_key(|(severity, _)| *severity);
    let mut rules: Vec<Table> = rules.into_iter().map(|(_, rule)| rule).collect();
    let mut default = rules.last().cloned().unwrap_or_default();
    default.remove("when");
    default.insert("id".into(), text("default"));
    rules.push(default);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_letters_and_digits() {
        assert_eq!(slug("Gas Leak (Natural and LP Gases)"), "gas-leak-natural-and-lp-gases");
        assert_eq!(slug("10-D-1"), "10-d-1");
        assert_eq!((slug("火灾"), slug(" / ")), ("火灾".to_owned(), "none".to_owned()));
    }

    #[test]
    fn severities_stand_at_their_index() {
        for (at, (severity, ..)) in SEVERITIES.iter().enumerate() {
            assert_eq!(*severity as usize, at);
        }
    }
}
