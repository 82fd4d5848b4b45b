//! The ground a scenario plays on: its header read, the playbook altered as the header says, and the roster set up.
//!
//! A city's playbook has thousands of posts; a scenario names the two or three it is about. So unless the header says
//! `roster: playbook`, the playbook's own posts and teams are left out and no area asks for a minimum cover; a scenario
//! about cover says `area.<id>.min_cover = 1`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::{Table, Value};

use super::line::{Line, named, split};
use super::place::Where;
use super::text::Text;
use super::{Error, Library};
use crate::model::{Need, Role, Timestamp};
use crate::playbook::{NeedRow, Playbook};

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    /// The folder of the playbook.
    pub playbook: String,
    /// The set of marks in force, if it is not the playbook's own.
    pub set: Option<String>,
    /// Whether the playbook's own posts and teams play.
    pub roster: bool,
    /// The instant from which everything is counted.
    pub start: Timestamp,
    /// Where a bare distance is counted from.
    pub scene: Option<Where>,
    /// What every plan asks for, in place of its linkage table.
    pub needs: Option<Vec<Need>>,
    /// Whether any post ever tells its position.
    pub positions: bool,
    /// What is printed beyond the usual.
    pub show: BTreeSet<String>,
    /// Settings of the playbook: line, dotted key, TOML value.
    pub overrides: Vec<(usize, String, String)>,
}

/// Monday, outside the rush hours of the shipped playbook.
const START: &str = "2026-11-23T10:00:00+08:00";

/// What `show:` may name.
const SHOWN: [&str; 7] = ["notices", "agencies", "states", "rejected", "sources", "delivery", "places"];

impl Header {
    /// Reads the header of a text; the scene, unless named, is the place of the first report.
    pub fn read(text: &Text, default_playbook: &str) -> Result<Self, Error> {
        let mut header = Self {
            playbook: default_playbook.to_owned(),
            set: None,
            roster: false,
            start: Timestamp::parse(START).expect("a constant"),
            scene: None,
            needs: None,
            positions: commands(text).any(|line| line.peek() == Some("position")),
            show: BTreeSet::new(),
            overrides: text.overrides.clone(),
        };
        for (line, key, value) in &text.settings {
            header.take(key, value).map_err(|reason| Error { line: *line, reason })?;
        }
        if header.scene.is_none() {
            header.scene = first_place(text);
        }
        Ok(header)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "playbook" => value.clone_into(&mut self.playbook),
            "set" => self.set = Some(value.to_owned()),
            "start" => self.start = Timestamp::parse(value)?,
            "roster" => {
                self.roster = match value {
                    "playbook" => true,
                    "none" => false,
                    _ => return Err(format!("roster: {value}; say `playbook` or `none`")),
                }
            }
            "scene" => {
                let mut line = split(&format!("at {value}"))?.pop().ok_or("scene: names no place")?;
                self.scene = Where::take(&mut line)?;
                line.end()?;
            }
            "needs" => self.needs = Some(needs(value)?),
            "show" => {
                for word in value.split_whitespace() {
                    if !SHOWN.contains(&word) {
                        return Err(format!("show: {word}; known are {}", SHOWN.join(", ")));
                    }
                    self.show.insert(word.to_owned());
                }
            }
            _ => return Err(format!("no header `{key}:`; known are playbook, set, roster, start, scene, needs, show")),
        }
        Ok(())
    }
}

/// `2 first of patrol standing; 1 reinforce of base with first-aid echelon 2`
fn needs(text: &str) -> Result<Vec<Need>, String> {
    let mut needs = Vec::new();
    for mut line in split(text)? {
        let count = line.word("how many")?.parse().map_err(|_| "how many? write `1 first of patrol`".to_owned())?;
        let role: Role = named(&line.word("a role")?)?;
        if !line.takes("of") {
            return Err("of which kinds? write `1 first of patrol standing`".to_owned());
        }
        let mut need = Need { kinds: Vec::new(), count, role, capability: None, echelon: 1 };
        while let Some(word) = line.next() {
            match word.as_str() {
                "with" => need.capability = Some(line.word("a capability")?.into()),
                "echelon" => {
                    need.echelon = line.word("an echelon")?.parse().map_err(|_| "echelon 1, 2 or 3".to_owned())?;
                }
                kind => need.kinds.push(named(kind)?),
            }
        }
        line.end()?;
        needs.push(need);
    }
    Ok(needs)
}

/// Every command of the text that can be read.
fn commands(text: &Text) -> impl Iterator<Item = Line> {
    let lines = text.blocks.iter().flat_map(|b| &b.commands).filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| split(l).ok()).flatten()
}

/// The place of the first report in the text.
fn first_place(text: &Text) -> Option<Where> {
    for mut line in commands(text).filter(|line| line.peek() == Some("report")) {
        while let Some(word) = line.peek() {
            if word == "at" {
                return Where::take(&mut line).ok().flatten();
            }
            line.next();
        }
    }
    None
}

/// Playbooks compiled so far, by everything that makes them what they are.
#[derive(Default)]
pub(super) struct Compiled(BTreeMap<String, Arc<Playbook>>);

impl Compiled {
    /// The playbook of a header; compiled when it is first asked for.
    pub fn playbook(&mut self, header: &Header, library: &Library<'_>) -> Result<Arc<Playbook>, Error> {
        let settings: Vec<(&String, &String)> = header.overrides.iter().map(|(_, key, value)| (key, value)).collect();
        let key = format!("{:?}", (&header.playbook, &header.set, header.roster, &header.needs, settings));
        if let Some(playbook) = self.0.get(&key) {
            return Ok(Arc::clone(playbook));
        }
        let playbook = Arc::new(compile(header, library)?);
        self.0.insert(key, Arc::clone(&playbook));
        Ok(playbook)
    }
}

/// The playbook of a header, altered as it says, and compiled.
pub(super) fn compile(header: &Header, library: &Library<'_>) -> Result<Playbook, Error> {
    let files = library(&header.playbook).map_err(|reason| Error { line: 1, reason })?;
    let mut tables = Vec::new();
    for (name, text) in files {
        let table: Table = toml::from_str(&text).map_err(|e| Error { line: 1, reason: format!("{name}: {e}") })?;
        tables.push((name, table));
    }
    if !header.roster {
        clear_roster(&mut tables);
    }
    for (line, key, value) in &header.overrides {
        put(&mut tables, key, value, header.set.as_deref()).map_err(|reason| Error { line: *line, reason })?;
    }
    let files: Vec<(String, String)> = tables.into_iter().map(|(name, table)| (name, table.to_string())).collect();
    let mut playbook = Playbook::load_set(&files, header.set.as_deref()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error { line: 1, reason: format!("the playbook is refused:\n{}", problems.join("\n")) }
    })?;
    if let Some(needs) = &header.needs {
        // After the check: what a scenario asks for need not make sense to plans it does not use.
        for plan in playbook.plans.values_mut().filter(|plan| plan.linkage.is_some()) {
            let row = NeedRow { ring: Vec::new(), severity: Vec::new(), needs: needs.clone() };
            Arc::make_mut(plan).needs = vec![row];
        }
    }
    Ok(playbook)
}

fn clear_roster(tables: &mut [(String, Table)]) {
    for (_, table) in tables {
        for key in ["post", "post_block", "teams"] {
            table.remove(key);
        }
        for area in entries(table, "area") {
            area.remove("min_cover");
        }
    }
}

fn entries<'t>(table: &'t mut Table, key: &str) -> impl Iterator<Item = &'t mut Table> {
    table.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Puts `value` at a dotted key. A part of the key under a list of tables is the `id` (or `code`, `prefix`, `name`) of an
/// entry; of the forms that a plan has in several sets, that of the set in force is meant.
fn put(tables: &mut Vec<(String, Table)>, key: &str, value: &str, set: Option<&str>) -> Result<(), String> {
    let value: Table = toml::from_str(&format!("value = {value}")).map_err(|e| format!("{key}: {}", e.message()))?;
    let value = value.get("value").cloned().ok_or_else(|| format!("{key}: no value"))?;
    let parts: Vec<&str> = key.split('.').collect();
    let own = tables.iter().find_map(|(_, table)| table.get("playbook")?.get("set")?.as_str());
    let set = set.or(own).unwrap_or_default().to_owned();
    let in_force = |entry: &Value| entry.get("set").and_then(Value::as_str).is_none_or(|s| s == set || s == "general");
    let meant = |entry: &Value, name: &str| is_named(entry, name) && in_force(entry);
    let holds = |table: &Table| match (table.get(parts[0]), parts.get(1)) {
        (Some(Value::Array(list)), Some(name)) => list.iter().any(|entry| meant(entry, name)),
        (found, _) => found.is_some(),
    };
    let at = tables.iter().position(|(_, table)| holds(table));
    let at = at.unwrap_or_else(|| {
        tables.push((format!("~{}.toml", tables.len()), Table::new()));
        tables.len() - 1
    });
    put_in(
        tables[at].1.entry(parts[0].to_owned()).or_insert_with(|| Value::Table(Table::new())),
        &parts[1..],
        value,
        &meant,
    )
    .map_err(|reason| format!("{key}: {reason}"))
}

fn is_named(entry: &Value, name: &str) -> bool {
    ["id", "code", "prefix", "name", "desk"].iter().any(|key| entry.get(key).and_then(Value::as_str) == Some(name))
}

fn put_in(place: &mut Value, path: &[&str], value: Value, meant: &dyn Fn(&Value, &str) -> bool) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        *place = value;
        return Ok(());
    };
    match place {
        Value::Table(table) => {
            let inner = table.entry((*first).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            put_in(inner, rest, value, meant)
        }
        Value::Array(list) => {
            let entry = list.iter_mut().find(|entry| meant(entry, first));
            put_in(entry.ok_or_else(|| format!("no entry `{first}`"))?, rest, value, meant)
        }
        _ => Err(format!("nothing can stand under `{first}` here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(text: &str) -> Vec<(String, Table)> {
        vec![("a.toml".to_owned(), toml::from_str(text).unwrap())]
    }

    #[test]
    fn a_setting_reaches_tables_and_named_entries() {
        let mut tables = tables(
            "[[plan]]\nid = \"p\"\nset = \"other\"\n[limits]\nqueue_max = 2\n[[plan]]\nid = \"p\"\n[[plan.mark]]\nname = \"signed\"\n",
        );
        put(&mut tables, "limits.queue_max", "1", None).unwrap();
        put(&mut tables, "folding.burst", "3", None).unwrap();
        put(&mut tables, "plan.p.mark.signed.limit", "\"30s\"", None).unwrap();
        let text: String = tables.iter().map(|(_, t)| t.to_string()).collect();
        assert!(
            text.contains("queue_max = 1") && text.contains("burst = 3") && text.contains("limit = \"30s\""),
            "{text}"
        );
        assert!(put(&mut tables, "plan.p.mark.nobody.limit", "1", None).unwrap_err().contains("no entry `nobody`"));
        assert!(put(&mut tables, "limits.queue_max", "not toml", None).is_err());
    }
}
