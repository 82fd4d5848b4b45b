//! The data of a `muster.act`, a `muster.position` and a `muster.command`.

use std::borrow::Cow;

use super::json::Reader;
use super::report::{place, position, report, too_many};
use super::values::{required, unknown_word, wrong_type};
use super::{Limits, Rejection};
use crate::model::{
    Act, Command, CommandKind, FieldAct, FreeText, Matchers, NoticeKind, PositionFix, Report, Role, Severity,
};
use smol_str::SmolStr;

const ACTS: [(&str, Act); 11] = [
    ("received", Act::Received),
    ("signed", Act::Signed),
    ("declined", Act::Declined),
    ("en_route", Act::EnRoute),
    ("on_scene", Act::OnScene),
    ("first_report", Act::FirstReport),
    ("cleared", Act::Cleared),
    ("on_duty", Act::OnDuty),
    ("off_duty", Act::OffDuty),
    ("out_of_service", Act::OutOfService),
    ("on_view", Act::OnView),
];

const ROLES: [(&str, Role); 5] = [
    ("first", Role::First),
    ("reinforce", Role::Reinforce),
    ("cordon", Role::Cordon),
    ("cover", Role::Cover),
    ("all-call", Role::AllCall),
];

const SEVERITIES: [(&str, Severity); 4] =
    [("I", Severity::I), ("II", Severity::II), ("III", Severity::III), ("IV", Severity::IV)];

const COMMANDS: [&str; 21] = [
    "create",
    "correct_place",
    "reclassify",
    "order",
    "stand_down",
    "confirm",
    "refute",
    "link",
    "split",
    "merge",
    "hold",
    "all_call",
    "recall",
    "controlled",
    "close",
    "cancel",
    "reopen",
    "sign_on_behalf",
    "take_notice",
    "silence",
    "unsilence",
];

/// An id of an incident or an order is a command area and two or three numbers.
const DERIVED_ID_BYTES_MAX: usize = 320;

/// Reports that one split may name.
const SPLIT_MAX: usize = 64;

/// Reads an act of a post.
pub(super) fn act(r: &mut Reader, limits: &Limits) -> Result<FieldAct, Rejection> {
    let mut members = Members::read(r)?;
    let act = FieldAct {
        post: members.need("post", "the post that acted", |r| r.id(limits.id_bytes_max))?.as_str().into(),
        act: members.need("act", "what the post did", |r| r.word(&ACTS))?,
        order: members.order("order")?,
        incident: members.incident("incident")?,
        reason: members.words("reason", limits)?,
        done_at: members.take("done_at", Reader::instant)?,
        report: members.report(limits)?,
    };
    if act.order.as_ref().zip(act.incident.as_ref()).is_some_and(|(order, incident)| order.incident != *incident) {
        return Err(Rejection::invalid("is not the incident of the order", "send the order alone").of("incident"));
    }
    members.end(r);
    Ok(act)
}

/// Reads a position of a post.
pub(super) fn fix(r: &mut Reader, limits: &Limits) -> Result<PositionFix, Rejection> {
    let mut members = Members::read(r)?;
    let post = members.need("post", "the post that stands there", |r| r.id(limits.id_bytes_max))?.as_str().into();
    let (position, _) = members.need("position", "its longitude and latitude", position)?;
    let fixed_at = members.need("fixed_at", "when the receiver fixed it", Reader::instant)?;
    if !position.is_valid() {
        let hint = "send no position while the receiver has no fix";
        return Err(Rejection::invalid("is 0, 0, which a receiver without a fix sends", hint).of("position"));
    }
    members.end(r);
    Ok(PositionFix { post, position, fixed_at })
}

/// Reads an operator's command: the verb first, then what that verb needs.
pub(super) fn command(r: &mut Reader, limits: &Limits) -> Result<Command, Rejection> {
    let mut members = Members::read(r)?;
    let verb = members.need("command", "the verb", |r| r.id(64))?;
    if !COMMANDS.contains(&verb.as_str()) {
        return Err(unknown_word(&verb, COMMANDS.into_iter()).of("command"));
    }
    let by = members.need("by", "the seat that commands, such as command/seat-2", |r| r.id(limits.id_bytes_max))?;
    let reason = members.words("reason", limits)?;
    let incident = members.incident("incident")?;
    let kind = kind(&verb, &mut members, limits)?;
    let names_none = matches!(
        kind,
        CommandKind::Create { .. }
            | CommandKind::TakeNotice { .. }
            | CommandKind::Silence { .. }
            | CommandKind::Unsilence { .. }
            | CommandKind::SignOnBehalf { .. }
            | CommandKind::StandDown { .. }
            | CommandKind::Recall { order: Some(_) }
    );
    if incident.is_none() && !names_none {
        return Err(Rejection::missing("incident", "send the incident it is about"));
    }
    members.end(r);
    Ok(Command { by, reason, incident, kind })
}

fn kind(verb: &str, m: &mut Members, limits: &Limits) -> Result<CommandKind, Rejection> {
    let id = |r: &mut Reader| r.id(limits.id_bytes_max);
    Ok(match verb {
        "create" => CommandKind::Create {
            report: required(m.report(limits)?, "report", "the report it opens with")?,
            category: m.take("category", id)?.map(|c| c.as_str().into()),
            severity: m.take("severity", |r| r.word(&SEVERITIES))?,
        },
        "correct_place" => CommandKind::CorrectPlace {
            place: m.need("place", "the right place", |r| {
                if r.is_object()? { place(r, limits).map(Some) } else { Ok(None) }
            })?,
        },
        "reclassify" => {
            let category = m.take("category", id)?.map(|c| c.as_str().into());
            let severity = m.take("severity", |r| r.word(&SEVERITIES))?;
            if category.is_none() && severity.is_none() {
                return Err(Rejection::missing("category", "send category, severity or both"));
            }
            CommandKind::Reclassify { category, severity }
        }
        "order" => CommandKind::Order {
            post: m.need("post", "the post that shall go", id)?.as_str().into(),
            role: m.take("role", |r| r.word(&ROLES))?,
        },
        "stand_down" => {
            let (order, post) = (m.order("order")?, m.take("post", id)?.map(|p| p.as_str().into()));
            if order.is_none() && post.is_none() {
                return Err(Rejection::missing("order", "send the order, or the post whose order it is"));
            }
            CommandKind::StandDown { order, post }
        }
        "confirm" => CommandKind::Confirm,
        "refute" => CommandKind::Refute { disposition: m.take("disposition", id)?.map(|d| d.as_str().into()) },
        "link" => CommandKind::Link { other: required(m.incident("other")?, "other", "the other incident")? },
        "split" => CommandKind::Split { reports: m.need("reports", "the numbers of the reports", numbers)? },
        "merge" => CommandKind::Merge { into: required(m.incident("into")?, "into", "the incident that goes on")? },
        "hold" => CommandKind::Hold { mark: m.take("mark", id)? },
        "all_call" => CommandKind::AllCall {
            radius_m: m.take("radius_m", |r| r.number_within(0.0, 1_000_000.0))?,
            volunteers: m.take("volunteers", Reader::flag)?.unwrap_or_default(),
        },
        "recall" => CommandKind::Recall { order: m.order("order")? },
        "controlled" => CommandKind::Controlled,
        "close" => CommandKind::Close {
            disposition: m.need("disposition", "how it ended", id)?.as_str().into(),
            prevention: m.take("prevention", Reader::flag)?.unwrap_or_default(),
        },
        "cancel" => CommandKind::Cancel,
        "reopen" => CommandKind::Reopen,
        "sign_on_behalf" => CommandKind::SignOnBehalf {
            order: required(m.order("order")?, "order", "the order that was answered")?,
            act: m.take("act", |r| r.word(&ACTS))?,
            words: required(m.words("words", limits)?, "words", "the words that were said")?,
        },
        "take_notice" => CommandKind::TakeNotice { notice: m.need("notice", "the notice's id", id)? },
        "silence" => CommandKind::Silence {
            matchers: m.need("matchers", "which notices it is about", matchers)?,
            from: m.take("from", Reader::instant)?,
            until: m.need("until", "when it ends", Reader::instant)?,
        },
        "unsilence" => CommandKind::Unsilence { silence: m.need("silence", "the silence's id", id)? },
        _ => return Err(unknown_word(verb, COMMANDS.into_iter()).of("command")),
    })
}

/// Which notices a silence is about.
fn matchers(r: &mut Reader) -> Result<Option<Matchers>, Rejection> {
    if !r.is_object()? {
        return Ok(None);
    }
    let mut matchers = Matchers::default();
    r.object(|r, name| {
        match name {
            "sources" => matchers.sources = entries(r)?,
            "areas" => matchers.areas = entries(r)?,
            "categories" => matchers.categories = entries(r)?.iter().map(|c| c.as_str().into()).collect(),
            "kinds" => matchers.kinds = entries(r)?.iter().map(notice_kind).collect::<Result<_, _>>()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match matchers.fault() {
        None => Ok(Some(matchers)),
        Some((field, fault)) => {
            let refused = Rejection::invalid(fault, "name a few sources, kinds, areas or categories");
            Err(if field.is_empty() { refused } else { refused.of(field) })
        }
    }
}

fn notice_kind(entry: &SmolStr) -> Result<NoticeKind, Rejection> {
    let names = NoticeKind::ALL.map(|kind| (kind.to_string(), kind));
    let known = names.iter().find(|(name, _)| entry == name);
    let unknown = || unknown_word(entry, names.iter().map(|(name, _)| name.as_str()));
    known.map(|(_, kind)| *kind).ok_or_else(unknown)
}

/// The entries of one list of matchers.
fn entries(r: &mut Reader) -> Result<Vec<SmolStr>, Rejection> {
    let mut entries = Vec::new();
    if !r.is_list()? {
        return Ok(entries);
    }
    r.array(|r, _| {
        let next = r.next()?;
        let Some(entry) = r.id(Matchers::ENTRY_BYTES_MAX)? else { return Err(wrong_type("text", next)) };
        entries.push(entry);
        let full = entries.len() > Matchers::ENTRIES_MAX;
        if full { Err(too_many("entries", Matchers::ENTRIES_MAX)) } else { Ok(()) }
    })?;
    Ok(entries)
}

/// The numbers of reports within an incident, counted from 1.
fn numbers(r: &mut Reader) -> Result<Option<Vec<u32>>, Rejection> {
    let mut numbers = Vec::new();
    if !r.is_list()? {
        return Ok(None);
    }
    r.array(|r, _| {
        let number = r.number_within(1.0, f64::from(u32::MAX))?.filter(|n| n.fract() == 0.0);
        let Some(number) = number else {
            return Err(Rejection::invalid("must be a whole number", "count reports from 1"));
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within u32, as checked"
        )]
        numbers.push(number as u32);
        if numbers.len() > SPLIT_MAX { Err(too_many("reports", SPLIT_MAX)) } else { Ok(()) }
    })?;
    if numbers.is_empty() {
        return Err(Rejection::invalid("is empty", "name at least one report"));
    }
    Ok(Some(numbers))
}

/// The members of an object by name, each with the place where its value begins. Which ones are wanted may depend on
/// another, so all are found first; what nobody takes is dropped and counted.
struct Members<'a> {
    found: Vec<(Cow<'a, str>, Reader<'a>)>,
    dropped: u32,
}

impl<'a> Members<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Rejection> {
        let mut found = Vec::new();
        let before = r.dropped;
        r.object(|r, name| {
            let mut value = r.clone();
            value.dropped = 0;
            found.push((Cow::Owned(name.to_owned()), value));
            r.skip().map(|()| true)
        })?;
        r.dropped = before;
        Ok(Self { found, dropped: 0 })
    }

    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<Option<T>, Rejection>,
    ) -> Result<Option<T>, Rejection> {
        let Some(index) = self.found.iter().position(|(found, _)| found == name) else { return Ok(None) };
        let (_, mut reader) = self.found.swap_remove(index);
        let value = read(&mut reader).map_err(|e| e.within(name))?;
        self.dropped += reader.dropped;
        Ok(value)
    }

    fn need<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<Option<T>, Rejection>,
    ) -> Result<T, Rejection> {
        required(self.take(name, read)?, name, what)
    }

    fn incident(&mut self, name: &str) -> Result<Option<crate::model::IncidentId>, Rejection> {
        self.take(name, |r| r.parsed(DERIVED_ID_BYTES_MAX, "<command area>-<yyyymmdd>-<n>"))
    }

    fn order(&mut self, name: &str) -> Result<Option<crate::model::OrderId>, Rejection> {
        self.take(name, |r| r.parsed(DERIVED_ID_BYTES_MAX, "<command area>-<yyyymmdd>-<n>-<n>"))
    }

    fn words(&mut self, name: &str, limits: &Limits) -> Result<Option<FreeText>, Rejection> {
        let words = self.take(name, |r| r.text(limits.text_bytes_max))?;
        Ok(words.filter(|words| !words.is_empty()).map(|words| FreeText::from(&*words)))
    }

    fn report(&mut self, limits: &Limits) -> Result<Option<Box<Report>>, Rejection> {
        self.take("report", |r| if r.is_object()? { report(r, limits).map(Box::new).map(Some) } else { Ok(None) })
    }

    /// Counts what nobody took.
    fn end(self, r: &mut Reader) {
        let left = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
        r.dropped = r.dropped.saturating_add(self.dropped).saturating_add(left);
    }
}
