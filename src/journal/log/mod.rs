//! The journal by log order: who may write is decided by the log itself.
//!
//! One partition of a log is the journal of one shard. Whoever owns the shard appends one [`Record`] a step; a single
//! record is atomic by nature, so no transaction is needed. Any number of owners may believe that the shard is theirs (a
//! stalled process that wakes up, a partition of the network, an operator's mistake): all of them read the same log, and
//! [`Stand::judge`] tells each of them the same story.
//!
//! # The rule
//! Each record carries `(epoch, owner, step number)`. An owner's name is new at every start.
//! * A **claim** of a higher epoch than the standing one makes its owner the owner. Any other claim is void; so of two
//!   claims with one epoch the first wins.
//! * A **step** stands when it is of the standing epoch and owner and its number is the last accepted one + 1.
//! * A **release** by the standing owner ends its writing: whoever comes next need not wait.
//! * An **acceptance** by an operator closes a hold after the log itself was damaged; see below.
//! * No other record stands whose writer knew of more steps than stand before it.
//!
//! Everything else is void: it is as if it had never been written. A reader that applies the rule from any low-water mark
//! on comes to the same state as one that has read from the beginning.
//!
//! # The owner
//! [`Owner`] is the machine that lives by this rule, without I/O: it is told what was read, what became of an append,
//! what the group says and what time it is; it says what to append, when to read, when a step is accepted.
//! ```text
//!              assigned                end of log               own claim read back, stands
//!  Following ───────────► CatchingUp ────────────► Claiming ──────────────────────────────► Owning
//!      ▲  ▲                 ▲    │ another             │ another's claim stands,              │  │
//!      │  │                 │    │ stands              │ or nobody knows                      │  │
//!      │  │                 │    ▼                     ▼                                      │  │
//!      │  └── revoked ──────│─ Resting (a growing, random rest) ◄────── anything odd, again ──┤  │
//!      │                    └────────────────────────────────────── anything odd, at first ───┘  │
//!      └──────────────────────── released ◄── Releasing ◄────────────────── revoked, stopping ───┘
//! ```
//! An owner acts on a step only when it *knows* that everybody accepts it: its own report is of the current epoch, it is
//! the last accepted step + 1, and its offset is the one right after the last record it has read or accepted (a partition
//! that is neither compacted nor transactional has no gaps, so nobody can have come in between). Whatever else happens has
//! one answer, the *recovery*: stop acting, read to the end, drop the running state, go on from the fold of accepted
//! steps, rewind the inputs to its positions, claim anew with a higher epoch. A crash, a stall, two owners and a troubled
//! broker all take this one way. An error of an append means "unknown", never "absent": what was lost on the way back stands
//! in the log, what was lost on the way there does not, and the claim, once it is read back, has drawn the line between
//! the two: whatever lands after it is of an epoch that is over.
//!
//! An epoch is never claimed twice by one owner, even when it does not know what became of its first claim.
//!
//! *Who gives way.* The group's word is a hint: it may come late, twice, or to two at once. An owner overrules another that
//! stands only when the group has named it since it last owned the shard, or when nothing was read of the other for long.
//! So of two who are both named for good, the one named last owns the shard, and the other looks on. After every setback that
//! was not followed by an accepted step the rests double, and so does the silence after which a living owner with nothing
//! to do is overruled: nobody can be made to write without end.
//!
//! *Nobody waits without end.* A reading that brings nothing is begun anew, an append of which nothing is reported counts as
//! failed, an owner with nothing to write looks now and then whether the shard is still its own, and a claim that
//! stands when its owner leaves is released, so that whoever comes next does not take it for alive.
//!
//! # The journal sweeps itself
//! [`Fold`] is the state that the log means: the newest version of each live document, the positions, the steps whose
//! effects are not known to be emitted. Each is remembered with its offset; the lowest of them is the low-water mark
//! [`Low`], which every record carries. Each step re-appends a few documents that have not been written for long, so the
//! mark moves on; what lies below a mark *that an accepted record carries* may be trimmed.
//!
//! [`Restore`] reads from a mark to the end. Every mark speaks truly of what its writer had read, but only an accepted
//! record says that nothing is needed from before, and only a mark that agrees with what was read is of this log; so a
//! restore is complete when an accepted record carries a mark at or above its beginning that says what it says, else the
//! next way is tried. A hint from outside, of whatever age, can cost time and nothing else.
//!
//! # When the log itself is wrong
//! A log that is shorter than what was accepted, or that begins above what we need, has lost records (an unclean
//! election, a disk that was cut back, a retention that should not be). No rule can mend that, but it can be seen: the log
//! ends before what was read, or what is known from outside to have been emitted, for longer than a new leader needs to
//! learn where it ends; another record stands where the last one was read (it is read once more each time); an append lands
//! below what is known; a record knows of more than stands before it, or of an epoch that nobody has claimed. Then the
//! shard is **held**: nothing is decided, nothing leaves, other shards go on, until an operator accepts the loss with a
//! reason. That acceptance is a record in the log: it says from where on what is left is the state, everybody begins
//! there, and the numbers go on above all that was ever given out; it ends only holds whose numbers it covers. A log that
//! only seemed too short is gone on with by itself.
//!
//! # Left out
//! Kafka (that is the shell's: `kafka`), and the engine (what a step holds is decided elsewhere).

mod fold;
mod owner;
mod record;
mod restore;
mod rule;
#[cfg(test)]
mod tests;

pub use fold::{Fold, Missing};
pub use owner::{Action, Alarm, Owner, OwnerOptions, Phase, SILENCE_DOUBLINGS_MAX, SKEW_DOUBLINGS_MAX, Token, Why};
pub use record::{Low, Malformed, OwnerName, RECORD_VERSION, Record, RecordBody};
pub use restore::{Restore, Want};
pub use rule::{Stand, Verdict, Void};
