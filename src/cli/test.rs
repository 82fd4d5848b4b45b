//! `muster test`: runs scenarios and shows where the output is not the recorded one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;

use crate::scenario::{self, Outcome};

/// Run scenarios and compare what happens with what is recorded in them.
#[derive(Debug, Parser)]
pub struct Args {
    /// Scenario files, or folders of them (`*.txt`).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The playbook for scenarios whose header names none.
    #[arg(long, value_name = "DIR", default_value = "config/playbooks/hengyang")]
    playbook: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Record the output as it comes. Read it before you keep it.
    #[arg(long)]
    bless: bool,
}

/// What is told of one file.
#[derive(Debug, Serialize)]
struct Told {
    file: PathBuf,
    blocks: usize,
    ok: bool,
    /// First line that differs, with the difference.
    mismatches: Vec<Difference>,
    /// Why it could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Difference {
    line: usize,
    diff: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    scenarios: usize,
    failed: usize,
    blessed: usize,
    files: Vec<Told>,
}

/// Runs it. Exit code 1 when an output differs, 2 when a scenario cannot be run at all.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut told = Vec::new();
    let mut blessed = 0;
    let files = scenario_files(&args.files)?;
    let library = |folder: &str| playbook_files(folder, &files);
    let mut runner = scenario::Runner::new(&library);
    for file in files.clone() {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let outcome = runner.run(&text, &args.playbook);
        if let (true, Ok(outcome)) = (args.bless, &outcome)
            && outcome.text != text
        {
            std::fs::write(&file, &outcome.text).with_context(|| file.display().to_string())?;
            blessed += 1;
        }
        told.push(tell(file, outcome, args.bless));
    }
    let summary =
        Summary { scenarios: told.len(), failed: told.iter().filter(|t| !t.ok).count(), blessed, files: told };
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print(&summary);
    }
    Ok(if summary.files.iter().any(|t| t.error.is_some()) {
        super::unusable()
    } else if summary.failed > 0 {
        super::finding()
    } else {
        super::good()
    })
}

fn tell(file: PathBuf, outcome: Result<Outcome, scenario::Error>, blessed: bool) -> Told {
    match outcome {
        Ok(outcome) => {
            let differs = |m: scenario::Mismatch| Difference { line: m.line, diff: m.diff };
            let mismatches: Vec<_> =
                if blessed { Vec::new() } else { outcome.mismatches.into_iter().map(differs).collect() };
            Told { file, blocks: outcome.blocks, ok: mismatches.is_empty(), mismatches, error: None }
        }
        Err(error) => Told { file, blocks: 0, ok: false, mismatches: Vec::new(), error: Some(error.to_string()) },
    }
}

fn print(summary: &Summary) {
    for told in summary.files.iter().filter(|t| !t.ok) {
        if let Some(error) = &told.error {
            println!("{}: {error}", told.file.display());
        }
        for difference in &told.mismatches {
            println!("{}:{}: - recorded, + came", told.file.display(), difference.line);
            print!("{}", difference.diff);
        }
    }
    let blessed = if summary.blessed > 0 { format!(", {} rewritten", summary.blessed) } else { String::new() };
    println!("{} scenarios, {} failed{blessed}", summary.scenarios, summary.failed);
}

fn scenario_files(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = files_in(path, "txt").with_context(|| path.display().to_string())?;
        anyhow::ensure!(!inside.is_empty(), "{}: no scenario (*.txt) in this folder", path.display());
        files.append(&mut inside);
    }
    Ok(files)
}

/// The files of a folder with this extension, by name.
fn files_in(folder: &Path, extension: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a playbook's folder: found from where we stand, else from a folder above a scenario.
fn playbook_files(folder: &str, scenarios: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let above = scenarios.iter().flat_map(|file| file.ancestors().skip(1)).map(|dir| dir.join(folder));
    let dir = std::iter::once(PathBuf::from(folder)).chain(above).find(|dir| dir.is_dir());
    let dir = dir.ok_or_else(|| format!("no folder `{folder}`; name the playbook with --playbook or in the header"))?;
    crate::config::playbook::read_dir(&dir).map_err(|e| e.to_string())
}
