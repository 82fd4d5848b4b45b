//! How many inputs a step may take, so that a flood costs the bottom line about one commit.
//!
//! A bottom-line input that comes in while a step is being committed waits for that commit, then for its own. Whatever a
//! commit costs at least (the disk's flush), the first shall not cost much more: so the batch is cut back in proportion
//! when its append took longer than a small one takes twice (or than the span that is granted in any case), and grows
//! by an eighth while it is full and quick. On a fast disk batches become large by themselves, on a slow one too, since there
//! the flush outweighs the writing.

use std::time::Duration;

/// Steps of at most so many inputs tell what a commit costs at least.
const SMALL: usize = 2;

/// No step is cut below this: a shared flush is the point of a batch.
const LEAST: usize = 8;

/// The bound on the inputs of a step, as the journal's speed suggests it.
#[derive(Debug)]
pub struct Pace {
    max: usize,
    granted: Duration,
    /// What a small append takes, smoothed.
    small: Duration,
    inputs: usize,
}

impl Pace {
    /// Begins with `max` inputs, which is also never exceeded; an append of up to `granted` is never too long.
    pub fn new(max: usize, granted: Duration) -> Self {
        Self { max, granted, small: Duration::ZERO, inputs: max }
    }

    /// The bound for the next step.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// An append of a step with so many inputs took so long. One without inputs tells nothing: what fell due wrote it.
    pub fn appended(&mut self, inputs: usize, spent: Duration) {
        if inputs == 0 {
            return;
        }
        if inputs <= SMALL {
            self.small = if self.small.is_zero() { spent } else { (self.small * 7 + spent) / 8 };
            return;
        }
        let enough = self.granted.max(self.small * 2);
        if spent > enough {
            let share = enough.as_secs_f64() / spent.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small count")]
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let cut = (inputs.min(self.inputs) as f64 * share) as usize;
            self.inputs = cut.max(LEAST).min(self.max);
        } else if inputs >= self.inputs {
            self.inputs = (self.inputs + self.inputs / 8 + 1).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The bound that a journal of this speed leads to, when the queue is always full.
    fn settles_at(flush: Duration, each: Duration) -> usize {
        let mut pace = Pace::new(256, 5 * MS);
        let append = |inputs: usize| flush + each * u32::try_from(inputs).unwrap();
        for n in 0..400 {
            let inputs = if n % 50 == 0 { 1 } else { pace.inputs() };
            pace.appended(inputs, append(inputs));
        }
        pace.inputs()
    }

    #[test]
    fn a_quick_journal_takes_all_a_step_may_hold() {
        assert_eq!(settles_at(MS / 2, MS / 100), 256);
    }

    #[test]
    fn where_writing_is_slow_a_step_takes_about_twice_a_flush() {
        let inputs = settles_at(4 * MS, MS / 10);
        assert!((30..=50).contains(&inputs), "{inputs}");
    }

    #[test]
    fn where_the_flush_is_slow_the_batch_stays_large() {
        assert_eq!(settles_at(40 * MS, MS / 10), 256);
    }

    #[test]
    fn it_is_never_cut_below_what_makes_a_batch() {
        assert_eq!(settles_at(MS, 100 * MS), LEAST);
    }
}
