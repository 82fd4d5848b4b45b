//! Subcommands and exit codes, nothing more.

fn main() {}
