//! The text of a scenario: a header, then blocks of commands with the output recorded under each.
//!
//! ```text
//! # What must happen, in a sentence or two.
//! set: by-echelon
//! limits.queue_max = 1
//!
//! post P1 patrol at 0.4km
//! report fire at key-site lotus-plaza
//! ---
//! incident 1 opened  …
//!
//! advance 59s
//! ---
//! +36s warning signed order=1-1
//! ```
//! Blank lines part the blocks, `---` parts commands from output, `(nothing)` says that nothing happened. Comments stand
//! in the header and among commands. Rewriting the output leaves every other line as it was.

use super::Error;

/// A scenario, taken apart.
#[derive(Debug)]
pub(super) struct Text {
    header: Vec<String>,
    /// `key: value` lines with their numbers.
    pub settings: Vec<(usize, String, String)>,
    /// `dotted.key = value` lines with their numbers: settings of the playbook.
    pub overrides: Vec<(usize, String, String)>,
    /// In order.
    pub blocks: Vec<Block>,
}

/// Commands and what they printed.
#[derive(Debug)]
pub(super) struct Block {
    /// As they stand, comments included.
    pub commands: Vec<String>,
    /// The number of the first line.
    pub line: usize,
    /// The recorded output; `None` before it was ever recorded.
    pub output: Option<Vec<String>>,
}

/// What stands for no output at all.
pub(super) const NOTHING: &str = "(nothing)";
const RULE: &str = "---";

/// Takes a text apart.
pub(super) fn parse(text: &str) -> Result<Text, Error> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut parsed = Text { header: Vec::new(), settings: Vec::new(), overrides: Vec::new(), blocks: Vec::new() };
    let mut at = 0;
    while at < lines.len() && parsed.is_header(at + 1, lines[at]) {
        parsed.header.push(lines[at].to_owned());
        at += 1;
    }
    while at < lines.len() {
        let end = lines[at..].iter().position(|line| line.is_empty()).map_or(lines.len(), |len| at + len);
        if end > at {
            parsed.blocks.push(block(&lines[at..end], at + 1)?);
        }
        at = end + 1;
    }
    if parsed.blocks.iter().all(Block::is_comment) {
        return Err(Error { line: lines.len().max(1), reason: "a scenario without a command".to_owned() });
    }
    Ok(parsed)
}

fn block(lines: &[&str], line: usize) -> Result<Block, Error> {
    let rule = lines.iter().position(|text| *text == RULE);
    let (commands, output) = match rule {
        Some(0) => return Err(Error { line, reason: "`---` without a command above it".to_owned() }),
        Some(rule) => (&lines[..rule], Some(&lines[rule + 1..])),
        None => (lines, None),
    };
    let owned = |lines: &[&str]| lines.iter().map(|&l| l.to_owned()).collect::<Vec<String>>();
    Ok(Block { commands: owned(commands), line, output: output.map(owned) })
}

impl Text {
    /// Takes a line of the header; whether it was one.
    fn is_header(&mut self, number: usize, line: &str) -> bool {
        if line.is_empty() || line.starts_with('#') {
            return true;
        }
        let word = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
        if let Some((key, value)) = line.split_once(": ").filter(|(key, _)| word(key)) {
            self.settings.push((number, key.to_owned(), value.trim().to_owned()));
            return true;
        }
        let setting = |key: &str, value: &str| word(key) && (key.contains('.') || value.trim_start().starts_with('['));
        if let Some((key, value)) = line.split_once(" = ").filter(|(key, value)| setting(key, value)) {
            self.overrides.push((number, key.to_owned(), value.trim().to_owned()));
            return true;
        }
        false
    }

    /// The same text with this output under each block.
    pub fn with_output(&self, output: &[Vec<String>]) -> String {
        let mut text = self.header.join("\n");
        if !self.header.is_empty() {
            text.push('\n');
        }
        for (i, (block, lines)) in self.blocks.iter().zip(output).enumerate() {
            if i > 0 {
                text.push('\n');
            }
            let rule = if block.is_comment() { None } else { Some(RULE.to_owned()) };
            for line in block.commands.iter().chain(rule.iter()).chain(lines) {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

impl Block {
    /// Only comments: nothing to run.
    pub fn is_comment(&self) -> bool {
        self.commands.iter().all(|line| line.starts_with('#'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A rule.\nset: by-echelon\nlimits.queue_max = 1\n\npost P1 patrol at 0.4km ; post P2\nreport fire\n\
                        ---\nincident 1 opened\n\n# still nothing\nadvance 59s\n---\n(nothing)\n";

    #[test]
    fn a_text_reads_back_as_written() {
        let text = parse(TEXT).unwrap();
        assert_eq!(text.settings, [(2, "set".to_owned(), "by-echelon".to_owned())]);
        assert_eq!(text.overrides, [(3, "limits.queue_max".to_owned(), "1".to_owned())]);
        assert_eq!((text.blocks.len(), text.blocks[0].line, text.blocks[1].line), (2, 5, 10));
        let output: Vec<Vec<String>> = text.blocks.iter().map(|b| b.output.clone().unwrap()).collect();
        assert_eq!(text.with_output(&output), TEXT);
    }

    #[test]
    fn a_block_that_was_never_recorded_has_no_output() {
        let text = parse("advance 1s\n").unwrap();
        assert_eq!(text.blocks[0].output, None);
        assert_eq!(text.with_output(&[vec![NOTHING.to_owned()]]), "advance 1s\n---\n(nothing)\n");
        assert!(parse("# only words\n").is_err());
        assert_eq!(parse("---\nx\n").unwrap_err().line, 1);
    }
}
