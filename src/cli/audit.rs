//! `muster audit`: reads the trail of who did what, and whether it is whole.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::access::{Head, Line, Report, rotated, verify};
use crate::config::Config;

/// Show the audit trail, or verify that nobody changed it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verify the chain: names every line that was changed, removed, moved or cut off. Exit code 1 where there is one.
    Verify(Verify),
    /// Show what was done, oldest first.
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// The files of one trail, in any order. None: that of `[access] audit`, with the full files beside it.
    #[arg(value_name = "FILE")]
    named: Vec<PathBuf>,
    /// The configuration; default `config/muster.toml`, where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// A head (`seq:hash`) that was kept elsewhere and must be in the trail: shows what was taken off its end.
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Head>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Of this principal only.
    #[arg(long)]
    principal: Option<String>,
    /// Actions that begin so, such as `command.` or `token`.
    #[arg(long)]
    action: Option<String>,
    /// To or about this only: an incident, an order, a post.
    #[arg(long)]
    target: Option<String>,
    /// The last so many.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    last: usize,
    #[command(flatten)]
    files: Files,
}

/// Does it.
///
/// # Errors
/// When a file cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Verify(args) => check(&args),
        Command::Show(args) => show(&args),
    }
}

impl Files {
    fn all(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.named.is_empty() {
            return Ok(self.named.clone());
        }
        let audit = Config::load(self.config.as_deref(), std::env::vars())?.config.access.audit;
        ensure!(!audit.as_os_str().is_empty(), "which trail? name its files, or set [access] audit");
        let mut files = rotated(&audit).with_context(|| audit.display().to_string())?;
        // After a rotation it may not be there yet, or be empty.
        files.extend(Some(audit.clone()).filter(|file| file.exists()));
        ensure!(!files.is_empty(), "{}: there is no trail yet", audit.display());
        Ok(files)
    }

    fn read(&self, head: Option<&Head>, each: impl FnMut(&Line)) -> anyhow::Result<Report> {
        let files = self.all()?;
        verify(&files, head, each).with_context(|| format!("the trail {}", files[0].display()))
    }
}

fn check(args: &Verify) -> anyhow::Result<ExitCode> {
    let report = args.files.read(args.head.as_ref(), |_| ())?;
    if args.files.json {
        let mut told = serde_json::to_value(&report)?;
        told["good"] = report.findings.is_empty().into();
        println!("{told}");
    } else {
        print(&report);
    }
    Ok(if report.findings.is_empty() { super::good() } else { super::finding() })
}

fn print(report: &Report) {
    for finding in &report.findings {
        let line = if finding.line > 0 { format!(":{}", finding.line) } else { String::new() };
        println!("{}{line}: {}", finding.file.display(), finding.what);
    }
    if let Some(first) = report.first.filter(|first| *first > 1) {
        println!("begins at seq {first}: what came before stands in files that were not named");
    }
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    println!("{} in {}", plural(report.lines, "line"), plural(report.files.len() as u64, "file"));
    if let Some(Head { seq, hash }) = &report.head {
        println!("head {seq}:{hash}");
    }
    match report.findings.len() as u64 {
        0 => println!("good"),
        n => println!("{}", plural(n, "finding")),
    }
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let mut lines = std::collections::VecDeque::new();
    let report = args.files.read(None, |line| {
        let about = |target: &String| line.target == *target || line.outcome.split(' ').any(|word| word == target);
        let wanted = args.principal.as_ref().is_none_or(|p| line.principal == *p)
            && args.action.as_ref().is_none_or(|a| line.action.starts_with(a.as_str()))
            && args.target.as_ref().is_none_or(about);
        if wanted {
            lines.push_back(line.clone());
            if lines.len() > args.last {
                lines.pop_front();
            }
        }
    })?;
    if args.files.json {
        println!("{}", json!({ "items": lines, "findings": report.findings }));
    } else {
        for l in &lines {
            let from = l.from.map(|from| format!("  from {from}")).unwrap_or_default();
            println!("{:>8} {} {:<20} {:<24} {:<28} {}{from}", l.seq, l.at, l.principal, l.action, l.target, l.outcome);
        }
        if !report.findings.is_empty() {
            println!("{} lines do not fit: see `muster audit verify`", report.findings.len());
        }
    }
    Ok(if report.findings.is_empty() { super::good() } else { super::finding() })
}
