//! The picture: how far this node knows what all shards decided, and how old that knowledge is.
//!
//! Filled by the follower's thread; asked by readers, by the gate, and by a shard that takes over and wants a warm copy
//! of its state. The age is that of the shard of which least is known: since when something may have been decided
//! that is not here. It is small while brokers answer (they are asked several times a second where each log ends), and
//! grows when they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use smol_str::SmolStr;

use super::folds::Standby;
use super::track::{Stage, Track};
use crate::journal::log::{Fold, Low};
use crate::model::{Millis, Timestamp};
use crate::runtime::{Clock, Kept};
use crate::wire::Shard;

/// What is known of a shard is as good as its present state for so long: brokers are asked four times a second.
const NEW: Millis = Millis(1_500);
/// Brokers that said nothing for so long are away.
const AWAY_AFTER: Millis = Millis(5_000);

/// What is known here of all shards. Cheap to clone; all clones are one picture.
#[derive(Clone)]
pub struct Picture(Arc<Inner>);

struct Inner {
    clock: Clock,
    tracks: Vec<Mutex<Track>>,
    /// When the brokers were last asked something that they answered.
    answered: Mutex<Option<Timestamp>>,
    /// The last round of questions went without any answer.
    silence: AtomicBool,
    /// The phases of this node's own shards.
    phases: Mutex<BTreeMap<u32, SmolStr>>,
    /// Shards whose restored state readers see.
    shown: Mutex<BTreeSet<u32>>,
}

impl Picture {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(shards: u32, clock: Clock) -> Self {
        let tracks = (0..shards).map(|number| Mutex::new(Track::new(Shard { number, of: shards }))).collect();
        let (answered, phases, shown) = (Mutex::default(), Mutex::default(), Mutex::default());
        let silence = AtomicBool::new(false);
        Self(Arc::new(Inner { clock, tracks, answered, silence, phases, shown }))
    }

    // In

    /// A shard of this node came to this phase; `None`: it is no longer ours.
    pub fn own_phase(&self, shard: u32, phase: Option<&str>) {
        let mut phases = lock(&self.0.phases);
        match phase {
            Some(phase) => _ = phases.insert(shard, phase.into()),
            None => _ = phases.remove(&shard),
        }
    }

    /// The brokers answered a question that was asked then.
    pub(super) fn answered(&self, asked: Timestamp) {
        *lock(&self.0.answered) = Some(asked);
    }

    /// Whether the last round of questions went without any answer.
    pub(super) fn silence(&self, silence: bool) {
        self.0.silence.store(silence, Ordering::Release);
    }

    /// What the restore of a shard came to is shown to readers.
    pub(super) fn shown(&self, shard: u32) {
        lock(&self.0.shown).insert(shard);
    }

    pub(super) fn track(&self, shard: u32) -> Option<MutexGuard<'_, Track>> {
        self.0.tracks.get(usize::try_from(shard).ok()?).map(lock)
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = MutexGuard<'_, Track>> {
        self.0.tracks.iter().map(lock)
    }

    // Look

    /// Whether all that was there when we came has been read, once, and readers see it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        lock(&self.0.shown).len() == self.0.tracks.len() && self.age().is_some()
    }

    /// Whether the brokers have answered lately.
    #[must_use]
    pub fn brokers_answer(&self) -> bool {
        let answered = *lock(&self.0.answered);
        answered.is_some_and(|asked| self.0.clock.now().since(asked) < AWAY_AFTER)
    }

    /// How old the picture is; `None` until it was whole once.
    #[must_use]
    pub fn age(&self) -> Option<Millis> {
        let now = self.0.clock.now();
        let ages = self.tracks().map(|track| track.current().map(|current| now.since(current)));
        ages.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Whether a shard has been released and nobody has claimed it since. Who looks at an old picture does not know: the
    /// next owner may have claimed it long ago, and would be overruled.
    #[must_use]
    pub fn is_free(&self, shard: u32) -> bool {
        let now = self.0.clock.now();
        self.track(shard).is_some_and(|track| {
            let stand = track.fold().stand();
            let is_new = track.current().is_some_and(|current| now.since(current) < NEW);
            is_new && *track.stage() == Stage::Following && stand.epoch > 0 && stand.owner.is_nobody()
        })
    }

    /// Whether the input at this place is decided; `None` where there is no such place.
    #[must_use]
    pub fn is_decided(&self, kept: &Kept) -> Option<bool> {
        let track = self.track(kept.partition)?;
        let next = track.fold().positions().get(&kept.door).copied().unwrap_or(0);
        let ahead = track.fold().ahead().get(&kept.door).is_some_and(|ahead| ahead.contains(&kept.offset));
        Some(kept.offset < next || ahead)
    }

    /// Each shard as it is known here, for people.
    #[must_use]
    pub fn told(&self) -> Value {
        let now = self.0.clock.now();
        let phases = lock(&self.0.phases).clone();
        let shard = |track: MutexGuard<'_, Track>| {
            let number = track.shard().number;
            let stand = track.fold().stand();
            let why = if let Stage::Broken { why, .. } = track.stage() { Some(why.clone()) } else { None };
            let restoring = matches!(track.stage(), Stage::Restoring { .. });
            let owner = Some(stand.owner.as_str()).filter(|owner| !owner.is_empty());
            json!({
                "shard": number, "picture": track.stage().as_str(), "why": why, "own": phases.get(&number),
                "owner": owner, "epoch": stand.epoch, "step": stand.step,
                "at": (stand.step > 0).then(|| stand.at.to_rfc3339()),
                "lag": track.lag(), "age_ms": track.current().map(|current| now.since(current).0),
                "progress": restoring.then(|| track.progress()),
            })
        };
        self.tracks().map(shard).collect()
    }
}

impl Standby for Picture {
    fn standby(&self, shard: u32) -> Option<Fold> {
        let track = self.track(shard)?;
        (*track.stage() == Stage::Following).then(|| track.fold().clone())
    }

    /// None: a head outlives the log it speaks of, and a restore finds a mark by itself.
    fn hint(&self, _: u32) -> Option<Low> {
        None
    }

    fn known(&self, shard: u32) -> u64 {
        self.track(shard).map_or(0, |track| track.known().step)
    }

    fn brokers_silent(&self) -> bool {
        self.0.silence.load(Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::track::Bounds;

    #[test]
    fn the_age_is_that_of_the_shard_of_which_least_is_known() {
        let (clock, driver) = Clock::driven(Timestamp(1_000));
        let picture = Picture::new(2, clock);
        assert_eq!((picture.is_whole(), picture.age(), picture.brokers_answer()), (false, None, false));
        for shard in 0..2 {
            let mut track = picture.track(shard).unwrap();
            for asked in [1_000, 1_000 + i64::from(shard) * 100] {
                track.bounded(Bounds { first: 0, end: 0, asked: Timestamp(asked) });
                track.settled(Timestamp(asked));
            }
        }
        picture.answered(Timestamp(1_100));
        assert!(!picture.is_whole(), "read, and not shown yet");
        picture.shown(0);
        picture.shown(1);
        driver.set(Timestamp(1_250));
        assert_eq!((picture.is_whole(), picture.age(), picture.brokers_answer()), (true, Some(Millis(250)), true));
        driver.set(Timestamp(7_000));
        assert!(!picture.brokers_answer());
        assert_eq!(picture.age(), Some(Millis(6_000)), "the picture is shown, and says how old it is");
        picture.own_phase(1, Some("owning"));
        let told = picture.told();
        assert_eq!((&told[1]["own"], &told[0]["picture"]), (&json!("owning"), &json!("following")));
        assert_eq!(told[0]["age_ms"], json!(6_000));
        let kept = |partition| Kept { door: "reports".into(), partition, offset: 3 };
        assert_eq!((picture.is_decided(&kept(1)), picture.is_decided(&kept(2))), (Some(false), None));
        assert!(picture.standby(0).is_some() && picture.standby(2).is_none());
    }
}
