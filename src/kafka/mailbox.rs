//! What a shard's thread waits for, in one place: words of the node, reports of its appends, messages of its inputs.
//!
//! Words and reports always find room: there are as many as the node says and as steps are under way. Messages do not: at
//! the bound whoever reads them is told so and reads that door no further, until there is room again. So a door that
//! floods holds up nothing but itself, and nothing is ever dropped.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::inbox::{Door, Message};
use crate::journal::log::Token;
use crate::model::Timestamp;

/// One thing to hear of.
#[derive(Debug)]
pub enum Mail {
    /// The group says that the shard is ours.
    Assign,
    /// The group says that it is not.
    Revoke,
    /// The node ends: release the shard, then end.
    Stop,
    /// Nobody owns the shard; whoever is first may have it until the group has decided.
    Free,
    /// The effects of all steps up to this one have left the house.
    Emitted(u64),
    /// What became of an append: where it landed and the log's time there, or nobody knows.
    Reported(Token, Option<(u64, Timestamp)>),
    /// This append was refused because its record is so many bytes large; its report follows.
    TooLarge(Token, usize),
    /// An append failed, for this reason: to be counted.
    Failed(&'static str),
    /// Something odd was seen: another leader, a producer that gave up, an input that stands still.
    Disturbed(&'static str),
    /// The log of a door, as reading began: its first offset and its end.
    Opened(Generation, Door, u64, u64),
    /// The log of a door has lost its end: it is read again from here.
    Cut(Generation, Door, u64),
    /// Messages of a door, in order; the offset after the last one read of it.
    Messages(Generation, Door, Vec<Message>, u64),
    /// Bottom-line reports from farther on, read out of turn.
    Ahead(Generation, Vec<Message>),
    /// The log of reports is long: nothing ordinary is decided before the scout has been to its end.
    Scouting(Generation),
    /// The scout has been to the end that the log had when it began.
    Scouted(Generation),
    /// An input does not hold what comes after where it was decided to: it begins above that, or ends before it.
    Lost(Generation, Door, u64),
}

/// A reading of the inputs, from one take-over to the next; mail of an earlier one says nothing.
pub type Generation = u64;

/// The mailbox of a shard.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    bell: Condvar,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    words: VecDeque<Mail>,
    messages: VecDeque<Mail>,
    bytes: usize,
    /// Doors whose messages wait elsewhere, because the shard says so.
    shut: bool,
}

impl Mailbox {
    /// An empty one that holds at most so many bytes of messages.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bell: Condvar::new(), bytes_max }
    }

    /// Says something that always finds room.
    pub fn say(&self, mail: Mail) {
        self.lock().words.push_back(mail);
        self.bell.notify_one();
    }

    /// Hands over messages. Whether more of this kind may follow now.
    pub fn post(&self, mail: Mail) -> bool {
        let mut state = self.lock();
        state.bytes += bytes(&mail);
        state.messages.push_back(mail);
        let room = state.has_room(self.bytes_max);
        drop(state);
        self.bell.notify_one();
        room
    }

    /// Whether messages find room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lock().has_room(self.bytes_max)
    }

    /// The shard can take no more messages for now, or can again.
    pub fn shut(&self, shut: bool) {
        self.lock().shut = shut;
    }

    /// All that has come, after waiting at most so long for anything: words first, then messages in order.
    pub fn wait(&self, at_most: Duration) -> Vec<Mail> {
        let state = self.lock();
        let idle = |s: &mut State| s.words.is_empty() && s.messages.is_empty();
        let waited = self.bell.wait_timeout_while(state, at_most, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.bytes = 0;
        let mut mail: Vec<Mail> = state.words.drain(..).collect();
        mail.extend(state.messages.drain(..));
        mail
    }

    /// Bytes of messages that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, bytes_max: usize) -> bool {
        !self.shut && self.bytes < bytes_max
    }
}

fn bytes(mail: &Mail) -> usize {
    match mail {
        Mail::Messages(_, _, messages, _) | Mail::Ahead(_, messages) => messages.iter().map(|m| m.bytes).sum(),
        _ => 0,
    }
}
