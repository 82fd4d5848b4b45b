//! Access: who may do what, where; and the trail of who did it. Deny by default.
//!
//! # The nouns
//! A [`Principal`] is whoever speaks at the door: a desk, a post's terminal, a producer, a scraper. Never a person: there is
//! no name and no identity to be kept, a token belongs to a *place of work* and is called so, `desk-fire-2`. Its [`Role`]
//! says what it may do: one table, role × [`Permission`] (`role`). Its areas say where: command areas, counties or
//! assessed areas, or `*`. A post acts as itself and reads its own orders; a producer reports under its own source.
//!
//! # One request
//! ```text
//! credentials ──► authenticate ──► Caller ──► may(permission) ──► scope of what is asked ──► the handler
//!  bearer or        │ 401            │ 403          │ 403              │ 404 or left out
//!  cookie           └──────── each refusal: one line in the trail ─────┘
//! ```
//! *Tokens* (`token`, `keyring`) are 256 random bits, shown once as `mst_<id>_<secret>`. The file holds their SHA-256; a
//! token is compared with every hash of its principal, in constant time and without an early exit, and with a hash of nobody
//! where there is no such principal. Two tokens of one principal may be good at once, so that one is exchanged without a gap.
//! The file is read again when it changes; a file that cannot be read changes nothing and is said in the log.
//!
//! *Sessions* (`session`) are for pages: a token once, then a cookie that scripts cannot read and other sites cannot send.
//! They are kept in memory, as hashes; a session ends with the token that began it.
//!
//! *Failures* (`failures`) are counted by address: beyond a rate the door answers 429 and the trail gets one line for many.
//! A good token always passes: nobody is locked out by whoever guesses beside them.
//!
//! *The trail* (`audit`) is a file of JSON lines, each with the hash of the one before.
//!
//! # What always holds
//! * No secret is in a log line, in the trail, in an error, or in a `Debug`.
//! * Every refusal is told alike (`401`); which kind it was stands in the trail alone.
//! * Whoever loses its token loses its sessions and streams, after `reload_every` at the latest.
//! * Without `[access] tokens` there is no access control, the door stays on loopback, and everybody is the principal `open`.
//!
//! Left out: people, passwords, single sign-on; sessions shared between nodes (sign in on each).

mod audit;
mod credentials;
mod failures;
mod keyring;
mod principal;
mod role;
mod session;
mod token;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use tracing::{error, info};

pub use audit::verify::{Finding, Head, Report, verify};
pub use audit::{Entry, Line, Trail, TrailError, now, rotated, target};
pub use credentials::{COOKIE, Credentials};
use failures::Failures;
pub use keyring::{Entry as Listed, Held, Keyring, KeyringError, edit};
pub use principal::{ID_RULE, Principal, is_id};
pub use role::{Permission, Role};
use session::Sessions;
pub use session::{Begun, Full};
pub use token::{Secret, Token, TokenHash, is_same};

use crate::model::{Millis, Timestamp};

/// `[access]`: who may do what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The file of tokens (their hashes), made by `muster token`. Empty: no access control, loopback only.
    pub tokens: PathBuf,
    /// The trail of who did what. Must be named where `tokens` is.
    pub audit: PathBuf,
    /// The trail goes on in a new file beyond so many bytes; files that are full stay beside it.
    pub audit_bytes_max: NonZeroU64,
    /// The trail is flushed to disk so often; a line is in the file before its request is answered.
    pub audit_flush_every: Millis,
    /// How often files of tokens and certificates are looked at for changes.
    pub reload_every: Millis,
    /// A session that asks nothing for so long ends.
    pub session_idle: Millis,
    /// A session ends after so long in any case.
    pub session_age_max: Millis,
    /// Sessions at once.
    pub sessions_max: usize,
    /// Sessions of one principal at once; beyond it, the one that rested longest ends.
    pub sessions_per_principal_max: NonZeroUsize,
    /// Streams of one principal at once.
    pub streams_per_principal_max: NonZeroUsize,
    /// Failed attempts a minute from one address that are answered and written down one by one.
    pub failures_per_minute: NonZeroU32,
    /// Addresses told apart by that.
    pub failure_addresses_max: usize,
    /// Requests a second of one principal, apart from reports, acts, positions and commands.
    pub rate_per_principal: NonZeroU32,
    /// So many at once.
    pub rate_burst: NonZeroU32,
}

impl Default for Options {
    fn default() -> Self {
        const fn n(n: u32) -> NonZeroU32 {
            NonZeroU32::new(n).expect("a constant above zero")
        }
        Self {
            tokens: PathBuf::new(),
            audit: PathBuf::new(),
            audit_bytes_max: const { NonZeroU64::new(64 * 1024 * 1024).expect("a constant above zero") },
            audit_flush_every: Millis::from_secs(1),
            reload_every: Millis::from_secs(2),
            session_idle: Millis::from_mins(30),
            session_age_max: Millis::from_secs(12 * 3600),
            sessions_max: 2_000,
            sessions_per_principal_max: const { NonZeroUsize::new(16).expect("a constant above zero") },
            streams_per_principal_max: const { NonZeroUsize::new(64).expect("a constant above zero") },
            failures_per_minute: n(60),
            failure_addresses_max: 10_000,
            rate_per_principal: n(200),
            rate_burst: n(400),
        }
    }
}

impl Options {
    /// Whether there is to be access control.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.tokens.as_os_str().is_empty()
    }
}

/// Why access control cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file of tokens.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The trail.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// Tokens without a trail.
    #[error(
        "[access] tokens is set and [access] audit is not: who did what would be written nowhere; name a file, such as \
         audit = \"data/audit.jsonl\""
    )]
    NoTrail,
}

/// Why somebody is not let in. What is answered is the same for all; the trail says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Neither a token nor a session.
    Missing,
    /// No token of ours by its form.
    Malformed,
    /// No principal of that name.
    Unknown,
    /// Not its secret, or one that was exchanged long ago.
    Wrong,
    /// Its time is over, or the overlap of an exchange.
    Expired,
    /// Taken back.
    Revoked,
    /// No session of ours, or one that ended.
    NoSession,
}

impl Denial {
    /// A stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::NoSession => "no-session",
        }
    }
}

/// Somebody who was not let in: whom it claimed to be, if there is such a one, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// A principal of ours, or `?`.
    pub claimed: SmolStr,
    /// Why.
    pub why: Denial,
}

/// Whoever speaks, known and let in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Arc<Principal>,
    proof: Proof,
}

/// By what somebody is known.
#[derive(Clone, Debug)]
enum Proof {
    /// There is no access control.
    Open,
    /// A token.
    Token(TokenHash),
    /// A session.
    Session(TokenHash),
}

impl Caller {
    /// The principal of a door without access control.
    #[must_use]
    pub fn open() -> Self {
        Self { principal: Arc::new(Principal::open()), proof: Proof::Open }
    }

    /// Whether its role may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.principal.role.may(permission)
    }

    /// Whether it came with a cookie, which a browser sends unasked.
    #[must_use]
    pub fn is_session(&self) -> bool {
        matches!(self.proof, Proof::Session(_))
    }
}

/// Access control at work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    /// Where there is access control.
    keyring: Option<ArcSwap<Keyring>>,
    sessions: Mutex<Sessions>,
    failures: Failures,
    seats: Mutex<BTreeMap<SmolStr, usize>>,
    trail: Option<Trail>,
    /// Serializes looking at the files.
    watch: Mutex<keyring::Seen>,
}

impl Access {
    /// No access control and no trail: everybody is [`Principal::open`].
    #[must_use]
    pub fn open() -> Self {
        Self::made(Options::default(), None, None, keyring::Seen::default())
    }

    /// Reads the file of tokens and goes on with the trail.
    ///
    /// # Errors
    /// When either cannot be used.
    pub fn start(options: &Options, now: Timestamp) -> Result<Self, AccessError> {
        let named = |path: &Path| !path.as_os_str().is_empty();
        if named(&options.tokens) && !named(&options.audit) {
            return Err(AccessError::NoTrail);
        }
        let trail = named(&options.audit).then(|| Trail::open(&options.audit, options.audit_bytes_max.get()));
        let trail = trail.transpose()?;
        let mut seen = keyring::Seen::default();
        let keyring = match named(&options.tokens) {
            true => {
                seen = keyring::Seen::of(&options.tokens);
                Some(Keyring::read(&options.tokens)?)
            }
            false => None,
        };
        let access = Self::made(options.clone(), keyring, trail, seen);
        if let Some(keyring) = access.keyring() {
            access.note_keyring(&keyring, now);
        }
        Ok(access)
    }

    fn made(options: Options, keyring: Option<Keyring>, trail: Option<Trail>, seen: keyring::Seen) -> Self {
        Self(Arc::new(Inner {
            sessions: Mutex::new(Sessions::new(&options)),
            failures: Failures::new(options.failures_per_minute, options.failure_addresses_max),
            seats: Mutex::default(),
            keyring: keyring.map(ArcSwap::from_pointee),
            trail,
            watch: Mutex::new(seen),
            options,
        }))
    }

    /// Whether there is access control.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.keyring.is_some()
    }

    /// What is set.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The tokens in force.
    #[must_use]
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        self.0.keyring.as_ref().map(ArcSwap::load_full)
    }

    // Who comes in

    /// Says who speaks.
    ///
    /// # Errors
    /// Whoever is not let in, and why.
    pub fn authenticate(&self, given: &Credentials<'_>, now: Timestamp) -> Result<Caller, Denied> {
        let Some(keyring) = self.keyring() else { return Ok(Caller::open()) };
        match given {
            Credentials::None => Err(Denied { claimed: "?".into(), why: Denial::Missing }),
            Credentials::Malformed => Err(Denied { claimed: "?".into(), why: Denial::Malformed }),
            Credentials::Bearer(text) => {
                let (principal, hash) = keyring.check(text, now)?;
                Ok(Caller { principal, proof: Proof::Token(hash) })
            }
            Credentials::Cookie(secret) => self.resume(&keyring, secret, now),
        }
    }

    fn resume(&self, keyring: &Keyring, secret: &str, now: Timestamp) -> Result<Caller, Denied> {
        let key = TokenHash::of(secret);
        let mut sessions = self.sessions();
        let denied = |claimed: Option<&SmolStr>| Denied {
            claimed: claimed.cloned().unwrap_or_else(|| "?".into()),
            why: Denial::NoSession,
        };
        let session = sessions.touch(&key, now).ok_or_else(|| denied(None))?;
        match keyring.still(&session.principal, &session.token, now) {
            Ok(principal) => Ok(Caller { principal, proof: Proof::Session(key) }),
            Err(why) => {
                sessions.end(&key);
                Err(Denied { why, ..denied(Some(&session.principal)) })
            }
        }
    }

    /// Whether whoever was let in still would be. For what lasts, such as a stream.
    #[must_use]
    pub fn is_live(&self, caller: &Caller, now: Timestamp) -> bool {
        let (Some(keyring), id) = (self.keyring(), &caller.principal.id) else { return true };
        let token = match &caller.proof {
            Proof::Open => return false,
            Proof::Token(token) => *token,
            Proof::Session(key) => match self.sessions().touch(key, now) {
                Some(session) => session.token,
                None => return false,
            },
        };
        // Whoever may see something else now comes again and is told that.
        keyring.still(id, &token, now).is_ok_and(|principal| *principal == *caller.principal)
    }

    /// A place for one more stream of this principal, if it has one left.
    #[must_use]
    pub fn seat(&self, caller: &Caller) -> Option<Seat> {
        let id = caller.principal.id.clone();
        let mut seats = self.seats();
        let taken = seats.entry(id.clone()).or_default();
        if self.is_on() && *taken >= self.0.options.streams_per_principal_max.get() {
            return None;
        }
        *taken += 1;
        Some(Seat { access: self.clone(), id })
    }

    // Sessions

    /// Begins a session with a token.
    ///
    /// # Errors
    /// Whoever is not let in; or there are too many sessions.
    pub fn sign_in(&self, token: &str, now: Timestamp) -> Result<Result<Begun, Full>, Denied> {
        let Some(keyring) = self.keyring() else { return Err(Denied { claimed: "?".into(), why: Denial::Unknown }) };
        let (principal, hash) = keyring.check(token, now)?;
        Ok(self.sessions().begin(principal, hash, now))
    }

    /// Ends the session of this caller, if it has one.
    pub fn sign_out(&self, caller: &Caller) -> bool {
        match &caller.proof {
            Proof::Session(key) => self.sessions().end(key),
            _ => false,
        }
    }

    /// When the session of this caller ends at the latest.
    #[must_use]
    pub fn session_end(&self, caller: &Caller) -> Option<Timestamp> {
        match &caller.proof {
            Proof::Session(key) => self.sessions().get(key).map(|s| s.ends),
            Proof::Token(hash) => self.keyring()?.expiry(&caller.principal.id, hash),
            Proof::Open => None,
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions().len()
    }

    // What is written down

    /// Writes a line into the trail, if there is one. A line that cannot be written does not hold up what it is about: the
    /// gap is said in the log, counted, and stands in the trail as soon as it can be written again.
    pub fn record(&self, entry: &Entry<'_>) {
        if let Some(trail) = &self.0.trail {
            trail.append(entry);
        }
    }

    /// Whether there is a trail.
    #[must_use]
    pub fn has_trail(&self) -> bool {
        self.0.trail.is_some()
    }

    /// How many lines of the trail could not be written since the start.
    #[must_use]
    pub fn lines_lost(&self) -> u64 {
        self.0.trail.as_ref().map_or(0, Trail::lost)
    }

    /// Counts a failed attempt from an address: it is answered and written down by itself, or, beyond the rate, has to wait.
    ///
    /// # Errors
    /// The time to wait.
    pub fn failed(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        self.0.failures.admit(from)
    }

    // On a timer; blocks on files

    /// Reads the tokens again where their file changed, ends what is over, flushes the trail.
    pub fn tick(&self, now: Timestamp) {
        self.reload(now);
        self.sessions().sweep(now);
        if let Some(held_back) = self.0.failures.sweep() {
            let outcome = format!("429 held-back {held_back}");
            self.record(&Entry {
                at: now,
                principal: "?",
                action: "access",
                target: "",
                outcome: &outcome,
                from: None,
            });
        }
        if let Some(trail) = &self.0.trail {
            trail.flush();
        }
    }

    fn reload(&self, now: Timestamp) {
        let Some(slot) = &self.0.keyring else { return };
        let mut seen = self.0.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = keyring::Seen::of(&self.0.options.tokens);
        if *seen == newest {
            return;
        }
        *seen = newest;
        match Keyring::read(&self.0.options.tokens) {
            Ok(keyring) => {
                let keyring = Arc::new(keyring);
                slot.store(Arc::clone(&keyring));
                self.note_keyring(&keyring, now);
            }
            Err(why) => error!(%why, "access.tokens_unread: the tokens read before stay in force"),
        }
    }

    fn note_keyring(&self, keyring: &Keyring, now: Timestamp) {
        let (count, hash) = (keyring.len(), keyring.hash());
        info!(principals = count, hash, "access.tokens_read");
        let outcome = format!("{count} principals");
        self.record(&Entry {
            at: now,
            principal: "muster",
            action: "tokens.read",
            target: hash,
            outcome: &outcome,
            from: None,
        });
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, BTreeMap<SmolStr, usize>> {
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A principal's place at the stream; given up when it goes.
#[derive(Debug)]
pub struct Seat {
    access: Access,
    id: SmolStr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.access.seats();
        let left = seats.get(&self.id).map_or(0, |taken| taken - 1);
        if left == 0 {
            seats.remove(&self.id);
        } else {
            seats.insert(self.id.clone(), left);
        }
    }
}
