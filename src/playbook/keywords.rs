//! The keyword automaton: which groups of words a text speaks of.
//!
//! One pass over the characters of a text finds every occurrence of every word of every group, also where occurrences
//! overlap or one lies within another (Aho and Corasick 1975). Words match wherever they stand: Chinese has no spaces, so
//! there are no word borders, and the letters A–Z match whatever their case.
//!
//! # Negations
//! A group's negations are phrases that deny it: 无人员伤亡 holds the word 伤亡 and means the contrary. An occurrence of a
//! word does not count when it lies within a negation *of its own group*; other occurrences in the same text do count
//! ("起火, 无人员伤亡" is a fire, "无人员伤亡, 后有一人死亡" has a casualty). Where a word stands within a phrase is known
//! beforehand, so the phrase need not be searched: when the word is found, the text around it is compared.
//!
//! # Shape
//! Characters that stand in no word are one class; every other has a class of its own. The states of the automaton differ
//! from its first one in a few successors only; these few are kept in one array into which all rows are pushed
//! together (Tarjan and Yao 1979), everything else is the first state's successor. The tables of some hundred words
//! stay within a core's nearest cache, where one row per state would be megabytes. A scan allocates nothing.
//!
//! Left out: variants (繁體 for 简体, full-width letters) are words of their own; the playbook lists them if it wants them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::Keywords;

/// The most groups of a playbook.
pub const GROUPS_MAX: usize = 256;

/// A set of keyword groups, by their number in the order of the playbook's text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits([u64; GROUPS_MAX / 64]);

impl Hits {
    /// None at all.
    pub const NONE: Self = Self([0; GROUPS_MAX / 64]);

    /// Whether the group is among them.
    ///
    /// # Panics
    /// When there can be no such group.
    #[must_use]
    pub fn has(&self, group: usize) -> bool {
        self.0[group / 64] >> (group % 64) & 1 == 1
    }

    /// Adds a group.
    ///
    /// # Panics
    /// When there can be no such group.
    pub fn insert(&mut self, group: usize) {
        self.0[group / 64] |= 1 << (group % 64);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; GROUPS_MAX / 64]
    }

    /// Whether any group is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Whether every group of `other` is in this.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & b == *b)
    }

    /// The groups, by number.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let rest = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            rest.take_while(|rest| *rest != 0).map(move |rest| i * 64 + rest.trailing_zeros() as usize)
        })
    }

    /// The groups that are in both, by number.
    pub fn iter_with(&self, other: &Self) -> impl Iterator<Item = usize> + use<> {
        let mut words = self.0;
        words.iter_mut().zip(&other.0).for_each(|(word, more)| *word &= more);
        (0..words.len()).flat_map(move |at| {
            let mut word = words[at];
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        })
    }

    fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

impl FromIterator<usize> for Hits {
    fn from_iter<I: IntoIterator<Item = usize>>(groups: I) -> Self {
        let mut hits = Self::NONE;
        groups.into_iter().for_each(|group| hits.insert(group));
        hits
    }
}

impl fmt::Debug for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The compiled automaton.
#[derive(Clone)]
pub struct Automaton {
    /// The class of each character of the Basic Multilingual Plane; 0 stands in no word.
    classes: Box<[u16]>,
    /// The classes of the few others.
    classes_above: BTreeMap<char, u16>,
    /// The successors of the first state, by class.
    first: Vec<u32>,
    /// Where the row of each state begins in `cells`.
    rows: Vec<u32>,
    cells: Vec<Cell>,
    /// What is found on entering a state.
    found: Vec<Found>,
    guarded: Vec<Guarded>,
    denials: Vec<Denial>,
}

/// A successor that differs from the first state's.
#[derive(Clone, Copy)]
struct Cell {
    /// Whose it is.
    owner: u32,
    /// The successor.
    next: u32,
}

/// What is found on entering a state.
#[derive(Clone, Default)]
struct Found {
    /// Groups with a word that nothing can deny.
    plain: Hits,
    /// Words that a phrase may deny.
    guarded: Range<u32>,
}

/// A word that some negation of its group holds.
#[derive(Clone)]
struct Guarded {
    group: usize,
    bytes: usize,
    denials: Range<u32>,
}

/// A phrase around a word.
#[derive(Clone)]
struct Denial {
    phrase: Box<[u8]>,
    /// Bytes of the phrase that stand before the word.
    before: usize,
}

/// Marks a successor on entering which something is found.
const FOUND: u32 = 1 << 31;
const NOBODY: u32 = u32::MAX;

impl Automaton {
    /// Compiles all groups.
    ///
    /// # Panics
    /// With more than [`GROUPS_MAX`] groups or 65,535 different characters; the playbook's check refuses both.
    #[must_use]
    pub fn of(groups: &[Keywords]) -> Self {
        let mut trie = Trie::default();
        for (group, keywords) in groups.iter().enumerate() {
            for word in keywords.words.iter().filter(|w| !w.is_empty()) {
                trie.insert(group, word, &keywords.negations);
            }
        }
        trie.compile()
    }

    /// The groups of which the text holds a word that is not denied.
    #[must_use]
    pub fn scan(&self, text: &str) -> Hits {
        let mut hits = Hits::NONE;
        let mut state = 0;
        for (start, char) in text.char_indices() {
            let next = self.next(state, self.class(char));
            state = next & !FOUND;
            if next & FOUND != 0 {
                let found = &self.found[state as usize];
                hits.add(&found.plain);
                if !found.guarded.is_empty() {
                    self.weigh(found, text.as_bytes(), start + char.len_utf8(), &mut hits);
                }
            }
        }
        hits
    }

    /// Counts the words ending at `end` that no phrase around them denies.
    #[cold]
    fn weigh(&self, found: &Found, text: &[u8], end: usize, hits: &mut Hits) {
        for word in &self.guarded[range(&found.guarded)] {
            let denied = |denial: &Denial| {
                let from = (end - word.bytes).checked_sub(denial.before)?;
                let around = text.get(from..from + denial.phrase.len())?;
                around.eq_ignore_ascii_case(&denial.phrase).then_some(())
            };
            if !self.denials[range(&word.denials)].iter().any(|d| denied(d).is_some()) {
                hits.insert(word.group);
            }
        }
    }

    fn class(&self, char: char) -> usize {
        match self.classes.get(char as usize) {
            Some(class) => usize::from(*class),
            None => self.classes_above.get(&char).copied().map_or(0, usize::from),
        }
    }

    fn next(&self, state: u32, class: usize) -> u32 {
        let cell = self.cells[self.rows[state as usize] as usize + class];
        if cell.owner == state { cell.next } else { self.first[class] }
    }
}

impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, cells) = (self.rows.len(), self.cells.len());
        write!(f, "Automaton({states} states, {} classes, {cells} cells)", self.first.len())
    }
}

fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// The words as a tree of their characters, before it becomes an automaton.
struct Trie {
    nodes: Vec<Node>,
    classes: BTreeMap<char, u16>,
}

#[derive(Default)]
struct Node {
    children: BTreeMap<u16, u32>,
    /// The words that end here.
    words: Vec<Word>,
}

#[derive(Clone)]
struct Word {
    group: usize,
    bytes: usize,
    denials: Vec<Denial>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], classes: BTreeMap::new() }
    }
}

impl Trie {
    fn insert(&mut self, group: usize, word: &str, negations: &[smol_str::SmolStr]) {
        let word = word.to_ascii_lowercase();
        let mut at = 0;
        for char in word.chars() {
            let fresh = u16::try_from(self.classes.len() + 1).expect("the check bounds the characters");
            let class = *self.classes.entry(char).or_insert(fresh);
            let new = u32::try_from(self.nodes.len()).expect("the check bounds the words");
            let child = *self.nodes[at].children.entry(class).or_insert(new);
            if child == new {
                self.nodes.push(Node::default());
            }
            at = child as usize;
        }
        let denials = negations.iter().flat_map(|phrase| denials_of(phrase, &word)).collect();
        self.nodes[at].words.push(Word { group, bytes: word.len(), denials });
    }

    fn compile(self) -> Automaton {
        let Linked { rows, words } = self.link();
        let mut automaton = Automaton {
            classes: vec![0; 1 << 16].into(),
            classes_above: BTreeMap::new(),
            first: vec![0; self.classes.len() + 1],
            rows: vec![0; rows.len()],
            cells: Vec::new(),
            found: Vec::with_capacity(rows.len()),
            guarded: Vec::new(),
            denials: Vec::new(),
        };
        for (&char, &class) in &self.classes {
            for char in [char, char.to_ascii_uppercase()] {
                match automaton.classes.get_mut(char as usize) {
                    Some(slot) => *slot = class,
                    None => _ = automaton.classes_above.insert(char, class),
                }
            }
        }
        let flagged = |next: u32| if words[next as usize].is_empty() { next } else { next | FOUND };
        for (&class, &next) in &self.nodes[0].children {
            automaton.first[usize::from(class)] = flagged(next);
        }
        automaton.push_together(&rows, flagged);
        for words in &words {
            let found = automaton.found_of(words);
            automaton.found.push(found);
        }
        automaton
    }

    /// For every state, breadth first: the successors that differ from the first state's, and the words found there.
    fn link(&self) -> Linked {
        let mut rows: Vec<BTreeMap<u16, u32>> = vec![BTreeMap::new(); self.nodes.len()];
        let mut words: Vec<Vec<Word>> = self.nodes.iter().map(|n| n.words.clone()).collect();
        let first = &self.nodes[0].children;
        // A state with the longest proper suffix of it that is a state too. A child of the first has none but the first.
        let mut queue: std::collections::VecDeque<(u32, u32)> = first.values().map(|child| (*child, 0)).collect();
        while let Some((state, suffix)) = queue.pop_front() {
            let (at, behind) = (state as usize, suffix as usize);
            let shorter = words[behind].clone();
            words[at].extend(shorter);
            for (&class, &child) in &self.nodes[at].children {
                let beside = rows[behind].get(&class).or_else(|| first.get(&class)).copied().unwrap_or(0);
                queue.push_back((child, beside));
            }
            let mut row = rows[behind].clone();
            row.extend(&self.nodes[at].children);
            rows[at] = row;
        }
        Linked { rows, words }
    }
}

struct Linked {
    rows: Vec<BTreeMap<u16, u32>>,
    words: Vec<Vec<Word>>,
}

impl Automaton {
    /// Lays all rows into one array, the fullest first, each where its cells fall on free ones.
    fn push_together(&mut self, rows: &[BTreeMap<u16, u32>], flagged: impl Fn(u32) -> u32) {
        let classes = self.first.len();
        let mut order: Vec<usize> = (0..rows.len()).filter(|s| !rows[*s].is_empty()).collect();
        order.sort_by_key(|s| (std::cmp::Reverse(rows[*s].len()), *s));
        // The empty rows, the first state's among them, share the start: nobody's cell there is theirs.
        let mut free = Free::default();
        for state in order {
            let row: Vec<(usize, u32)> = rows[state].iter().map(|(class, next)| (usize::from(*class), *next)).collect();
            let (lowest, rest) = (row[0].0, &row[1..]);
            let mut at = free.from(lowest);
            while !rest.iter().all(|(class, _)| free.is(at - lowest + class)) {
                at = free.from(at + 1);
            }
            let begin = at - lowest;
            if self.cells.len() < begin + classes {
                self.cells.resize(begin + classes, Cell { owner: NOBODY, next: 0 });
            }
            self.rows[state] = u32::try_from(begin).expect("the check bounds the words");
            let owner = u32::try_from(state).expect("the check bounds the words");
            for (class, next) in row {
                self.cells[begin + class] = Cell { owner, next: flagged(next) };
                free.take(begin + class);
            }
        }
        self.cells.resize(self.cells.len().max(classes), Cell { owner: NOBODY, next: 0 });
    }

    fn found_of(&mut self, words: &[Word]) -> Found {
        let number = |n: usize| u32::try_from(n).expect("the check bounds the words");
        let plain = words.iter().filter(|w| w.denials.is_empty()).map(|w| w.group).collect();
        let from = number(self.guarded.len());
        for word in words.iter().filter(|w| !w.denials.is_empty()) {
            let begin = number(self.denials.len());
            self.denials.extend(word.denials.iter().cloned());
            let denials = begin..number(self.denials.len());
            self.guarded.push(Guarded { group: word.group, bytes: word.bytes, denials });
        }
        Found { plain, guarded: from..number(self.guarded.len()) }
    }
}

/// Which cells are free, and the next free one from anywhere: each taken cell points on to a later one, and the way is
/// shortened as it is walked.
#[derive(Default)]
struct Free(Vec<usize>);

impl Free {
    fn is(&self, cell: usize) -> bool {
        self.0.get(cell).is_none_or(|next| *next == cell)
    }

    fn from(&mut self, cell: usize) -> usize {
        let mut end = cell;
        while !self.is(end) {
            end = self.0[end];
        }
        let mut at = cell;
        while at != end {
            at = std::mem::replace(&mut self.0[at], end);
        }
        end
    }

    fn take(&mut self, cell: usize) {
        self.0.extend(self.0.len()..=cell);
        self.0[cell] = cell + 1;
    }
}

/// Every place at which a phrase holds a word.
fn denials_of(phrase: &str, word: &str) -> Vec<Denial> {
    let phrase = phrase.to_ascii_lowercase();
    let places = (0..phrase.len()).filter(|at| phrase.as_bytes()[*at..].starts_with(word.as_bytes()));
    places.map(|before| Denial { phrase: phrase.as_bytes().into(), before }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smol_str::SmolStr;

    use super::*;

    fn group(words: &[&str], negations: &[&str]) -> Keywords {
        let texts = |list: &[&str]| list.iter().map(SmolStr::new).collect();
        Keywords { id: "g".into(), zh: SmolStr::default(), words: texts(words), negations: texts(negations) }
    }

    fn hits(groups: &[Keywords], text: &str) -> Vec<usize> {
        Automaton::of(groups).scan(text).iter().collect()
    }

    #[test]
    fn words_are_found_where_they_overlap_and_whatever_their_case() {
        let groups = [group(&["着火", "Fire"], &[]), group(&["火车"], &[]), group(&["车站着火了"], &[])];
        assert_eq!(hits(&groups, "车站着火车旁"), [0, 1], "着火 and 火车 share a character");
        assert_eq!(hits(&groups, "在火车站着火了"), [0, 1, 2], "着火 lies within a longer word");
        assert_eq!(hits(&groups, "a FIRE"), [0]);
        assert_eq!(hits(&groups, "着 火"), [0; 0]);
        assert_eq!(hits(&groups, ""), [0; 0]);
    }

    #[test]
    fn a_denied_word_does_not_count_but_another_does() {
        let groups = [group(&["伤亡", "死亡"], &["无人员伤亡", "尚无伤亡"]), group(&["火", "起火"], &["未起火"])];
        assert_eq!(hits(&groups, "商场起火，无人员伤亡"), [1]);
        assert_eq!(hits(&groups, "无人员伤亡，后有一人死亡"), [0]);
        assert_eq!(hits(&groups, "无人员伤亡，伤亡情况待查"), [0]);
        assert_eq!(hits(&groups, "现场未起火，尚无伤亡"), [0; 0], "both 火 and 起火 lie within the phrase");
        assert_eq!(hits(&groups, "人员伤亡"), [0]);
        assert_eq!(hits(&groups, "未起"), [0; 0]);
    }

    #[test]
    fn a_negation_denies_its_own_group_only() {
        let groups = [group(&["injured"], &["nobody injured"]), group(&["injured"], &[])];
        assert_eq!(hits(&groups, "Nobody Injured"), [1]);
    }

    #[test]
    fn words_beyond_the_basic_plane_are_found() {
        assert_eq!(hits(&[group(&["🔥"], &[]), group(&["𠮷野"], &[])], "家里🔥了 在𠮷野家"), [0, 1]);
    }

    /// What the essay says, word by word.
    fn reference(groups: &[Keywords], text: &str) -> Hits {
        let text = text.to_ascii_lowercase();
        let spans = |needle: &SmolStr| -> Vec<(usize, usize)> {
            let needle = needle.to_ascii_lowercase();
            let at = (0..text.len()).filter(|i| text.as_bytes()[*i..].starts_with(needle.as_bytes()));
            at.map(|i| (i, i + needle.len())).collect()
        };
        let counts = |g: &Keywords| {
            let denied: Vec<_> = g.negations.iter().flat_map(spans).collect();
            let free = |(s, e): (usize, usize)| !denied.iter().any(|(from, to)| *from <= s && e <= *to);
            g.words.iter().flat_map(spans).any(free)
        };
        groups.iter().enumerate().filter(|(_, g)| counts(g)).map(|(i, _)| i).collect()
    }

    proptest! {
        #[test]
        fn automaton_agrees_with_the_reference(
            lists in prop::collection::vec(
                (prop::collection::vec("[abA火车🔥]{1,4}", 1..5), prop::collection::vec("[abA火车🔥]{2,6}", 0..3)), 1..6),
            text in "[abAB火车站🔥 ]{0,40}",
        ) {
            let groups: Vec<Keywords> = lists.iter().map(|(words, negations)| {
                let texts = |list: &Vec<String>| list.iter().map(SmolStr::new).collect();
                Keywords { id: "g".into(), zh: SmolStr::default(), words: texts(words), negations: texts(negations) }
            }).collect();
            prop_assert_eq!(Automaton::of(&groups).scan(&text), reference(&groups, &text));
        }
    }
}
