//! Scenarios: the rule book as text that a dispatcher can read, run on a simulated clock.
//!
//! A scenario tells one rule: commands, and under them what the engine did, as its own timeline says it. It is text in
//! and text out; nothing here reads a file or a clock. Who wrote a rule can check it by reading, and who breaks one
//! sees the line that changed.
//!
//! ```text
//! # An unsigned order goes to the next post when its minute is over, and the incident climbs a level.
//! post P1 patrol at 0.4km ; post P2 patrol at 0.9km
//! report fire at key-site lotus-plaza text="商场冒烟"
//! ---
//! incident 1 opened  public-safety/fire/structure II ring=1 level=county plan=rapid-response rule=fire.smoke
//! order 1-1 → P1 first  sign-by=+60s on-scene-by=+60s   runner-up P2 +41s
//!
//! advance 59s
//! ---
//! +36s warning signed order=1-1
//! ```
//!
//! # The header
//! Comments, then `key: value` lines; the header wins over whatever the caller says.
//!
//! | line | says | else |
//! | --- | --- | --- |
//! | `playbook: <folder>` | which playbook | the caller's |
//! | `set: by-echelon` | which set of marks is in force | the playbook's own |
//! | `roster: playbook` | the playbook's posts and teams play | the scenario names its own, and no area asks for cover |
//! | `needs: 1 first of patrol standing; 1 reinforce of base with water echelon 2` | what every plan asks for | its linkage table |
//! | `start: 2026-11-23T08:00:00+08:00` | when it begins | 10:00 of that Monday, no rush hour |
//! | `scene: key-site lotus-plaza` | from where a bare distance counts | the place of the first report |
//! | `show: notices agencies states rejected delivery` | what is printed beyond the usual | |
//! | `limits.queue_max = 1` | a setting of the playbook by its TOML key | as it is |
//! | `window = [{ … }]` | a whole list of the playbook | as it is |
//!
//! In such a key an entry of a list is named by its id: `plan.rapid-response.mark.signed.limit = "30s"`.
//!
//! # Commands
//! One a line, or several parted by `;`. Places are in the words of `place`.
//! ```text
//! post P1 patrol at 0.4km [area=…] [hours=07:00-09:00] [cap=first-aid,boat] [strength=4] [radius=200m]
//! team T1..T250 at 0.5km                     gone P1
//! report [fire|JQ-0301] at … [text="…"] [source=…] [id=…] [time=-2h] [status=exercise] [severity=extreme] [urgency=…]
//!        [certainty=…] [attr.smoke_ppm=410] [accuracy=500m] [ref=110/desk-1:r1] [x=20 every=100ms]
//! act P1 signed|declined|en-route|on-scene|first-report|cleared|on-duty|off-duty|out-of-service [order=1-1] [incident=1]
//!        [done-at=-30s] [reason="…"]         act P1 on-view [fire] at … [text="…"]
//! position P1 at … [age=90s]                 delivery 1-1 sent|delivered|failed [over=sms]
//! command <verb> [incident] [by=command/seat-1] [reason="…"] …
//!        create [fire] at … [category=…] [severity=II] · correct-place 1 at … · reclassify 1 [category=…] [severity=II] ·
//!        order 1 P3 [role=cordon] · stand-down order=1-1|post=P1 · confirm 1 · refute 1 [as=…] · link 1 other=2 ·
//!        split 1 reports=2,3 · merge 2 into=1 · hold 1 [mark=on-scene] · all-call 1 [radius=2km] [volunteers=yes] ·
//!        recall 1 [order=1-2] · controlled 1 · close 1 as=handled [prevention=yes] · cancel 1 · reopen 1 ·
//!        sign-on-behalf 1 order=1-1 words="…" [act=on-scene] · take-notice notice=1-n3 ·
//!        silence until=+10min [from=+5min] [kind=mark-missed,…] [source-prefix=panel/] [area=…] [category=…] ·
//!        unsilence silence=s1
//! advance 59s        advance to +180s        restart        outage 10min        playbook [folder] [limits.queue_max=1]
//! show incident|reports|orders|marks 1       show posts|queue|notices|silences|timers
//! ```
//! `+90s` counts from the start, `-30s` back from now. Commands on one line happen at one instant, and what falls due at it
//! fires after the last of them: `advance 60s ; act P1 signed` signs at the very end of the minute, and in time.
//!
//! # What is checked without being said
//! Every scenario runs twice: straight through, and with a restart from its documents after every command; both must print
//! the same. After every block the documents alone must give an engine with the same next deadline and as many timers, and
//! no document may outgrow its bound.

mod text;

mod line;

mod place;

mod ground;

mod stage;

mod commands;

mod print;

mod diff;

use ground::Compiled;
use text::Text;

/// Gives the files of a playbook's folder, as (name, text).
pub type Library<'l> = dyn Fn(&str) -> Result<Vec<(String, String)>, String> + 'l;

/// Why a scenario cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Error {
    /// In the scenario's text, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Blocks run.
    pub blocks: usize,
    /// Where the output is not the recorded one.
    pub mismatches: Vec<Mismatch>,
    /// The text with the output as it came.
    pub text: String,
}

/// An output that is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The first line that differs.
    pub line: usize,
    /// `-` was recorded, `+` came.
    pub diff: String,
}

/// Whether the engine is restarted on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Through,
    RestartAfterEachCommand,
}

/// Runs scenarios, and compiles each playbook they play on only once.
pub struct Runner<'l> {
    library: &'l Library<'l>,
    compiled: Compiled,
}

impl<'l> Runner<'l> {
    /// A runner that finds its playbooks here.
    #[must_use]
    pub fn new(library: &'l Library<'l>) -> Self {
        Self { library, compiled: Compiled::default() }
    }

    /// Runs a scenario: compares its output with the recorded one, and checks what every scenario must keep.
    ///
    /// # Errors
    /// When a line cannot be understood, the playbook is refused, or one of the silent checks fails; with the line.
    pub fn run(&mut self, text: &str, default_playbook: &str) -> Result<Outcome, Error> {
        let text = text::parse(text)?;
        let came = self.play(&text, default_playbook, Manner::Through)?;
        let restarted = self.play(&text, default_playbook, Manner::RestartAfterEachCommand)?;
        let blocks = || text.blocks.iter().zip(&came);
        let differs = blocks().zip(&restarted).find(|((_, came), restarted)| came != restarted);
        if let Some(((block, came), restarted)) = differs {
            let diff = diff::diff(came, restarted);
            let reason = format!("a restart after each command changes what happens (- without, + with it):\n{diff}");
            return Err(Error { line: block.line, reason });
        }
        let mismatches = blocks().filter_map(|(block, came)| {
            let recorded = block.output.as_deref().unwrap_or_default();
            let output_line = block.line + block.commands.len() + 1;
            (recorded != came.as_slice() && !block.is_comment()).then(|| Mismatch {
                line: output_line + diff::first_difference(recorded, came),
                diff: diff::diff(recorded, came),
            })
        });
        Ok(Outcome {
            blocks: text.blocks.iter().filter(|b| !b.is_comment()).count(),
            mismatches: mismatches.collect(),
            text: text.with_output(&came),
        })
    }

    /// The output of each block.
    fn play(&mut self, text: &Text, default_playbook: &str, manner: Manner) -> Result<Vec<Vec<String>>, Error> {
        let header = ground::Header::read(text, default_playbook)?;
        let mut stage = stage::Stage::new(header, self.library, &mut self.compiled)?;
        let mut output = Vec::new();
        for block in &text.blocks {
            for (offset, command) in block.commands.iter().enumerate().filter(|(_, c)| !c.starts_with('#')) {
                let at = |reason: String| Error { line: block.line + offset, reason };
                let lines = line::split(command).map_err(at)?;
                let last = lines.len().saturating_sub(1);
                for (n, line) in lines.into_iter().enumerate() {
                    stage.more_comes = n < last;
                    commands::run(&mut stage, line).map_err(at)?;
                    if manner == Manner::RestartAfterEachCommand && stage.is_running() {
                        stage.restart().map_err(at)?;
                    }
                }
            }
            let mut lines = std::mem::take(&mut stage.lines);
            if lines.is_empty() && !block.is_comment() {
                lines.push(text::NOTHING.to_owned());
            }
            output.push(lines);
            stage.check().map_err(|reason| Error { line: block.line, reason })?;
        }
        Ok(output)
    }
}
