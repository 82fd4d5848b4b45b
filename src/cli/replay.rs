//! `muster replay --mapping M.toml FILE.csv`: real history through the real engine.
//!
//! Prints the figures of the run, or with `--json` one object; with `--out` every decision goes to a file, one line an entry
//! of the timeline and one a row that could not be used, in which nothing depends on the machine or the day: the same
//! file replayed twice gives the same bytes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::engine::Entry;
use crate::intake::book::{self, Codes};
use crate::intake::choice::Choices;
use crate::intake::history::History;
use crate::intake::mapping::Mapping;
use crate::intake::replay::{self, Outcome, Sheet};
use crate::intake::rows::{self, Notes, Table, Unusable};
use crate::intake::tally::{Counts, Leg};

/// Replay a city's real history through the engine, and tell what it came to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How the file's rows become reports and acts.
    #[arg(long, value_name = "M.toml")]
    mapping: PathBuf,
    /// The table.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Let the engine pick the first unit of each incident among those that the record says are free, and compare.
    #[arg(long)]
    decide: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write every decision to a file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Everything a replay tells.
#[derive(Debug, Serialize)]
struct Told<'t> {
    #[serde(flatten)]
    counts: &'t Counts,
    #[serde(flatten)]
    outcome: &'t Outcome,
    mapping: &'t str,
    playbook: &'t str,
    rows: u64,
    rows_used: usize,
    rows_rejected: Vec<Unusable>,
    cells_rejected: &'t [Unusable],
    notes: BothNotes<'t>,
    codes_without_a_table: Vec<&'t str>,
}

/// Oddities of rows and of incidents.
#[derive(Debug, Serialize)]
struct BothNotes<'t> {
    rows: &'t Notes,
    incidents: &'t Notes,
}

/// Lines of rows, cells and differences that the page names; `--json` names all.
const SHOWN_MAX: usize = 12;
/// Differences of `--decide` that the page names.
const DIFFERENCES_MAX: usize = 400;

/// Replays a file.
///
/// # Errors
/// When a file cannot be read or written, or the mapping does not fit it.
#[expect(clippy::disallowed_methods, reason = "how long it took is told, and decides nothing")]
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mapping_name = args.mapping.display().to_string();
    let text = std::fs::read_to_string(&args.mapping).with_context(|| format!("the mapping {mapping_name}"))?;
    let mapping = Mapping::read(&mapping_name, &text)?;
    let table = read_table(args, &mapping)?;
    let history = History::of(&mapping, &table);
    let codes = Codes::of(&mapping, &history);
    let set = if args.decide { "decide" } else { "recorded" };
    let playbook = Arc::new(book::load(&mapping, &history, &codes, set)?);
    let sheet = Sheet { mapping: &mapping, history: &history, codes: &codes };

    let mut out = Out::create(args)?;
    let bar = bar(history.happenings.len() as u64, "{pos}/{len} happenings");
    let mut progress = |done| bar.set_position(done);
    let mut sink = |entry: &Entry| out.line(entry);
    let run = if args.decide { replay::decide } else { replay::recorded };
    let (mut tally, outcome) =
        run(&sheet, playbook.clone(), &mut sink, &mut progress).with_context(|| format!("{:?}", args.out))?;
    bar.finish_and_clear();
    out.rejected(&table)?;

    tally.counts.rejected = table.refused.len() as u64;
    let twice = table.notes.count("row-that-stands-twice");
    tally.counts.unaccounted += table.rows - table.records.len() as u64 - tally.counts.rejected - twice;
    tally.counts.wall_s = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let told = Told {
        counts: &tally.counts,
        outcome: &outcome,
        mapping: &mapping_name,
        playbook: &playbook.hash,
        rows: table.rows,
        rows_used: table.records.len(),
        rows_rejected: table.refused.iter().map(|(unusable, _)| unusable.clone()).collect(),
        cells_rejected: &table.cells,
        notes: BothNotes { rows: &table.notes, incidents: &history.notes },
        codes_without_a_table: codes.unlisted().collect(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&told)?);
    } else {
        print!("{}", page(&told, &mapping));
    }
    Ok(if tally.counts.unaccounted == 0 { super::good() } else { super::finding() })
}

fn read_table(args: &Args, mapping: &Mapping) -> anyhow::Result<Table> {
    let name = || format!("{}", args.file.display());
    let file = File::open(&args.file).with_context(name)?;
    let bar = bar(file.metadata().map_or(0, |m| m.len()), "reading {bytes}/{total_bytes}");
    let table = rows::read(mapping, BufReader::new(file), |byte| bar.set_position(byte)).with_context(name)?;
    bar.finish_and_clear();
    Ok(table)
}

/// A bar on a terminal, nothing elsewhere.
fn bar(length: u64, shows: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {shows} {{elapsed}}"));
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The file of decisions, if one is asked for.
struct Out(Option<BufWriter<File>>);

impl Out {
    fn create(args: &Args) -> anyhow::Result<Self> {
        let Some(path) = &args.out else { return Ok(Self(None)) };
        let file = File::create(path).with_context(|| format!("{}", path.display()))?;
        Ok(Self(Some(BufWriter::new(file))))
    }

    fn line(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")
    }

    /// What could not be used, after everything that happened.
    fn rejected(&mut self, table: &Table) -> std::io::Result<()> {
        for (unusable, _) in &table.refused {
            self.line(&json!({ "rejected": unusable }))?;
        }
        for unusable in &table.cells {
            self.line(&json!({ "cell": unusable }))?;
        }
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn page(told: &Told<'_>, mapping: &Mapping) -> String {
    let (c, o) = (told.counts, told.outcome);
    let mut page = String::new();
    let mut line = |what: &str, says: String| {
        let _ = writeln!(page, "{what:<11}{says}");
    };
    line("history", format!("{} ({} rows, {} used)", mapping.history.title, told.rows, told.rows_used));
    line("reports", format!("{} → {} incidents, {} unaccounted", c.reports, c.incidents, c.unaccounted));
    line("matching", format!("{} merged, {} suggested, {} folded", c.merged, c.suggested, c.folded));
    line("orders", format!("{}, {} posts bound at once at most", c.orders, o.busy_max));
    if o.decide.is_none() {
        let leg = |leg: &Leg| format!("median {}, p90 {} of {}", leg.median_s, leg.p90_s, leg.count);
        line("legs", format!("received → ordered         {}", leg(&o.legs.dispatch)));
        line("", format!("ordered → on scene         {}, {} never", leg(&o.legs.on_scene), o.missing_on_scene));
        line("", format!("received → first ordered   {}", leg(&o.legs.first_dispatch)));
        line(
            "marks",
            format!("{} kept, {} missed, {} times a level higher", c.marks_kept, c.marks_missed, c.escalations),
        );
    }
    if o.placeless + o.outside > 0 {
        line("places", format!("{} incidents without one, {} outside every area", o.placeless, o.outside));
    }
    line("besides", format!("{} all-calls, {} shortfalls", c.all_calls, c.shortfalls));
    for (code, count) in &o.refused {
        line("refused", format!("{count} × {code}"));
    }
    rejected(&mut page, told);
    if let Some(choices) = &o.decide {
        decided(&mut page, choices);
    }
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let rate = o.inputs as f64 / c.wall_s.max(0.001);
    let _ = writeln!(
        page,
        "{:<11}{} of history in {:.2} s: {} inputs ({rate:.0} a second), {} entries of the timeline",
        "time",
        crate::model::Millis::from_secs(c.simulated_s / 3600 * 3600),
        c.wall_s,
        o.inputs,
        o.entries
    );
    page
}

/// Rows and cells that could not be used, and what else was odd.
fn rejected(page: &mut String, told: &Told<'_>) {
    let shown = |page: &mut String, what: &str, list: &[Unusable]| {
        if list.is_empty() {
            return;
        }
        let _ = writeln!(page, "{what:<11}{}", list.len());
        for Unusable { line, column, reason } in list.iter().take(SHOWN_MAX) {
            let column = column.as_ref().map(|c| format!(", column `{c}`")).unwrap_or_default();
            let _ = writeln!(page, "{:<11}line {line}{column}: {reason}", "");
        }
        if list.len() > SHOWN_MAX {
            let _ = writeln!(page, "{:<11}… all of them with --json or --out", "");
        }
    };
    shown(page, "rejected", &told.rows_rejected);
    shown(page, "cells", told.cells_rejected);
    for (what, note) in told.notes.rows.iter().chain(told.notes.incidents.iter()) {
        let first: Vec<String> = note.lines.iter().take(5).map(ToString::to_string).collect();
        let more = if note.count > 5 { " …" } else { "" };
        let _ = writeln!(
            page,
            "{:<11}{} × {} (line {}{more})",
            "note",
            note.count,
            what.replace('-', " "),
            first.join(", ")
        );
    }
    let unlisted = &told.codes_without_a_table;
    if !unlisted.is_empty() {
        let first = unlisted.iter().take(8).copied().collect::<Vec<_>>().join(", ");
        let more = if unlisted.len() > 8 { " …" } else { "" };
        let _ = writeln!(page, "{:<11}{} codes stand in no table: {first}{more}", "note", unlisted.len());
    }
}

/// The engine's choice beside the record.
fn decided(page: &mut String, choices: &Choices) {
    let _ = writeln!(
        page,
        "{:<11}{} of {} first units as recorded ({} %); nearest free by the straight line: {} ({} %)",
        "choice",
        choices.agreed,
        choices.compared,
        choices.share_percent,
        choices.nearest_agreed,
        choices.nearest_share_percent
    );
    let _ = writeln!(
        page,
        "{:<11}{} picked among those sent at the same instant; {} picked the nearest free",
        "", choices.agreed_with_any_first, choices.picked_nearest
    );
    for (reason, count) in &choices.not_compared {
        let _ = writeln!(page, "{:<11}{count} not compared: {reason}", "");
    }
    for d in choices.differences.iter().take(DIFFERENCES_MAX) {
        let metres = |m: Option<u32>| m.map(|m| format!(" {m} m")).unwrap_or_default();
        let runner_up = match (&d.runner_up, d.difference_s) {
            (Some(post), Some(more)) => format!("runner-up {post} +{more}"),
            _ => "no runner-up".to_owned(),
        };
        let bound = if d.recorded_was_bound { " (bound)" } else { "" };
        let _ = writeln!(
            page,
            "{:<11}{}: sent {}{}{bound}, picked {}{} {} s, {runner_up}",
            "differs",
            d.incident,
            d.recorded,
            metres(d.recorded_m),
            d.picked,
            metres(d.picked_m),
            d.travel_s
        );
    }
    if choices.differences.len() > DIFFERENCES_MAX {
        let more = choices.differences.len() - DIFFERENCES_MAX;
        let _ = writeln!(page, "{:<11}… and {more} more with --json", "");
    }
}
