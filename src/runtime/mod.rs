//! The runtime: one thread a shard, the work queue before it, the one real clock, start and end.
//!
//! In reading order: [`Setup`] and [`Opened`] bring a shard up; the shard's loop is one page (`shard.rs`); producers and
//! deliverers hold a [`Handle`], the doors know it as a [`Gate`]; between them stands a [`queue`](Bounds) with two lanes;
//! everybody asks one [`Clock`].
//! One command area is one shard: all that is decided together is decided on one thread.

mod clock;
mod gate;
mod handle;
mod observer;
mod options;
mod pace;
mod queue;
mod shard;
mod start;

pub use clock::{Clock, Driver, STEP_MIN, Step as ClockStep, Wait};
pub use gate::{Arrival, Awaited, Fate, Form, Gate, Judged, Kept, Outcome, Readiness};
pub use handle::{Answering, DrainError, Handle, Phase, Sorter, Status, SubmitError};
pub use observer::{Deaf, Observer};
pub use options::RuntimeOptions;
pub use queue::{Bounds, Depth};
pub use start::{Opened, Running, Setup, StartError};
