//! What is wrong with a playbook: file, line, reason, and the way out where one can be guessed.

use std::fmt;

use super::text::Entry;

/// One fault of a playbook's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named by whoever read it.
    pub file: String,
    /// The line, from 1; 0 where something is missing that could stand in any line.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// The way out.
    pub hint: Option<String>,
}

/// `plans.toml:12: rule `fire.smoke` names the plan `rapid-respons`, which does not exist (did you mean "rapid-response"?)`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All faults found so far. Nothing stops at the first: whoever wrote the playbook wants them in one run.
#[derive(Debug, Default)]
pub(super) struct Problems {
    files: Vec<String>,
    found: Vec<Problem>,
}

impl Problems {
    /// A collector that knows the names of the files.
    pub(super) fn new(files: Vec<String>) -> Self {
        Self { files, found: Vec::new() }
    }

    /// Notes a fault at the line of `path` within an entry; where the entry has no such part, at the entry.
    pub(super) fn at<T>(&mut self, entry: &Entry<T>, path: &[Part<'_>], what: impl Into<String>) -> &mut Self {
        self.line(entry.file, entry.line(path), what)
    }

    /// Notes a fault at a line of a file.
    pub(super) fn line(&mut self, file: u16, line: usize, what: impl Into<String>) -> &mut Self {
        let file = self.files.get(usize::from(file)).cloned().unwrap_or_else(|| "playbook".to_owned());
        self.found.push(Problem { file, line, what: what.into(), hint: None });
        self
    }

    /// Notes that something is missing, wherever it should have stood.
    pub(super) fn missing(&mut self, what: impl Into<String>) -> &mut Self {
        self.line(u16::MAX, 0, what)
    }

    /// Where an entry stands, to be named in the fault of another: `plans.toml:12`.
    pub(super) fn place<T>(&self, entry: &Entry<T>) -> String {
        let file = self.files.get(usize::from(entry.file)).map_or("playbook", String::as_str);
        format!("{file}:{}", entry.line(&[]))
    }

    /// Adds the way out to the fault noted last.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.found.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// Adds "did you mean" to the fault noted last, where a known name is near enough to the one given.
    pub(super) fn suggest<'n>(&mut self, given: &str, known: impl IntoIterator<Item = &'n str>) {
        if let Some(name) = nearest(given, known) {
            self.hint(format!("did you mean \"{name}\"?"));
        }
    }

    /// How many were found so far.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them by file and line; the same fault at the same line once.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort();
        self.found.dedup();
        self.found
    }
}

/// A step down into an entry: the name of a field or the number of an element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'p> {
    /// A field.
    Key(&'p str),
    /// An element, from 0.
    Nth(usize),
}

impl<'p> From<&'p str> for Part<'p> {
    fn from(key: &'p str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Part<'_> {
    fn from(nth: usize) -> Self {
        Self::Nth(nth)
    }
}

/// The known name that a misspelt one most likely means; none when all are too different.
pub(super) fn nearest<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    /// Below this Jaro-Winkler similarity two names are two names.
    const ALIKE: f64 = 0.82;
    let alike = |name: &&str| strsim::jaro_winkler(given, name);
    let best = known.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_a_compiler_message() {
        let mut problem = Problem { file: "plans.toml".into(), line: 12, what: "no".into(), hint: None };
        assert_eq!(problem.to_string(), "plans.toml:12: no");
        problem.hint = Some("did you mean \"yes\"?".into());
        problem.line = 0;
        assert_eq!(problem.to_string(), "plans.toml: no (did you mean \"yes\"?)");
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["rapid-response", "mediation"];
        assert_eq!(nearest("rapid-respons", known), Some("rapid-response"));
        assert_eq!(nearest("zebra", known), None);
    }
}
