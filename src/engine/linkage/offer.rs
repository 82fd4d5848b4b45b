//! What a post could offer an incident, whatever need it would serve: come at once, be taken from its task, or wait
//! behind it; or why it offers nothing.

use smol_str::{SmolStr, format_smolstr};

use super::Ask;
use crate::engine::fleet::{Duty, Task, Unit, Whereabouts};
use crate::engine::travel::{Roads, Way};
use crate::model::{AreaId, Kind, Lane, Position};
use crate::playbook::Playbook;

/// Why a post is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason<'a> {
    Excluded(&'a SmolStr),
    OffDuty,
    OutsideHours,
    OutOfService,
    ShiftEnds,
    Chosen,
    OtherKind,
    Lacks,
    BeyondReach,
    NoSpeed(Kind),
    NoWay(&'a SmolStr),
    RealTask,
    BottomLineTask,
    OnScene,
    RobbedBefore,
    NoChain,
    QueueFull,
    Busy,
    MovedUp,
    CoversIt,
    NoneToSpare,
    Dearer,
    Farther,
}

impl Reason<'_> {
    /// The reason in short words.
    pub(super) fn words(self) -> SmolStr {
        let fixed = match self {
            Self::Excluded(why) => return why.clone(),
            Self::NoSpeed(kind) => return format_smolstr!("no speed for {kind}"),
            Self::NoWay(barrier) => return format_smolstr!("no way across {barrier}"),
            Self::OffDuty => "off duty",
            Self::OutsideHours => "outside its hours",
            Self::OutOfService => "out of service",
            Self::ShiftEnds => "shift ends",
            Self::Chosen => "serves another need",
            Self::OtherKind => "another kind",
            Self::Lacks => "lacks the capability",
            Self::BeyondReach => "beyond reach",
            Self::RealTask => "on a real task",
            Self::BottomLineTask => "on a bottom-line task",
            Self::OnScene => "on scene elsewhere",
            Self::RobbedBefore => "robbed once already",
            Self::NoChain => "no chain of taking",
            Self::QueueFull => "queue full",
            Self::Busy => "busy",
            Self::MovedUp => "moved up already",
            Self::CoversIt => "covers it already",
            Self::NoneToSpare => "none to spare there",
            Self::Dearer => "costs more",
            Self::Farther => "farther",
        };
        SmolStr::new_static(fixed)
    }
}

/// A trip to the incident: its last leg, and how long until the post is there.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) seconds: f64,
    pub(super) leg: Way,
}

/// What a post could offer. At least one of the three is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer<'a> {
    /// It is idle and comes at once.
    pub(super) comes: Option<Trip>,
    /// It is taken from this task.
    pub(super) taken: Option<(Trip, &'a Task)>,
    /// It comes when its tasks are done, this one last.
    pub(super) waits: Option<(Trip, &'a Task)>,
}

/// What is the same for all posts of one question.
#[derive(Clone, Debug)]
pub(super) struct Terms<'a> {
    pub(super) playbook: &'a Playbook,
    pub(super) ask: &'a Ask<'a>,
    pub(super) roads: Roads<'a>,
    /// A move-up: to cover this area.
    pub(super) cover_of: Option<&'a AreaId>,
}

impl<'a> Terms<'a> {
    pub(super) fn of(playbook: &'a Playbook, ask: &'a Ask<'a>) -> Self {
        Self { playbook, ask, roads: Roads::at(&playbook.travel, ask.local), cover_of: None }
    }

    /// What a post offers that stands so many metres away.
    pub(super) fn offer(&self, unit: &'a Unit, at: Whereabouts, distance_m: f64) -> Result<Offer<'a>, Reason<'a>> {
        if let Some(why) = self.ask.excluded.get(&unit.spec.id) {
            return Err(Reason::Excluded(why));
        }
        if distance_m > self.playbook.cost.reach_m {
            return Err(Reason::BeyondReach);
        }
        self.on_duty(unit)?;
        if let Some(area) = self.cover_of {
            spare(unit, area)?;
        }
        let drill = self.ask.drill;
        if drill && unit.tasks.iter().any(|task| !task.drill) {
            return Err(Reason::RealTask);
        }
        let kind = unit.spec.kind;
        let pace = self.roads.pace(kind).ok_or(Reason::NoSpeed(kind))?;
        let mut tasks = unit.tasks.iter().filter(|task| drill || !task.gives_way()).peekable();
        let Some(&active) = tasks.peek() else {
            let leg = self.leg(at.position, self.ask.target, distance_m)?;
            let seconds = leg.metres * pace + self.roads.turnout_s(kind);
            return Ok(Offer { comes: Some(Trip { seconds, leg }), ..Offer::default() });
        };
        let taken = self.may_take(unit, active).and_then(|()| {
            let leg = self.leg(at.position, self.ask.target, distance_m)?;
            Ok((Trip { seconds: leg.metres * pace, leg }, active))
        });
        let waits = self.wait(tasks, at.position, pace);
        match (taken, waits) {
            (Err(Reason::RealTask), Err(why)) | (Err(why), Err(_)) => Err(why),
            (taken, waits) => Ok(Offer { comes: None, taken: taken.ok(), waits: waits.ok() }),
        }
    }

    fn on_duty(&self, unit: &Unit) -> Result<(), Reason<'a>> {
        match unit.duty {
            Duty::EndsAfterClearing => Err(Reason::ShiftEnds),
            Duty::OutOfService(_) => Err(Reason::OutOfService),
            Duty::Off => Err(Reason::OffDuty),
            Duty::ByHours if !unit.is_on_duty(self.ask.local) => Err(Reason::OutsideHours),
            Duty::ByHours | Duty::On => Ok(()),
        }
    }

    /// Whether the post may be taken from its active task. [`Reason::RealTask`]: only the bottom line takes.
    fn may_take(&self, unit: &Unit, active: &Task) -> Result<(), Reason<'a>> {
        let ask = self.ask;
        if ask.drill || ask.lane != Lane::BottomLine {
            return Err(Reason::RealTask);
        }
        if unit.tasks.iter().any(|task| task.lane == Lane::BottomLine && !task.gives_way()) {
            return Err(Reason::BottomLineTask);
        }
        if !ask.may_preempt {
            return Err(Reason::NoChain);
        }
        if active.robbed {
            return Err(Reason::RobbedBefore);
        }
        if active.is_on_scene() && ask.severity.number() + 2 > active.severity.number() {
            return Err(Reason::OnScene);
        }
        Ok(())
    }

    /// The trip of a post that first does what it has to do: it travels to its active task or handles it, whichever
    /// presumably takes longer, then travels to and handles each waiting one.
    fn wait(
        &self,
        tasks: impl Iterator<Item = &'a Task>,
        from: Position,
        pace: f64,
    ) -> Result<(Trip, &'a Task), Reason<'a>> {
        let (mut at, mut seconds, mut last) = (from, 0.0, None);
        for (before, task) in tasks.enumerate() {
            if before >= self.playbook.limits.queue_max {
                return Err(Reason::QueueFull);
            }
            let leg_s = self.leg(at, task.target, at.distance_m(task.target))?.metres * pace;
            let remaining_s = self.playbook.cost.task_remaining_s[task.severity as usize];
            seconds += if before == 0 { leg_s.max(remaining_s) } else { leg_s + remaining_s };
            (at, last) = (task.target, Some(task));
        }
        let behind = last.ok_or(Reason::QueueFull)?;
        let leg = self.leg(at, self.ask.target, at.distance_m(self.ask.target))?;
        Ok((Trip { seconds: seconds + leg.metres * pace, leg }, behind))
    }

    fn leg(&self, from: Position, to: Position, metres: f64) -> Result<Way, Reason<'a>> {
        self.roads.way(from, to, metres).map_err(|barrier| Reason::NoWay(&barrier.name))
    }
}

/// Whether a post may be asked to cover another area: idle, and not moved up itself.
fn spare<'a>(unit: &Unit, area: &AreaId) -> Result<(), Reason<'a>> {
    if unit.covers() == area {
        return Err(Reason::CoversIt);
    }
    if unit.tasks.iter().any(|task| task.covers.is_some()) {
        return Err(Reason::MovedUp);
    }
    if unit.is_idle() { Ok(()) } else { Err(Reason::Busy) }
}
