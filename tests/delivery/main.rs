//! Delivery, shown at real targets on this machine: many of them and some sick, a kill in the middle, addresses that must
//! not be reached, signatures checked by somebody else's code, thousands of terminals on the stream.
//!
//! Times are printed and held to generous bounds only; what is counted is counted exactly. `MUSTER_LONG` asks for the
//! full numbers.

#![cfg(feature = "service")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test may fail where it stands, measures real time and says what it measured"
)]

mod channel;
mod guard;
mod kill;
mod many;
mod outside;
mod receipts;
mod signature;
mod terminals;
