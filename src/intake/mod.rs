//! Intake: files of real history through a mapping that names columns, times and codes.
//!
//! `mapping` is the mapping file, `clock` reads the times of a table, `rows` turns rows into records with a reason for
//! each that is unusable, `history` puts the records in the order in which they happened, `book` makes the playbook under
//! which they are replayed, `replay` feeds them to the engine, `tally` counts from outside what came of it, `choice` compares
//! picks with the record.

pub mod book;
pub mod choice;
mod clock;
pub mod history;
pub mod mapping;
pub mod replay;
pub mod rows;
pub mod tally;
