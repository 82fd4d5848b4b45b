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
//!      ▲  ▲                  ▲                         │ another's claim won                  │  │
//!      │  └── revoked ───────┼─────────────────────────┴──► Resting (a growing, random rest) ─┘  │
//!      │                     └── anything odd: an error, an unknown offset, a gap ◄──────────────┤
//!      └──────────────────────── released ◄── Releasing ◄────────────────── revoked, stopping ───┘
//! ```
//! An owner acts on a step only when it *knows* that everybody accepts it: its own report is of the current epoch, it is
//! the last accepted step + 1, and its offset is the one right after the last record it has read or accepted (a partition
//! that is neither compacted nor transactional has no gaps, so nobody can have come in between). Whatever else happens has one answer,
//! the *recovery*: stop acting, read to the end, drop the running state, go on from the fold of accepted steps, rewind
//! the inputs to its positions, claim anew with a higher epoch. A crash, a stall, two owners and a troubled broker all
//! take this one way. An error of an append means "unknown", never "absent".
//!
//! An epoch is never claimed twice by one owner, even when it does not know what became of its first claim.
//!
//! # The journal sweeps itself
//! [`Fold`] is the state that the log means: the newest version of each live document, the positions, the steps whose
//! effects are not known to be emitted. Each is remembered with its offset; the lowest of them is the low-water mark
//! [`Low`], which every record carries. Each step re-appends a few documents that have not been written for long, so the
//! mark moves on; what lies below it may be trimmed. A restore reads from a mark to the end, and is complete only if it
//! began at or below the mark of the newest accepted record.
//!
//! # When the log itself is wrong
//! A log that is shorter than what was accepted, or that begins above what we need, has lost records (an unclean
//! election, a disk that was cut back, a retention that should not be). No rule can mend that. The shard is **held**: nothing
//! is decided, nothing leaves, other shards go on, until an operator accepts the loss with a reason; that acceptance is a
//! record in the log, so everybody hears of it, and the numbers go on above all that was ever given out.
//!
//! # Left out
//! Kafka (that is the shell's: `kafka`), and the engine (what a step holds is decided elsewhere).

mod fold;
mod owner;
mod record;
mod restore;
mod rule;

pub use fold::{Fold, Missing};
pub use owner::{Action, Alarm, Owner, OwnerOptions, Phase, SILENCE_DOUBLINGS_MAX, SKEW_DOUBLINGS_MAX, Token, Why};
pub use record::{Low, Malformed, OwnerName, RECORD_VERSION, Record, RecordBody};
pub use restore::{Restore, Want};
pub use rule::{Stand, Verdict, Void};
