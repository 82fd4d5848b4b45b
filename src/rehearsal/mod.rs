//! The rehearsal: a seeded city that speaks only through the public doors.
//!
//! A script (`config/rehearsal/*.toml`) and a seed give a day of reports. Crews hear their orders by reading
//! `/v1/orders` and act on them through `/v1/acts`, mostly in time; patrols say through `/v1/positions` where they are;
//! desks verify, find places, take notices and close, through `/v1/commands`. So what works here works for users. The
//! same city drives the demo, training and load.
//!
//! Time is somebody else's: a [`Pace`] moves it, either as fast as everybody can follow, in lock-step, or as many times
//! as fast as the wall. The city keeps an agenda by instant; at each instant it does what is due, then looks at what
//! has become of it, and writes what follows into the agenda. Chance is drawn in the order of the agenda alone, so in
//! lock-step a seed gives the same day again.

mod chance;
mod city;
mod day;
pub mod door;
mod fleet;
pub mod listener;
mod script;

pub use chance::Chance;
pub use city::{City, Told};
pub use day::{Day, Duty, Sent};
pub use script::{Kind, Script, Where};

use crate::model::Timestamp;

/// Who moves the time.
pub trait Pace {
    /// Lets time pass until something has happened or `until` has come. Returns the instant and whether there is news.
    fn pass(&mut self, until: Timestamp) -> impl Future<Output = anyhow::Result<(Timestamp, bool)>>;
}
