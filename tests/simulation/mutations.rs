//! The simulator is worth what it catches. Here the protocol is broken on purpose, in two ways: by whoever drives the owner
//! ([`Fault`]), and in the source of the protocol itself (`breakages.txt`, tried in a copy of it).

use std::fs;
use std::path::Path;

use crate::city::Kind;

/// What a host or a reader does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Effects leave when their step is appended.
    EmittedBeforeAccepted,
    /// Any append that was acknowledged is acted upon.
    AnyAcknowledgedIsAccepted,
    /// The running state is kept after a void step.
    StateIsKept,
    /// A reader applies what comes last.
    ReaderIgnoresRev,
    /// A new owner takes the state of orders from what was emitted.
    RestoredFromProjection,
    /// Positions are written without what was read ahead.
    ReadAheadIsForgotten,
    /// A new owner does not emit what its predecessor left.
    UnemittedIsForgotten,
    /// Effects count as emitted when they are sent.
    EmittedWhenSent,
    /// The log is trimmed below a mark that no record carries.
    TrimmedBelowWhatNobodyCarries,
    /// Nobody asks what readers of the effects have seen before claiming: a loss is not noticed.
    OutputsAreNotAsked,
}

pub const FAULTS: [Fault; 10] = [
    Fault::EmittedBeforeAccepted,
    Fault::AnyAcknowledgedIsAccepted,
    Fault::StateIsKept,
    Fault::ReaderIgnoresRev,
    Fault::RestoredFromProjection,
    Fault::ReadAheadIsForgotten,
    Fault::UnemittedIsForgotten,
    Fault::EmittedWhenSent,
    Fault::TrimmedBelowWhatNobodyCarries,
    Fault::OutputsAreNotAsked,
];

impl Fault {
    /// In what kind of history it shows.
    pub fn kind(self) -> Kind {
        if self == Self::OutputsAreNotAsked { Kind::Loss } else { Kind::Trouble }
    }
}

/// A breakage of the source.
pub struct Breakage {
    pub line: usize,
    pub why: String,
    /// A file of the protocol.
    pub file: String,
    pub original: String,
    pub broken: String,
    /// In what kind of history it shows.
    pub kind: Kind,
}

/// Blocks parted by blank lines: `# why`, the file, `- original` lines, `+ broken` lines, `! kind of history`.
pub fn breakages(root: &Path) -> Vec<Breakage> {
    let text = fs::read_to_string(root.join("tests/simulation/breakages.txt")).unwrap();
    let mut breakages = Vec::new();
    let mut at = 0;
    for block in text.split("\n\n") {
        let line = at + 1;
        at += block.matches('\n').count() + 2;
        let part = |sign: &str| -> String {
            let lines: Vec<&str> =
                block.lines().filter_map(|l| l.strip_prefix(sign)).map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
            lines.join("\n")
        };
        let Some(file) = block.lines().find(|line| line.ends_with(".rs")) else { continue };
        breakages.push(Breakage {
            line,
            why: part("#"),
            file: file.to_owned(),
            original: part("-"),
            broken: part("+"),
            kind: part("!").parse().unwrap_or_else(|why| panic!("line {line}: {why}")),
        });
    }
    breakages
}
