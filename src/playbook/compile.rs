//! From checked text to the compiled value.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::problem::{Problem, Problems};
use super::text::{ClassText, Entry, ItemText, Text, Word};
use super::{Areas, Automaton, Category, Condition, Keywords, Plan, Playbook, RuleIndex, Taxonomy, Templates, roster};
use crate::model::CategoryId;

/// The set whose plans are in force beside whichever other, unless that has a plan of the same id.
pub(super) const GENERAL_SET: &str = "general";

/// The most bytes of all files together. A city's playbook is some hundred kilobytes.
const BYTES_MAX: usize = 16 << 20;

impl Playbook {
    /// Reads, checks and compiles a playbook from its files, each as (name, text). The files count in the order of their
    /// names, whatever order they are given in.
    ///
    /// # Errors
    /// Every problem found, by file and line. A playbook with a problem is never loaded in part.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        Self::load_set(files, None)
    }

    /// The same with another of its ready-made sets in force than `[playbook] set` says.
    ///
    /// # Errors
    /// As [`Playbook::load`]; also when no plan belongs to that set.
    pub fn load_set(files: &[(String, String)], set: Option<&str>) -> Result<Self, Vec<Problem>> {
        let mut files = files.to_vec();
        files.sort();
        let mut problems = Problems::new(files.iter().map(|(name, _)| name.clone()).collect());
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        if bytes > BYTES_MAX {
            problems.missing(format!("{bytes} bytes of text; a playbook has at most {BYTES_MAX}"));
            return Err(problems.into_sorted());
        }
        let mut text = Text::read(&files, &mut problems);
        if let (Some(head), Some(set)) = (&mut text.head, set) {
            head.value.set = set.into();
        }
        super::check::check(&text, &mut problems);
        if !problems.is_empty() {
            return Err(problems.into_sorted());
        }
        Ok(Self::compile(text, hash(&files, set)))
    }

    /// Compiles a text in which nothing is wrong.
    fn compile(text: Text, hash: SmolStr) -> Self {
        let head = text.head.expect("a playbook without `[playbook]` does not pass the check").value;
        let zone = super::check::zone(&head.time_zone).expect("an unknown zone does not pass the check");
        let taxonomy = taxonomy(&text.risk_kinds, &text.domains, &text.classes, &text.items);
        let sets = text.plans.iter().map(|p| p.set.clone()).collect();
        let in_force = |plan: &Plan| plan.set == head.set || plan.set == GENERAL_SET;
        // The set's own form of a plan replaces the general one.
        let mut plans = text.plans;
        plans.sort_by_key(|plan| plan.set != GENERAL_SET);
        let needs: BTreeMap<_, _> = text.linkages.into_iter().map(|l| (l.value.id, l.value.rows)).collect();
        let plans = values(plans).filter(in_force).map(|mut plan| {
            plan.needs = plan.linkage.as_ref().and_then(|id| needs.get(id)).cloned().unwrap_or_default();
            (plan.id.clone(), Arc::new(plan))
        });
        let plans = plans.collect();
        let areas = Areas {
            counties: values(text.counties).map(|c| (c.code.clone(), c)).collect(),
            default_vintage: super::check::default_vintage(&head, &text.townships),
            townships: values(text.townships).map(|t| ((t.vintage.clone(), t.code.clone()), t)).collect(),
            areas: values(text.areas).map(|a| (a.id.clone(), a)).collect(),
            sites: values(text.sites).map(|s| (s.id.clone(), s)).collect(),
            zones: values(text.zones).collect(),
            neighbours: values(text.neighbours).collect(),
            ..Areas::default()
        }
        .indexed();
        let keywords: Vec<Keywords> = values(text.keywords).collect();
        let rule_conditions: Vec<Condition> = text.rules.iter().map(|r| Condition::of(&r.when, &keywords)).collect();
        Self {
            posts: roster::posts(&text.posts, &text.post_blocks, &areas.areas),
            teams: roster::teams(&text.teams, &areas.areas),
            hash,
            zone,
            taxonomy,
            automaton: Automaton::of(&keywords),
            rule_index: RuleIndex::of(&rule_conditions),
            rule_conditions,
            rules: values(text.rules).collect(),
            modifier_conditions: text.modifiers.iter().map(|m| Condition::of(&m.when, &keywords)).collect(),
            modifiers: values(text.modifiers).collect(),
            keywords,
            plans,
            sets,
            areas,
            rings: single(text.rings),
            subscriptions: values(text.subscriptions).collect(),
            agencies: values(text.agencies).map(|a| (a.id.clone(), a)).collect(),
            dispositions: values(text.dispositions).map(|d| (d.code.clone(), d)).collect(),
            sources: values(text.sources).map(|s| (s.prefix.clone(), s)).collect(),
            travel: single(text.travel),
            cost: single(text.cost),
            limits: single(text.limits),
            folding: single(text.folding),
            suppression: single(text.suppression),
            windows: values(text.windows).map(|w| (w.id.clone(), w)).collect(),
            templates: Templates::of(text.templates.iter().map(|entry| &entry.value)),
            head,
        }
    }
}

fn values<T>(entries: Vec<Entry<T>>) -> impl Iterator<Item = T> {
    entries.into_iter().map(|entry| entry.value)
}

fn single<T: Default>(entry: Option<Entry<T>>) -> T {
    entry.map(|entry| entry.value).unwrap_or_default()
}

/// The first 12 hexadecimal digits of BLAKE3 over names and texts; each preceded by its length, so that no shift of a
/// border between two files goes unseen. A set put in force from outside counts as text.
fn hash(files: &[(String, String)], set: Option<&str>) -> SmolStr {
    let mut hasher = blake3::Hasher::new();
    for part in files.iter().flat_map(|(name, text)| [name.as_str(), text]).chain(set) {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    SmolStr::new(&hasher.finalize().to_hex()[..12])
}

fn taxonomy(
    risks: &[Entry<Word>],
    domains: &[Entry<Word>],
    classes: &[Entry<ClassText>],
    items: &[Entry<ItemText>],
) -> Taxonomy {
    let of_class: BTreeMap<&str, &ClassText> = classes.iter().map(|c| (c.id.as_str(), &c.value)).collect();
    let item = |item: &Entry<ItemText>| -> Option<(CategoryId, Category)> {
        let class = of_class.get(item.id.as_str().rsplit_once('/')?.0)?;
        Some((item.id.clone(), inherit(class, item)))
    };
    let words = |words: &[Entry<Word>]| words.iter().map(|w| (w.id.clone(), w.zh.clone(), w.en.clone())).collect();
    Taxonomy {
        risks: words(risks),
        domains: words(domains),
        classes: classes.iter().map(|c| (c.id.as_str().into(), c.zh.clone(), c.en.clone())).collect(),
        categories: items.iter().filter_map(item).collect(),
    }
}

/// An item with everything its class says and it does not.
pub(super) fn inherit(class: &ClassText, item: &ItemText) -> Category {
    let class_id = class.id.as_str();
    Category {
        id: item.id.clone(),
        zh: item.zh.clone(),
        en: item.en.clone(),
        domain: class_id.split('/').next().unwrap_or_default().into(),
        class: class_id.into(),
        risk: class.risk.clone(),
        family: item.family.clone().or_else(|| class.family.clone()).unwrap_or_else(|| class_id.into()),
        matching: item.matching.unwrap_or(class.matching),
        late: item.late.unwrap_or(class.late),
        trigger_at_once: item.trigger_at_once.unwrap_or(class.trigger_at_once),
        bottom_line: item.bottom_line.unwrap_or(class.bottom_line),
        mediation: item.mediation.unwrap_or(class.mediation),
        volunteers_barred: item.volunteers_barred.unwrap_or(class.volunteers_barred),
        agencies: item.agencies.clone().unwrap_or_else(|| class.agencies.clone()),
    }
}
