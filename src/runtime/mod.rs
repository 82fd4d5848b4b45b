//! The runtime: one thread a shard, the work queue before it, the one real clock, start and drain.

mod clock;
mod handle;
mod options;
mod queue;

pub use clock::{Clock, Driver, STEP_MIN, Step as ClockStep, Wait};
pub use handle::{Answering, DrainError, Handle, Phase, Sorter, Status, SubmitError};
pub use options::RuntimeOptions;
pub use queue::{Bounds, Depth};
