//! Verifies a trail: reads its files line by line and names every line that does not fit.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::{GENESIS, LINE_BYTES_MAX, Line, open};

/// The end of a trail at some moment, written `seq:hash`: whoever keeps it elsewhere sees later whether lines are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Of its last line.
    pub seq: u64,
    /// Of its last line.
    pub hash: String,
}

impl FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (seq, hash) = text.split_once(':')?;
            let good = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            good.then_some(Self { seq: seq.parse().ok()?, hash: hash.to_ascii_lowercase() })
        };
        read().ok_or_else(|| String::from("is no head; write seq:hash as `muster audit verify` prints it"))
    }
}

/// A line that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// Counted from 1 in it.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files read, in their order.
    pub files: Vec<PathBuf>,
    /// Lines read.
    pub lines: u64,
    /// Of the first line.
    pub first: Option<u64>,
    /// The end.
    pub head: Option<Head>,
    /// What does not fit.
    pub findings: Vec<Finding>,
}

/// Reads the files of one trail and hands each line that can be read to `each`. `kept`: a head that must be in it.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(files: &[PathBuf], kept: Option<&Head>, mut each: impl FnMut(&Line)) -> std::io::Result<Report> {
    let mut order = Vec::new();
    for file in files {
        order.push((first_seq(file)?, file.clone()));
    }
    // A file whose first line cannot be read stays where it was named.
    if order.iter().all(|(seq, _)| seq.is_some()) {
        order.sort();
    }
    let mut walk = Walk { kept, kept_seen: false, expected: None, hash: String::new(), report: Report::default() };
    for (_, file) in order {
        walk.file(&file, &mut each)?;
        walk.report.files.push(file);
    }
    let Walk { mut report, kept_seen, .. } = walk;
    if let (Some(kept), false) = (kept, kept_seen) {
        let file = report.files.last().cloned().unwrap_or_default();
        let what = format!(
            "the head {}:{} is not in the trail: lines were taken off its end, or exchanged",
            kept.seq, kept.hash
        );
        report.findings.push(Finding { file, line: 0, what });
    }
    Ok(report)
}

struct Walk<'a> {
    kept: Option<&'a Head>,
    kept_seen: bool,
    /// Of the next line, once there was one.
    expected: Option<u64>,
    /// Of the line that the next one follows.
    hash: String,
    report: Report,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path, each: &mut impl FnMut(&Line)) -> std::io::Result<()> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.report.lines += 1;
            let mut find =
                |what: String| self.report.findings.push(Finding { file: path.to_owned(), line: number, what });
            let Some(whole) = bytes.strip_suffix(b"\n") else {
                find(String::from("is cut off"));
                // The rest of a line that is too long is no line of its own.
                if bytes.len() == LINE_BYTES_MAX {
                    reader.skip_until(b'\n')?;
                }
                continue;
            };
            let Some((line, fits)) = std::str::from_utf8(whole).ok().and_then(open) else {
                find(String::from("is no line of a trail"));
                // It stood for one line: what follows is held against the next number.
                self.expected = self.expected.map(|seq| seq + 1);
                self.hash.clear();
                continue;
            };
            if !fits {
                find(format!("was changed: its hash does not fit what it says (seq {})", line.seq));
            }
            if let Some(what) = self.follows(&line) {
                self.report.findings.push(Finding { file: path.to_owned(), line: number, what });
            }
            self.take(&line);
            each(&line);
        }
        Ok(())
    }

    /// What is wrong with its place, if anything.
    fn follows(&self, line: &Line) -> Option<String> {
        let seq = line.seq;
        let Some(expected) = self.expected else {
            let genesis = seq == 1 && line.prev != GENESIS;
            return genesis.then(|| String::from("says it is the first and names a line before it"));
        };
        if seq > expected {
            let (n, last) = (seq - expected, seq - 1);
            return Some(format!("{n} lines before it are missing (seq {expected} to {last})"));
        }
        if seq < expected {
            return Some(format!("stands in the wrong place (seq {seq} after {})", expected - 1));
        }
        let broken = !self.hash.is_empty() && line.prev != self.hash;
        broken.then(|| format!("does not follow seq {}: that line was exchanged, or this one", seq - 1))
    }

    fn take(&mut self, line: &Line) {
        if self.expected.is_none_or(|expected| line.seq >= expected) {
            self.expected = Some(line.seq + 1);
            self.hash.clone_from(&line.hash);
            self.report.head = Some(Head { seq: line.seq, hash: line.hash.clone() });
        }
        self.report.first = self.report.first.or(Some(line.seq));
        self.kept_seen |= self.kept.is_some_and(|kept| kept.seq == line.seq && kept.hash == line.hash);
    }
}

fn first_seq(path: &Path) -> std::io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    BufReader::new(File::open(path)?).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| open(text.trim_end())).map(|(line, _)| line.seq))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Entry, Trail, rotated, target};
    use super::*;
    use crate::model::Timestamp;

    fn entry(outcome: &str) -> Entry<'_> {
        let at = Timestamp(1_700_000_000_000);
        Entry { at, principal: "desk-1", action: "command.close", target: "4304-20261123-1", outcome, from: None }
    }

    /// A trail of five lines, changed, and what is found.
    fn found(change: impl FnOnce(&mut Vec<String>)) -> Vec<(usize, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let trail = Trail::open(&path, u64::MAX).unwrap();
        (0..5).for_each(|n| trail.append(&entry(&format!("202 {n}"))));
        let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(|l| format!("{l}\n")).collect();
        change(&mut lines);
        fs::write(&path, lines.concat()).unwrap();
        let report = verify(&[path], None, |_| ()).unwrap();
        report.findings.into_iter().map(|f| (f.line, f.what)).collect()
    }

    fn lines(found: &[(usize, String)]) -> Vec<usize> {
        found.iter().map(|(line, _)| *line).collect()
    }

    #[test]
    fn a_whole_trail_is_good() {
        assert_eq!(found(|_| ()), []);
    }

    #[test]
    fn a_changed_line_is_named() {
        let changed = found(|lines| lines[2] = lines[2].replace("desk-1", "desk-2"));
        assert_eq!(lines(&changed), [3], "{changed:?}");
        assert!(changed[0].1.starts_with("was changed"));
        let spaced = found(|lines| lines[2] = lines[2].replace("\",\"", "\", \""));
        assert_eq!(lines(&spaced), [3], "{spaced:?}");
        // With a hash that fits again, the next one tells.
        let sealed = found(|lines| {
            let (line, _) = open(lines[2].trim_end()).unwrap();
            lines[2] = Line { principal: "desk-2".into(), ..line }.sealed().0;
        });
        assert_eq!(lines(&sealed), [4], "{sealed:?}");
        assert!(sealed[0].1.contains("does not follow seq 3"));
        assert_eq!(lines(&found(|lines| lines[2] = "{}\n".into())), [3]);
    }

    #[test]
    fn a_removed_line_is_named() {
        let removed = found(|lines| drop(lines.remove(2)));
        assert_eq!(lines(&removed), [3]);
        assert!(removed[0].1.contains("missing (seq 3 to 3)"), "{removed:?}");
        assert_eq!(lines(&found(|lines| lines.insert(2, lines[1].clone()))), [3], "one that stands there twice");
    }

    #[test]
    fn lines_in_another_order_are_named() {
        assert_eq!(lines(&found(|lines| lines.swap(1, 2))), [2, 3]);
    }

    #[test]
    fn a_line_that_is_cut_off_is_named() {
        let cut = found(|lines| lines[4].truncate(40));
        assert_eq!(cut, [(5, "is cut off".to_owned())]);
        let joined = found(|lines| lines[2].truncate(40));
        assert_eq!(lines(&joined), [3, 4], "the next one stands on the same line, and is missing: {joined:?}");
    }

    #[test]
    fn a_kept_head_shows_what_was_taken_off_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let trail = Trail::open(&path, u64::MAX).unwrap();
        (0..3).for_each(|_| trail.append(&entry("202")));
        let head = verify(std::slice::from_ref(&path), None, |_| ()).unwrap().head.unwrap();
        let text: String = fs::read_to_string(&path).unwrap().lines().take(2).map(|l| format!("{l}\n")).collect();
        let kept: Head = format!("{}:{}", head.seq, head.hash).parse().unwrap();
        assert!(verify(std::slice::from_ref(&path), Some(&kept), |_| ()).unwrap().findings.is_empty());
        fs::write(&path, text).unwrap();
        assert!(
            verify(std::slice::from_ref(&path), None, |_| ()).unwrap().findings.is_empty(),
            "by itself it is whole"
        );
        let found = verify(&[path], Some(&kept), |_| ()).unwrap().findings;
        assert!(found[0].what.contains("taken off its end"), "{found:?}");
    }

    #[test]
    fn the_chain_goes_on_over_files_starts_and_writers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for _ in 0..3 {
            let (one, other) = (Trail::open(&path, 1_000).unwrap(), Trail::open(&path, 1_000).unwrap());
            for n in 0..10 {
                if n % 3 == 0 { one.append(&entry("202")) } else { other.append(&entry("403")) }
            }
            assert_eq!(one.lost() + other.lost(), 0);
        }
        let mut files = rotated(&path).unwrap();
        assert!(files.len() > 3, "{files:?}");
        files.insert(0, path.clone());
        files.retain(|file| fs::metadata(file).unwrap().len() > 0);
        let report = verify(&files, None, |_| ()).unwrap();
        assert_eq!((report.findings, report.lines, report.first), (vec![], 30, Some(1)));
        let missing = verify(&[files[1].clone(), files[3].clone()], None, |_| ()).unwrap().findings;
        assert_eq!((missing.len(), missing[0].line), (1, 1), "{missing:?}");
    }

    #[test]
    fn half_a_line_is_taken_off_and_said_and_a_strange_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Trail::open(&path, u64::MAX).unwrap().append(&entry("202"));
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..50])).unwrap();
        Trail::open(&path, u64::MAX).unwrap().append(&entry("202"));
        let mut actions = Vec::new();
        let report = verify(std::slice::from_ref(&path), None, |line| actions.push(line.action.clone())).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(actions, ["command.close", "trail.torn", "command.close"]);
        fs::write(&path, "something else\n").unwrap();
        let refused = Trail::open(&path, u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("audit verify"), "{refused}");
    }

    #[test]
    fn a_writer_that_stopped_holds_nobody_up_and_the_gap_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let trail = Trail::open(&path, u64::MAX).unwrap();
        let stopped = fs::File::create(folder.path().join("audit.jsonl.lock")).unwrap();
        stopped.lock().unwrap();
        (0..3).for_each(|_| trail.append(&entry("202")));
        assert_eq!(trail.lost(), 3);
        stopped.unlock().unwrap();
        trail.append(&entry("202"));
        let mut said = Vec::new();
        let report = verify(&[path], None, |line| said.push(format!("{} {}", line.action, line.outcome))).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(said, ["trail.gap lost 3", "command.close 202"]);
    }

    #[test]
    fn what_could_be_words_is_no_target() {
        for id in ["", "4304-20261123-1-2", "P-017", "terminal/S-001", "a:b@c"] {
            assert_eq!(target(id), id);
        }
        for words in ["商场冒烟", "two words", "a\"b", &"x".repeat(129)] {
            assert_eq!(target(words), "?");
        }
    }
}
