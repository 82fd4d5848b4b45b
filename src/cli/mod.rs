//! The command line: one file a subcommand, and the exit codes they share.
//!
//! A subcommand is a file with `Args` (its options, with `--json` where it reports something) and
//! `run(Args) -> anyhow::Result<ExitCode>`. To add one: `pub mod name;` here, a variant in [`Command`], an arm in
//! `Command::run`. A subcommand never ends the process itself: it returns [`good`] or [`finding`], or an error, which
//! is printed with its causes and becomes exit code 2.

pub mod audit;
pub mod check;
pub mod demo;
pub mod explain;
#[cfg(feature = "kafka")]
pub mod gateway;
#[cfg(feature = "kafka")]
pub mod journal;
pub mod load;
#[cfg(feature = "kafka")]
pub mod node;
pub mod replay;
pub mod run;
pub mod server;
pub mod test;
pub mod token;
#[cfg(feature = "kafka")]
pub mod topics;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An event-driven incident alert and rapid-response dispatcher: report in, order out, marks kept.
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 good, 1 a finding, 2 a usage or input error.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take reports, order posts, watch the marks: until told to stop.
    Run(run::Args),
    /// A seeded day of a city through the real service, shown live.
    Demo(demo::Args),
    /// Check a playbook: what it holds, or everything that is wrong with it.
    Check(check::Args),
    /// Explain a report: its class, posts and marks, and why.
    Explain(explain::Args),
    /// Replay a city's real history through the engine, and tell what it came to.
    Replay(replay::Args),
    /// Drive an instance with a believable city, and tell what it came to.
    Load(load::Args),
    /// Run scenarios and compare what happens with what is recorded in them.
    Test(test::Args),
    /// Make, list, exchange or revoke tokens.
    Token(token::Args),
    /// Show the audit trail, or verify that nobody changed it.
    Audit(audit::Args),
    /// Show or repair the journal in Kafka.
    #[cfg(feature = "kafka")]
    Journal(journal::Args),
    /// Make, check or show the topics in Kafka.
    #[cfg(feature = "kafka")]
    Topics(topics::Args),
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Demo(args) => demo::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Explain(args) => explain::run(&args),
            Self::Replay(args) => replay::run(&args),
            Self::Load(args) => load::run(&args),
            Self::Test(args) => test::run(args),
            Self::Token(args) => token::run(args),
            Self::Audit(args) => audit::run(args),
            #[cfg(feature = "kafka")]
            Self::Journal(args) => journal::run(args),
            #[cfg(feature = "kafka")]
            Self::Topics(args) => topics::run(args),
        }
    }
}

/// Everything is as it should be.
#[must_use]
pub fn good() -> ExitCode {
    ExitCode::SUCCESS
}

/// The command did its work and found something: a broken playbook, a missed expectation.
#[must_use]
pub fn finding() -> ExitCode {
    ExitCode::from(1)
}

/// The command could not do its work: a wrong option, an unreadable file.
#[must_use]
pub fn unusable() -> ExitCode {
    ExitCode::from(2)
}

/// Reads the command line, runs the subcommand, and says what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => {
            // `--help` and `--version` come this way too. A closed pipe is nobody's finding.
            let _ = asked.print();
            return if asked.use_stderr() { unusable() } else { good() };
        }
    };
    cli.command.run().unwrap_or_else(|error| {
        eprintln!("muster: {error:#}");
        unusable()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
