//! The commands of a scenario, each read off its line and put in.

use std::collections::BTreeMap;

use super::line::{Line, named};
use super::place::{Where, metres};
use super::print;
use super::stage::Stage;
use crate::engine::{Delivery, DeliveryOutcome, Input, RosterChange};
use crate::model::{
    Act, Body, Command, CommandKind, Digest, Event, FieldAct, FreeText, Hours, Kind, Matchers, Meta, Millis, PlaceRef,
    PositionFix, PostSpec, Report, Team,
};

/// Runs one command.
pub(super) fn run(stage: &mut Stage<'_>, mut line: Line) -> Result<(), String> {
    match line.word("a command")?.as_str() {
        "post" => posts(stage, &mut line)?,
        "team" => teams(stage, &mut line)?,
        "gone" => {
            let post = line.word("a post")?.into();
            stage.put(Input::Roster(RosterChange::Gone(post)))?;
        }
        "report" => reports(stage, &mut line)?,
        "act" => act(stage, &mut line)?,
        "position" => position(stage, &mut line)?,
        "command" => command(stage, &mut line)?,
        "advance" => advance(stage, &mut line)?,
        "delivery" => delivery(stage, &mut line)?,
        "restart" => stage.restart()?,
        "outage" => {
            let span = line.word("a span")?.parse::<Millis>().map_err(|e| e.to_string())?;
            stage.outage(span)?;
        }
        "playbook" => {
            let folder = line.next();
            let settings = line.options_under("").into_iter().map(|(key, value)| (key, toml_of(&value))).collect();
            stage.swap_playbook(folder, settings)?;
        }
        "show" => {
            let (what, incident) = (line.word("what to show")?, line.next());
            let lines = print::show(stage, &what, incident.as_deref())?;
            stage.lines.extend(lines);
        }
        verb => {
            return Err(format!(
                "no command `{verb}`; known are post, team, gone, report, act, position, command, advance, delivery, \
                 restart, outage, playbook, show"
            ));
        }
    }
    line.end()
}

/// A bare word is text, everything else is TOML already.
fn toml_of(value: &str) -> String {
    let is_toml = toml::from_str::<toml::Table>(&format!("v = {value}")).is_ok();
    if is_toml { value.to_owned() } else { format!("{value:?}") }
}

// The roster

/// `post P1 patrol at 0.4km [area=…] [hours=07:00-09:00] [cap=first-aid,boat] [strength=4] [radius=200m]`
fn posts(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let (ids, kind) = (ids(&line.word("a post")?)?, line.word("a kind of post")?);
    let kind: Kind = named(&kind)?;
    let place = Where::take(line)?.ok_or("a post stands somewhere; write `at 0.4km`")?;
    let base = place.position(stage.grounds())?;
    let area = line.option("area").map_or_else(|| place.area(stage.grounds()), |area| Ok(area.as_str().into()))?;
    if !stage.playbook.areas.areas.contains_key(&area) {
        return Err(format!("no area `{area}`"));
    }
    let hours = line.parsed::<Hours>("hours")?.unwrap_or_default();
    let strength = line.parsed("strength")?.unwrap_or(2);
    let capabilities: Vec<_> =
        line.option("cap").iter().flat_map(|caps| caps.split(',')).map(smol_str::SmolStr::new).collect();
    let radius_m = line.option("radius").map(|r| metres(&r)).transpose()?;
    for (apart, id) in (0_i32..).zip(ids) {
        let spec = PostSpec {
            id: id.as_str().into(),
            kind,
            name: "".into(),
            area: area.clone(),
            base: base.offset_m(0.0, f64::from(apart)),
            hours: hours.clone(),
            strength,
            capabilities: capabilities.clone(),
            radius_m,
        };
        if stage.is_running() {
            stage.put(Input::Roster(RosterChange::Post(Box::new(spec))))?;
        } else {
            stage.cast_post(spec);
        }
    }
    Ok(())
}

/// `team T1..T250 at 0.5km [strength=8]`
fn teams(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    if stage.is_running() {
        return Err("teams belong to the playbook; name them before anything happens".to_owned());
    }
    let ids = ids(&line.word("a team")?)?;
    let place = Where::take(line)?.ok_or("a team musters somewhere; write `at 0.4km`")?;
    let (base, area) = (place.position(stage.grounds())?, place.area(stage.grounds())?);
    let strength = line.parsed("strength")?.unwrap_or(8);
    for (apart, id) in (0_i32..).zip(ids) {
        let base = base.offset_m(0.0, f64::from(apart));
        stage.cast_team(Team { id: id.as_str().into(), area: area.clone(), base, strength });
    }
    Ok(())
}

/// `P1`, or `T1..T250` for as many, a metre apart.
fn ids(word: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = word.split_once("..") else { return Ok(vec![word.to_owned()]) };
    let letters = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = |id: &str| id.strip_prefix(letters).and_then(|n| n.parse::<u32>().ok());
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && last - first < 10_000 => {
            Ok((first..=last).map(|n| format!("{letters}{n}")).collect())
        }
        _ => Err(format!("`{word}` is no range; write `T1..T250`")),
    }
}

// Events

fn event(stage: &mut Stage<'_>, line: &mut Line, source: &str, body: Body) -> Result<Event, String> {
    let id = match line.option("id") {
        Some(id) => id,
        None => format!("r{}", stage.next_event()),
    };
    let time = line.option("time").map(|t| stage.instant(&t)).transpose()?;
    let received = line.option("received").map_or(Ok(stage.now), |t| stage.instant(&t))?;
    let content = serde_json::to_vec(&body).map_err(|e| e.to_string())?;
    let meta =
        Meta { source: source.into(), id: id.as_str().into(), time, traceparent: None, digest: Digest::of(&content) };
    Ok(Event { meta, received, body })
}

/// `report [fire|JQ-0301] at key-site lotus-plaza text="…" [x=20 every=100ms] …`
fn reports(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let report = report(stage, line)?;
    let source = line.option("source").unwrap_or_else(|| "110/desk-1".to_owned());
    let (count, every) = (line.parsed::<u32>("x")?.unwrap_or(1), line.parsed::<Millis>("every")?.unwrap_or_default());
    for n in 0..count {
        if n > 0 {
            stage.advance_to(stage.now + every)?;
        }
        let event = event(stage, line, &source, Body::Report(Box::new(report.clone())))?;
        stage.put(Input::Event(Box::new(event), None))?;
    }
    Ok(())
}

/// What a report says, wherever it stands: in `report`, `act … on-view` and `command create`.
fn report(stage: &Stage<'_>, line: &mut Line) -> Result<Report, String> {
    let code = match line.peek() {
        None | Some("at" | "nowhere") => None,
        Some(_) => Some(code(stage, &line.word("a kind of report")?)?),
    };
    let mut place = Where::take(line)?.map_or(Ok(PlaceRef::default()), |p| p.place_ref(stage.grounds()))?;
    place.accuracy_m = line.option("accuracy").map(|m| metres(&m)).transpose()?;
    let attributes = line.options_under("attr.").into_iter().map(|(name, value)| {
        let value = value.parse::<f64>().map_err(|e| format!("attr.{name}={value}: {e}"))?;
        Ok((name.into(), value))
    });
    Ok(Report {
        code: code.map(Into::into),
        text: FreeText::from(line.option("text").unwrap_or_default()),
        status: line.named("status")?.unwrap_or_default(),
        urgency: line.named("urgency")?,
        severity: line.named("severity")?,
        certainty: line.named("certainty")?,
        place,
        attributes: attributes.collect::<Result<BTreeMap<_, _>, String>>()?,
        callback: line.option("callback").map(Into::into),
        references: line.option("ref").into_iter().map(Into::into).collect(),
    })
}

/// A type code as it stands, or a word: then the first code of the first rule whose category has this part.
fn code(stage: &Stage<'_>, word: &str) -> Result<String, String> {
    if word.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return Ok(word.to_owned());
    }
    let speaks_of = |rule: &&crate::playbook::Rule| {
        !rule.when.code.is_empty() && rule.category.as_str().split('/').any(|part| part == word)
    };
    let rule = stage.playbook.rules.iter().find(speaks_of);
    rule.and_then(|rule| rule.when.code.first()).map(ToString::to_string).ok_or_else(|| {
        format!(
            "no rule with a type code speaks of `{word}`; write the code itself, or leave it out and say it in text="
        )
    })
}

/// `act P1 signed [order=1-1] [incident=1] [done-at=-30s] [reason="…"]`; `act P1 on-view fire at 0.1km text="…"`
fn act(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let (post, word) = (line.word("a post")?, line.word("an act")?);
    let act: Act = named(&word.replace('-', "_"))?;
    let report = if act == Act::OnView { Some(Box::new(report(stage, line)?)) } else { None };
    let body = Body::Act(FieldAct {
        post: post.as_str().into(),
        act,
        order: line.option("order").map(|o| stage.order_id(&o)).transpose()?,
        incident: line.option("incident").map(|i| stage.incident_id(&i)).transpose()?,
        reason: line.option("reason").map(FreeText::from),
        done_at: line.option("done-at").map(|t| stage.instant(&t)).transpose()?,
        report,
    });
    let event = event(stage, line, &format!("field/{post}"), body)?;
    stage.put(Input::Event(Box::new(event), None))
}

/// `position P1 at 0.2km east [age=90s]`
fn position(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let post = line.word("a post")?;
    let place = Where::take(line)?.ok_or("where? write `at 0.2km east`")?;
    let age = line.parsed::<Millis>("age")?.unwrap_or_default();
    let position = place.position(stage.grounds())?;
    let body = Body::Position(PositionFix { post: post.as_str().into(), position, fixed_at: stage.now - age });
    let event = event(stage, line, &format!("field/{post}"), body)?;
    stage.put(Input::Event(Box::new(event), None))
}

/// `delivery 1-1 failed [over=sms]`
fn delivery(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let order = stage.order_id(&line.word("an order")?)?;
    let outcome: DeliveryOutcome = named(&line.word("`sent`, `delivered` or `failed`")?)?;
    let channel = line.option("over").map_or_else(|| "radio".into(), Into::into);
    stage.put(Input::Delivery(Delivery { order, channel, outcome }))
}

/// `advance 59s`, `advance to +180s`
fn advance(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let to = if line.takes("to") {
        stage.instant(&line.word("an instant")?)?
    } else {
        stage.now + line.word("a span")?.parse::<Millis>().map_err(|e| e.to_string())?
    };
    if to < stage.now {
        return Err("time does not go back".to_owned());
    }
    stage.advance_to(to)
}

// Operators

/// `command close 1 as=handled [by=command/seat-1] [reason="…"]`: the verb, the incident if it has one, its options.
fn command(stage: &mut Stage<'_>, line: &mut Line) -> Result<(), String> {
    let verb = line.word("a verb")?.replace('-', "_");
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let incident = if verb != "create" && line.peek().is_some_and(is_number) { line.next() } else { None };
    let incident = incident.map(|word| stage.incident_id(&word)).transpose()?;
    let order = line.option("order").map(|o| stage.order_id(&o)).transpose()?;
    let kind = kind(stage, line, &verb, order)?;
    let by = line.option("by").unwrap_or_else(|| "command/seat-1".to_owned());
    let command = Command { by: by.as_str().into(), reason: line.option("reason").map(FreeText::from), incident, kind };
    let event = event(stage, line, &by, Body::Command(Box::new(command)))?;
    stage.put(Input::Event(Box::new(event), None))
}

fn kind(
    stage: &Stage<'_>,
    line: &mut Line,
    verb: &str,
    order: Option<crate::model::OrderId>,
) -> Result<CommandKind, String> {
    let incident = |line: &mut Line, key: &str| {
        let word = line.option(key).ok_or_else(|| format!("{key}= is missing"))?;
        stage.incident_id(&word)
    };
    let yes = |line: &mut Line, key: &str| line.option(key).is_some_and(|word| word == "yes");
    Ok(match verb {
        "create" => CommandKind::Create {
            category: line.option("category").map(|c| c.as_str().into()),
            // In `create` a severity is the operator's word, not that of a report.
            severity: line.named("severity")?,
            report: Box::new(report(stage, line)?),
        },
        "correct_place" => {
            let place = Where::take(line)?.ok_or("which place? write `at …`")?;
            CommandKind::CorrectPlace { place: place.place_ref(stage.grounds())? }
        }
        "reclassify" => CommandKind::Reclassify {
            category: line.option("category").map(|c| c.as_str().into()),
            severity: line.named("severity")?,
        },
        "order" => CommandKind::Order { post: line.word("a post")?.as_str().into(), role: line.named("role")? },
        "stand_down" => CommandKind::StandDown { order, post: line.option("post").map(|p| p.as_str().into()) },
        "confirm" => CommandKind::Confirm,
        "refute" => CommandKind::Refute { disposition: line.option("as").map(|d| d.as_str().into()) },
        "link" => CommandKind::Link { other: incident(line, "other")? },
        "split" => {
            let reports = line.option("reports").ok_or("reports= is missing")?;
            let reports = reports.split(',').map(|n| n.parse::<u32>().map_err(|e| format!("reports={n}: {e}")));
            CommandKind::Split { reports: reports.collect::<Result<_, _>>()? }
        }
        "merge" => CommandKind::Merge { into: incident(line, "into")? },
        "hold" => CommandKind::Hold { mark: line.option("mark").map(Into::into) },
        "all_call" => CommandKind::AllCall {
            radius_m: line.option("radius").map(|r| metres(&r)).transpose()?,
            volunteers: yes(line, "volunteers"),
        },
        "recall" => CommandKind::Recall { order },
        "controlled" => CommandKind::Controlled,
        "close" => CommandKind::Close {
            disposition: line.option("as").ok_or("as= is missing: how did it end?")?.as_str().into(),
            prevention: yes(line, "prevention"),
        },
        "cancel" => CommandKind::Cancel,
        "reopen" => CommandKind::Reopen,
        "sign_on_behalf" => CommandKind::SignOnBehalf {
            order: order.ok_or("order= is missing")?,
            act: line.option("act").map(|a| named(&a.replace('-', "_"))).transpose()?,
            words: FreeText::from(line.option("words").ok_or("words= is missing")?),
        },
        "take_notice" => {
            let notice = line.option("notice").ok_or("notice= is missing")?;
            CommandKind::TakeNotice { notice: format!("{}{notice}", stage.prefix()).into() }
        }
        "silence" => {
            let until = line.option("until").ok_or("until= is missing: when does it end?")?;
            CommandKind::Silence {
                matchers: matchers(line)?,
                from: line.option("from").map(|t| stage.instant(&t)).transpose()?,
                until: stage.instant(&until)?,
            }
        }
        "unsilence" => {
            let silence = line.option("silence").ok_or("silence= is missing")?;
            CommandKind::Unsilence { silence: format!("{}{silence}", stage.prefix()).into() }
        }
        _ => return Err(format!("no command `{verb}` is known to an operator")),
    })
}

/// `kind=mark-missed,opened source=panel/ area=quay category=safety/alarm`
fn matchers(line: &mut Line) -> Result<Matchers, String> {
    let mut list = |key: &str| -> Vec<String> {
        line.option(key).iter().flat_map(|words| words.split(',')).map(str::to_owned).collect()
    };
    Ok(Matchers {
        sources: list("source-prefix").into_iter().map(Into::into).collect(),
        kinds: list("kind").iter().map(|kind| named(kind)).collect::<Result<_, _>>()?,
        areas: list("area").into_iter().map(Into::into).collect(),
        categories: list("category").iter().map(|c| c.as_str().into()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_each() {
        assert_eq!(ids("T8..T11").unwrap(), ["T8", "T9", "T10", "T11"]);
        assert_eq!(ids("P1").unwrap(), ["P1"]);
        assert!(ids("T8..T2").is_err() && ids("T1..X2").is_err());
    }

    #[test]
    fn a_bare_word_of_a_setting_is_text() {
        assert_eq!(
            (toml_of("90s"), toml_of("3"), toml_of("[1, 2]")),
            ("\"90s\"".to_owned(), "3".to_owned(), "[1, 2]".to_owned())
        );
    }
}
