//! The timeline in words: one line a happening, as scenarios, the terminal and the timeline route show it.
//!
//! A line begins with what happened, then names what it happened to, then says why: a dispatcher who is woken at three
//! reads the first two words. Free text is never among the words; a line says only that something was said and how long
//! it was. Instants are shown by a [`Clock`] that the reader brings, since a scenario counts seconds from its start, a
//! screen shows local time, and an entry by itself knows neither.

use std::fmt::{self, Display, Formatter};

use super::timeline::{Actor, Entry, Lateness, Weighed, What};
use crate::model::{
    AreaId, Classification, EventId, IncidentId, Lane, Millis, ModifierHit, OrderId, Severity, SeverityStep, SourceId,
    Timestamp,
};

/// How instants are shown.
#[derive(Clone, Copy, Debug)]
pub enum Clock<'a> {
    /// As UTC, `08:00:36Z`.
    Utc,
    /// As the clock on the wall of this zone, `16:00:36`.
    Wall(&'a jiff::tz::TimeZone),
    /// As the time gone by since then, `+36s`.
    Since(Timestamp),
}

impl Clock<'_> {
    /// This instant in words.
    #[must_use]
    pub fn show(self, at: Timestamp) -> String {
        match self {
            Self::Since(start) if at < start => format!("-{}", elapsed(start.since(at))),
            Self::Since(start) => format!("+{}", elapsed(at.since(start))),
            Self::Utc => format!("{}Z", wall(at, &jiff::tz::TimeZone::UTC)),
            Self::Wall(zone) => wall(at, zone),
        }
    }
}

fn wall(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    zone.to_datetime(instant).strftime("%H:%M:%S").to_string()
}

/// A span as people count it: seconds up to ten minutes (`36s`, `180s`), then `12min30s`, `2h`, `3d4h`.
#[must_use]
pub fn elapsed(span: Millis) -> String {
    let (secs, ms) = (span.0 / 1000, span.0 % 1000);
    if secs <= 600 {
        return if ms == 0 { format!("{secs}s") } else { format!("{}s", span.as_secs_f64()) };
    }
    let parts = [(secs / 86_400, "d"), (secs / 3600 % 24, "h"), (secs / 60 % 60, "min"), (secs % 60, "s")];
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
}

/// An entry with the clock it is read by.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    what: &'a What,
    entry: Option<&'a Entry>,
    clock: Clock<'a>,
}

impl Entry {
    /// The line of this entry, without its instant.
    #[must_use]
    pub fn words<'a>(&'a self, clock: Clock<'a>) -> Words<'a> {
        Words { what: &self.what, entry: Some(self), clock }
    }
}

/// The line by itself: without the incident, with instants in UTC.
impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Words { what: self, entry: None, clock: Clock::Utc }.fmt(f)
    }
}

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.entry.is_some_and(|entry| entry.drill) {
            f.write_str("DRILL ")?;
        }
        self.happening(f)?;
        match self.entry.map(|entry| &entry.by) {
            Some(Actor::Seat(seat)) => write!(f, "  by={seat}"),
            _ => Ok(()),
        }
    }
}

impl Words<'_> {
    /// `incident=1`, where the entry belongs to one.
    fn at(&self) -> String {
        self.incident().map_or_else(String::new, |id| format!(" incident={id}"))
    }

    fn incident(&self) -> Option<&IncidentId> {
        self.entry.and_then(|entry| entry.incident.as_ref())
    }

    /// `order=1-1` of an order's mark, `incident=1` of an incident's.
    fn of(&self, order: Option<&OrderId>) -> String {
        order.map_or_else(|| self.at(), |order| format!(" order={order}"))
    }

    fn happening(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Opened { .. }
            | What::Joined { .. }
            | What::Suggested { .. }
            | What::Folded { .. }
            | What::LateReport { .. }
            | What::Repeated { .. }
            | What::Forwarded { .. } => self.of_reports(f),
            What::Ordered { .. }
            | What::Recalled { .. }
            | What::Acted { .. }
            | What::Said { .. }
            | What::Expired { .. }
            | What::Delivery { .. }
            | What::Shortfall { .. }
            | What::PreEmpted { .. }
            | What::MovedUp { .. }
            | What::Duty { .. } => self.of_posts(f),
            What::Warning { .. }
            | What::Kept { .. }
            | What::Missed { .. }
            | What::ReachedLate { .. }
            | What::NobodyReached { .. }
            | What::Held { .. }
            | What::Outage { .. } => self.of_marks(f),
            What::AllCallBegan { .. }
            | What::AllCallAnswered { .. }
            | What::AllCallEnded { .. }
            | What::AgencyTold { .. }
            | What::Noticed { .. }
            | What::NoticeTaken { .. }
            | What::NoticePassed { .. }
            | What::Silenced { .. }
            | What::SilenceEnded { .. }
            | What::NoticeHidden { .. } => self.of_calls(f),
            _ => self.of_incidents(f),
        }
    }

    fn of_reports(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.at();
        match self.what {
            What::Opened { classification, level, area, .. } => {
                if let Some(id) = self.incident() {
                    write!(f, "incident {id} ")?;
                }
                write!(f, "opened  {} ring={} level={level}", Class(classification), classification.ring)?;
                write!(f, " plan={} rule={}", classification.plan, classification.rule)?;
                if area.is_none() {
                    f.write_str(" area=none")?;
                }
                write!(f, "{}", Modifiers(&classification.modifiers))
            }
            What::Joined { source, event, score, reason, report } => {
                write!(f, "joined{at} as report {report}  score={score} {reason}  from {}", Sender(source, event))
            }
            What::Suggested { other, score, reason } => {
                write!(f, "suggested{at} may be {other}  score={score} {reason}")
            }
            What::Folded { source, event, folded } => {
                write!(f, "folded{at} count={folded}  from {}", Sender(source, event))
            }
            What::LateReport { source, event, action } => {
                write!(f, "late report{at} → {action}  from {}", Sender(source, event))
            }
            What::Repeated { source, event } => write!(f, "repeat{at} nothing applied  from {}", Sender(source, event)),
            What::Forwarded { to, source, event } => write!(f, "forwarded to {to}  from {}", Sender(source, event)),
            _ => Ok(()),
        }
    }

    fn of_posts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.at();
        match self.what {
            What::Ordered { .. } => self.ordered(f),
            What::Recalled { order, post, reason } => write!(f, "recalled {order} → {post}  reason={reason}"),
            What::Acted { order, post, act, lateness, on_behalf } => {
                let act = act.as_str().replace('_', "-");
                write!(f, "{act}{} {post}{}", order.as_ref().map_or_else(|| at, |o| format!(" {o}")), Late(*lateness))?;
                f.write_str(if *on_behalf { " by voice" } else { "" })
            }
            What::Said { order, words } => {
                write!(f, "said{} words kept ({} bytes)", self.of(order.as_ref()), words.reveal().len())
            }
            What::Expired { order, post } => write!(f, "expired {order} → {post}"),
            What::Delivery { order, channel, outcome } => {
                let outcome = format!("{outcome:?}").to_lowercase();
                write!(f, "delivery {order} {outcome} over {channel}")
            }
            What::Shortfall { role, count, waiting, reasons } => {
                write!(f, "shortfall{at} {count} × {role}{}", if *waiting { " waiting" } else { "" })?;
                for (i, (reason, n)) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}={n}", if i == 0 { "  " } else { " " })?;
                }
                Ok(())
            }
            What::PreEmpted { order, post, from } => write!(f, "pre-empted {order} → {post}  for incident {from}"),
            What::MovedUp { area, post, order } => write!(f, "move-up {order} → {post} covers {area}"),
            What::Duty { post, state } => write!(f, "duty {post} {state}"),
            _ => Ok(()),
        }
    }

    fn ordered(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let What::Ordered { order, post, role, echelon, cause, sign_by, on_scene_by, queued, weighed } = self.what
        else {
            return Ok(());
        };
        write!(f, "order {order} → {post} {role}")?;
        if *echelon > 1 {
            write!(f, " echelon={echelon}")?;
        }
        if !cause.is_empty() && cause != "plan" {
            write!(f, "  reason={cause}")?;
        }
        let mut gap = "  ";
        for (name, by) in [("sign-by", sign_by), ("on-scene-by", on_scene_by)] {
            if let Some(by) = by {
                write!(f, "{gap}{name}={}", self.clock.show(*by))?;
                gap = " ";
            }
        }
        if *queued > 0 {
            write!(f, "{gap}waits={queued}")?;
        }
        weighed.as_ref().map_or(Ok(()), |weighed| write!(f, "{}", Why(weighed)))
    }

    fn of_marks(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Warning { mark, order, lateness } => {
                write!(f, "warning {mark}{}{}", self.of(order.as_ref()), Late(*lateness))
            }
            What::Kept { mark, order, spent, lateness } => {
                write!(f, "kept {mark}{} after {}{}", self.of(order.as_ref()), elapsed(*spent), Late(*lateness))
            }
            What::Missed { mark, order, round, held, lateness } => {
                write!(f, "missed {mark}{}", self.of(order.as_ref()))?;
                if *round > 1 {
                    write!(f, " round={round}")?;
                }
                write!(f, "{}{}", if *held { " held" } else { "" }, Late(*lateness))
            }
            What::ReachedLate { mark, order, late } => {
                write!(f, "reached {mark}{} late by {}", self.of(order.as_ref()), elapsed(*late))
            }
            What::NobodyReached { action, mark } => write!(f, "nobody reached by {action} of {mark}{}", self.at()),
            What::Held { mark } => {
                write!(f, "hold{} {}", self.at(), mark.as_ref().map_or("every running mark", |m| m.as_str()))
            }
            What::Outage { from, to } => {
                write!(f, "outage of our own {} … {}", self.clock.show(*from), self.clock.show(*to))
            }
            _ => Ok(()),
        }
    }

    fn of_calls(&self, f: &mut Formatter<'_>) -> fmt::Result {
        use super::effect::Callee;
        let at = self.at();
        match self.what {
            What::AllCallBegan { n, reason, radius_m, posts, teams, until } => {
                write!(f, "all-call {n}{at} within {radius_m}m: {}, {}", count(*posts, "post"), count(*teams, "team"))?;
                write!(f, "  reason={reason} until={}", self.clock.show(*until))
            }
            What::AllCallAnswered { n, unit, coming, answered, called } => {
                let name = match unit {
                    Callee::Post(post) => post.as_str(),
                    Callee::Team(team) => team.as_str(),
                };
                let coming = if *coming { "comes" } else { "cannot come" };
                write!(f, "all-call {n}{at} {name} {coming}  answered {answered} of {called}")
            }
            What::AllCallEnded { n, reason, called, answered } => {
                write!(f, "all-call {n}{at} ended  reason={reason} answered {answered} of {called}")
            }
            What::AgencyTold { agency, reason } => write!(f, "agency {agency} told{at}  reason={reason}"),
            What::Noticed { notice, desk, kind, text, take_by } => {
                write!(f, "notice {notice} {kind} → {desk}  {text}")?;
                take_by.map_or(Ok(()), |by| write!(f, "  take-by={}", self.clock.show(by)))
            }
            What::Silenced { silence, window, matchers, from, until } => {
                let window = window.as_ref().map_or_else(String::new, |w| format!(" of window {w}"));
                let (from, until) = (self.clock.show(*from), self.clock.show(*until));
                write!(f, "silence {silence}{window} {matchers}  from={from} until={until}")
            }
            What::SilenceEnded { silence, hidden } => {
                write!(f, "silence {silence} ended  hid {}", count(*hidden, "notice"))
            }
            What::NoticeHidden { silence, kind, text, times } => {
                let again = if *times > 1 { format!(" time {times}") } else { String::new() };
                write!(f, "hidden {kind}{at}{again}  by silence {silence}  {text}")
            }
            What::NoticeTaken { notice } => write!(f, "notice {notice} taken"),
            What::NoticePassed { notice, from, to } => write!(f, "notice {notice} not taken: {from} → {to}"),
            _ => Ok(()),
        }
    }

    fn of_incidents(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.at();
        match self.what {
            What::Reclassified { from, to, why } => {
                write!(f, "reclassified{at} {} → {}", Class(from), Class(to))?;
                if from.ring != to.ring {
                    write!(f, " ring={} → {}", from.ring, to.ring)?;
                }
                if from.plan != to.plan {
                    write!(f, " plan={}", to.plan)?;
                }
                write!(f, "{}  reason={why}", Modifiers(&to.modifiers))
            }
            What::Located { area, ring, why } => {
                write!(f, "located{at} area={} ring={ring}  reason={why}", area_name(area.as_ref()))
            }
            What::State { from, to } => write!(f, "state{at} {from} → {to}"),
            What::LevelRaised { from, to } => write!(f, "level{at} {from} → {to}"),
            What::Linked { other, reason } => write!(f, "linked{at} with {other}  reason={reason}"),
            What::Split { into, reports } => write!(f, "split{at} {} → incident {into}", count(*reports, "report")),
            What::Merged { from, reports } => write!(f, "merged{at} {} of incident {from}", count(*reports, "report")),
            What::Closed { disposition } => write!(f, "closed{at} as {disposition}"),
            What::Prevention { area } => write!(f, "prevention task{at} area={}", area_name(area.as_ref())),
            What::Refused { what, refusal } => {
                write!(f, "refused {}{at}  {refusal}", what.replace('_', "-"))?;
                refusal.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            What::Evaluated { severity, why } => write!(f, "evaluated{at} at {severity}  reason={why}"),
            _ => Ok(()),
        }
    }
}

/// `1 post`, `2 posts`
fn count(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn area_name(area: Option<&AreaId>) -> &str {
    area.map_or("none", AreaId::as_str)
}

/// `public-safety/fire/structure II`, with the lane where the severity does not say it, and the words for at once.
struct Class<'a>(&'a Classification);

impl Display for Class<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let class = self.0;
        write!(f, "{} {}", class.category, class.severity)?;
        let said_by_severity = class.severity <= Severity::II;
        if (class.lane == Lane::BottomLine) != said_by_severity {
            write!(f, " {}", class.lane)?;
        }
        f.write_str(if class.trigger_at_once { " at-once" } else { "" })
    }
}

/// `  raised=casualties,key-site lowered=already-out held=risk-class-1`
struct Modifiers<'a>(&'a [ModifierHit]);

impl Display for Modifiers<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let steps =
            [(SeverityStep::Raised, "raised"), (SeverityStep::Lowered, "lowered"), (SeverityStep::Held, "held")];
        for (step, word) in steps {
            let ids: Vec<&str> = self.0.iter().filter(|hit| hit.step == step).map(|hit| hit.id.as_str()).collect();
            if !ids.is_empty() {
                write!(f, " {word}={}", ids.join(","))?;
            }
        }
        Ok(())
    }
}

/// `110/desk-3 a7`
struct Sender<'a>(&'a SourceId, &'a EventId);

impl Display for Sender<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// `   runner-up P2 +41s  stale-position`
struct Why<'a>(&'a Weighed);

impl Display for Why<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some((post, more_s)) = &self.0.runner_up {
            write!(f, "   runner-up {post} +{more_s}s")?;
        }
        if !self.0.reasons.is_empty() {
            write!(f, "   {}", self.0.reasons.join(", "))?;
        }
        Ok(())
    }
}

/// Nothing when in time; else by how much and through whom.
struct Late(Lateness);

impl Display for Late {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Lateness::InTime => Ok(()),
            Lateness::By(by) => write!(f, " late by {}", elapsed(by)),
            Lateness::OwnOutage(by) => write!(f, " late by {} through our own outage", elapsed(by)),
            Lateness::ReportedLate(Millis::ZERO) => f.write_str(" in time"),
            Lateness::ReportedLate(by) => write!(f, " in time, reported late by {}", elapsed(by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FreeText, Level, MarkName};

    fn entry(what: What) -> Entry {
        let incident = "4304-20261123-1".parse().ok();
        Entry { at: Timestamp(36_000), incident, drill: false, by: Actor::Engine, what }
    }

    fn line(what: What) -> String {
        entry(what).words(Clock::Since(Timestamp(0))).to_string()
    }

    #[test]
    fn a_mark_names_its_order_else_its_incident() {
        let warning = |order: Option<&str>| What::Warning {
            mark: MarkName::from("signed"),
            order: order.map(|o| o.parse().unwrap()),
            lateness: Lateness::InTime,
        };
        assert_eq!(line(warning(Some("4304-20261123-1-1"))), "warning signed order=4304-20261123-1-1");
        assert_eq!(line(warning(None)), "warning signed incident=4304-20261123-1");
        let raised = What::LevelRaised { from: Level::County, to: Level::City };
        assert_eq!(raised.to_string(), "level county → city");
    }

    #[test]
    fn a_drill_looks_different_on_every_line_and_a_seat_is_named() {
        let mut held = entry(What::Held { mark: None });
        (held.drill, held.by) = (true, Actor::Seat("command/seat-1".into()));
        let words = held.words(Clock::Utc).to_string();
        assert_eq!(words, "DRILL hold incident=4304-20261123-1 every running mark  by=command/seat-1");
    }

    #[test]
    fn no_word_of_a_free_text_is_shown() {
        let said = What::Said { order: None, words: FreeText::from("桥上堵车") };
        assert_eq!(line(said), "said incident=4304-20261123-1 words kept (12 bytes)");
    }

    #[test]
    fn instants_follow_the_clock_that_reads_them() {
        let at = Timestamp::parse("2026-11-23T08:01:30+08:00").unwrap();
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(Clock::Utc.show(at), "00:01:30Z");
        assert_eq!(Clock::Wall(&zone).show(at), "08:01:30");
        assert_eq!(Clock::Since(at - Millis::from_secs(90)).show(at), "+90s");
        assert_eq!(Clock::Since(at + Millis(500)).show(at), "-0.5s");
    }

    #[test]
    fn spans_are_seconds_up_to_ten_minutes() {
        let cases = [(36_000, "36s"), (600_000, "600s"), (601_000, "10min1s"), (7_200_000, "2h"), (90_000_000, "1d1h")];
        for (ms, text) in cases {
            assert_eq!(elapsed(Millis(ms)), text);
        }
    }
}
