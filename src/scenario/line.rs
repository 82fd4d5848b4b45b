//! The words of a command: split once, taken one by one, and whatever is left over is refused.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

/// One command: plain words in order, and `key=value` options in any.
#[derive(Debug, Default)]
pub(super) struct Line {
    words: VecDeque<String>,
    options: BTreeMap<String, String>,
}

/// Splits a line of a scenario into its commands: `;` parts them, `"…"` holds spaces together, ` #` begins a comment.
pub(super) fn split(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    let (mut token, mut quoted, mut was_quoted) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => (quoted, was_quoted) = (!quoted, true),
            '#' if !quoted && token.is_empty() => break,
            ';' if !quoted => {
                line.push(&mut token, &mut was_quoted)?;
                lines.push(std::mem::take(&mut line));
            }
            c if c.is_whitespace() && !quoted => line.push(&mut token, &mut was_quoted)?,
            c => token.push(c),
        }
    }
    if quoted {
        return Err("a quotation mark is not closed".to_owned());
    }
    line.push(&mut token, &mut was_quoted)?;
    lines.push(line);
    lines.retain(|line| !line.words.is_empty() || !line.options.is_empty());
    Ok(lines)
}

impl Line {
    fn push(&mut self, token: &mut String, was_quoted: &mut bool) -> Result<(), String> {
        let token = std::mem::take(token);
        if token.is_empty() && !std::mem::take(was_quoted) {
            return Ok(());
        }
        *was_quoted = false;
        match token.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                if self.options.insert(key.to_owned(), value.to_owned()).is_some() {
                    return Err(format!("`{key}=` stands twice"));
                }
            }
            _ => self.words.push_back(token),
        }
        Ok(())
    }

    /// The next word, which has to be there.
    pub fn word(&mut self, what: &str) -> Result<String, String> {
        self.words.pop_front().ok_or_else(|| format!("{what} is missing"))
    }

    /// The next word, if there is one.
    pub fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// The next word, left where it is.
    pub fn peek(&self) -> Option<&str> {
        self.words.front().map(String::as_str)
    }

    /// Takes the next word if it is this one.
    pub fn takes(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.words.pop_front();
        }
        found
    }

    /// The value of an option, taken.
    pub fn option(&mut self, key: &str) -> Option<String> {
        self.options.remove(key)
    }

    /// The value of an option, taken and read.
    pub fn parsed<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, String>
    where
        T::Err: std::fmt::Display,
    {
        self.option(key).map(|v| v.parse().map_err(|e| format!("{key}={v}: {e}"))).transpose()
    }

    /// The value of an option, taken and read as the playbook and the wire write it.
    pub fn named<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.option(key).map(|v| named(&v).map_err(|e| format!("{key}={v}: {e}"))).transpose()
    }

    /// Options whose key begins with this, taken, without it.
    pub fn options_under(&mut self, prefix: &str) -> Vec<(String, String)> {
        let keys: Vec<String> = self.options.keys().filter(|k| k.starts_with(prefix)).cloned().collect();
        keys.into_iter().map(|k| (k[prefix.len()..].to_owned(), self.options.remove(&k).unwrap_or_default())).collect()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), String> {
        if let Some(word) = self.words.front() {
            return Err(format!("`{word}` is not understood here"));
        }
        self.options.keys().next().map_or(Ok(()), |key| Err(format!("no option `{key}=` is known here")))
    }
}

/// A word as the playbook and the wire write it, such as `first-aid`, `II` or `bottom-line`.
pub(super) fn named<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_options_and_quotes_are_told_apart() {
        let mut lines = split(r#"post P1 patrol ; report fire at scene text="商场 冒烟; a=b" id=7 # why"#).unwrap();
        assert_eq!(lines.len(), 2);
        let mut report = lines.remove(1);
        assert_eq!(report.word("verb").unwrap(), "report");
        assert_eq!(report.option("text").as_deref(), Some("商场 冒烟; a=b"));
        assert_eq!(report.parsed::<u32>("id").unwrap(), Some(7));
        assert!(report.takes("fire") && report.takes("at") && report.takes("scene"));
        assert!(report.end().is_ok());
    }

    #[test]
    fn what_is_left_over_is_refused() {
        let mut line = split("advance 59s quickly").unwrap().remove(0);
        assert_eq!((line.next().as_deref(), line.next().as_deref()), (Some("advance"), Some("59s")));
        assert_eq!(line.end().unwrap_err(), "`quickly` is not understood here");
        assert!(split("report text=\"open").unwrap_err().contains("not closed"));
        assert!(split("post a=1 a=2").unwrap_err().contains("twice"));
        let mut option = split("post b=1").unwrap().remove(0);
        assert_eq!(option.next().as_deref(), Some("post"));
        assert!(option.end().unwrap_err().contains("`b=`"));
    }
}
