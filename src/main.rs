//! Subcommands and exit codes, nothing more.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster::cli::main()
}
