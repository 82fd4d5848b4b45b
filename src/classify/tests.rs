use proptest::prelude::*;

use super::*;
use crate::model::{
    Certainty, FreeText, Millis, ModifierHit, Position, ReportSeverity, Ring, SeverityStep, Spot, Status, Urgency,
    Weekday,
};
use crate::playbook::{Condition, Modifier, ModifierEffect, Reading, RuleIndex, When, minimal};

/// A Monday, 10:00 in Shanghai.
const MORNING: Timestamp = Timestamp(1_795_399_200_000);
const PLAZA: Position = Position { lon: 112.601, lat: 26.891 };
const VALLEY: Position = Position { lon: 112.75, lat: 26.90 };

fn saying(text: &str, at: Option<Position>) -> Report {
    let mut report = Report { text: FreeText::from(text), ..Report::default() };
    report.place.position = at;
    report
}

fn judge(playbook: &Playbook, report: &Report) -> Classification {
    let place = playbook.areas.locate(&report.place);
    classify(playbook, report, &"110/desk-1".into(), MORNING, &place)
}

/// `rule severity ring lane [modifiers]`, as short as a scenario.
fn brief(c: &Classification) -> String {
    let step = |hit: &ModifierHit| {
        let sign = match hit.step {
            SeverityStep::Raised => '+',
            SeverityStep::Lowered => '-',
            SeverityStep::Held => '=',
        };
        format!(" {sign}{}", hit.id)
    };
    let modifiers: String = c.modifiers.iter().map(step).collect();
    format!("{} {} {} {}{modifiers}", c.rule, c.severity, c.ring, c.lane)
}

fn said(text: &str, at: Option<Position>) -> String {
    brief(&judge(&minimal(), &saying(text, at)))
}

#[test]
fn first_rule_wins_and_the_last_one_catches_the_rest() {
    assert_eq!(said("持刀砍人 还着火了", Some(VALLEY)), "violence.knife II rural bottom-line");
    assert_eq!(said("商场冒烟", Some(VALLEY)), "fire.words II rural bottom-line");
    assert_eq!(said("有人晕倒", Some(VALLEY)), "medical.words III rural ordinary");
    assert_eq!(said("", Some(VALLEY)), "default IV rural ordinary");
    assert_eq!(said("SMOKE in the Hall", Some(VALLEY)), "fire.words II rural bottom-line");
    let c = judge(&minimal(), &saying("商场冒烟", Some(PLAZA)));
    assert_eq!((c.category.as_str(), c.plan.as_str()), ("safety/fire/structure", "rapid-response"));
    assert_eq!((c.ring, c.playbook.len(), c.trigger_at_once), (Ring::One, 12, false));
}

#[test]
fn denied_words_do_not_count() {
    assert_eq!(said("邻居吵架 无人员伤亡 未起火", Some(VALLEY)), "dispute.words IV rural ordinary");
    assert_eq!(said("起火 无人员伤亡", Some(VALLEY)), "fire.words II rural bottom-line");
    assert_eq!(said("起火 有人受伤 此前称无人员伤亡", Some(VALLEY)), "fire.words I rural bottom-line +casualties");
}

#[test]
fn raises_together_are_one_step_and_two_with_casualties() {
    // At the plaza both the key site and the area of class 1 speak.
    assert_eq!(said("有人晕倒", Some(PLAZA)), "medical.words II 1 bottom-line +key-site =class-1");
    assert_eq!(said("救命", Some(PLAZA)), "default III 1 ordinary +key-site =class-1");
    assert_eq!(said("有人晕倒 受伤", Some(PLAZA)), "medical.words I 1 bottom-line +casualties +key-site =class-1");
    assert_eq!(said("有人晕倒 受伤", Some(VALLEY)), "medical.words II rural bottom-line +casualties");
    assert_eq!(said("救命 有人受伤", Some(PLAZA)), "default II 1 bottom-line +casualties +key-site =class-1");
}

#[test]
fn severity_one_comes_only_by_casualties_or_by_rule() {
    assert_eq!(said("商场冒烟", Some(PLAZA)), "fire.words II 1 bottom-line =key-site =class-1");
    assert_eq!(said("商场冒烟 有人受伤", Some(VALLEY)), "fire.words I rural bottom-line +casualties");
    let mut playbook = minimal();
    playbook.rules[1].severity = Severity::I;
    assert_eq!(brief(&judge(&playbook, &saying("冒烟", Some(VALLEY)))), "fire.words I rural bottom-line");
}

#[test]
fn lowering_never_touches_the_bottom_line() {
    assert_eq!(said("冒烟 已扑灭", Some(VALLEY)), "fire.words II rural bottom-line =already-out");
    assert_eq!(said("有人晕倒 已扑灭", Some(VALLEY)), "medical.words IV rural ordinary -already-out");
    // What a raise has brought into the bottom line stays there.
    assert_eq!(said("有人晕倒 已扑灭", Some(PLAZA)), "medical.words II 1 bottom-line +key-site =class-1 =already-out");
    assert_eq!(said("救命 已扑灭", Some(VALLEY)), "default IV rural ordinary =already-out");
    // A category of the bottom line is not lowered even from III.
    let mut playbook = minimal();
    playbook.rules[1].severity = Severity::III;
    let fire = brief(&judge(&playbook, &saying("冒烟 已扑灭", Some(VALLEY))));
    assert_eq!(fire, "fire.words III rural bottom-line =already-out");
}

#[test]
fn mediation_is_moved_by_nothing() {
    assert_eq!(
        said("邻里纠纷 有人受伤 已扑灭", Some(PLAZA)),
        "dispute.words IV 1 ordinary =casualties =key-site =class-1 =already-out"
    );
}

#[test]
fn triggering_at_once_is_bottom_line_whatever_the_severity() {
    let mut playbook = minimal();
    playbook.rules[0].severity = Severity::IV;
    let c = judge(&playbook, &saying("持刀 已扑灭", Some(VALLEY)));
    assert_eq!(brief(&c), "violence.knife IV rural bottom-line =already-out");
    assert!(c.trigger_at_once);
}

#[test]
fn word_drill_is_no_drill_and_status_moves_nothing() {
    let playbook = minimal();
    let mut drill = saying("演练 冒烟", Some(VALLEY));
    let real = judge(&playbook, &drill);
    drill.status = Status::Exercise;
    assert_eq!(judge(&playbook, &drill), real);
    assert_eq!(brief(&real), "fire.words II rural bottom-line");
}

#[test]
fn unknown_and_foreign_places_keep_the_rules_plan() {
    let playbook = minimal();
    let nowhere = saying("冒烟", None);
    let verdict = verdict(&playbook, &meta("110/desk-1"), &nowhere, MORNING);
    assert_eq!((verdict.place.spot, verdict.classification.plan.as_str()), (Spot::Unknown, "rapid-response"));
    assert_eq!(said("冒烟", Some(Position { lon: 112.40, lat: 26.90 })), "fire.words II rural bottom-line");
}

fn meta(source: &str) -> Meta {
    let digest = crate::model::Digest(0);
    Meta { source: source.into(), id: "1".into(), time: None, traceparent: None, digest }
}

/// Whether a condition with this one part holds.
fn holds(when: &When, report: &Report, source: &str, at: Timestamp) -> bool {
    let playbook = minimal();
    let (place, source) = (playbook.areas.locate(&report.place), source.into());
    let facts = Facts::of(&playbook, report, &source, at, &place);
    Condition::of(when, &playbook.keywords).holds(&facts, Some(&"safety/fire/structure".into()))
}

#[test]
fn every_part_of_a_condition_is_asked() {
    let mut report = saying("冒烟 有人受伤", Some(PLAZA));
    report.code = Some("JQ-0301".into());
    (report.urgency, report.severity) = (Some(Urgency::Immediate), Some(ReportSeverity::Severe));
    report.attributes = [("smoke_ppm".into(), 410.0)].into();
    let reading = |name: &str, at_least, below| vec![Reading { name: name.into(), at_least, below }];
    let none = When::default;
    let yes = [
        none(),
        When { any: vec!["fire".into(), "noise".into()], ..none() },
        When { all: vec!["fire".into(), "casualties".into()], ..none() },
        When { none: vec!["noise".into()], ..none() },
        When { code: vec!["X".into(), "JQ-03".into()], ..none() },
        When { source: vec!["110/".into()], ..none() },
        When { area: vec!["quay".into()], ..none() },
        When { risk_class: vec![1.try_into().unwrap()], ..none() },
        When { ring: vec![Ring::One, Ring::Three], ..none() },
        When { key_site: Some(true), ..none() },
        When { hours: "09:00-11:00".parse().unwrap(), ..none() },
        When { weekdays: vec![Weekday::Mon], ..none() },
        When { urgency: vec![Urgency::Immediate], ..none() },
        When { severity: vec![ReportSeverity::Severe], ..none() },
        When { attributes: reading("smoke_ppm", Some(410.0), Some(500.0)), ..none() },
        When { category: vec!["safety/fire".into()], ..none() },
    ];
    let no = [
        When { any: vec!["noise".into()], ..none() },
        When { all: vec!["fire".into(), "noise".into()], ..none() },
        When { none: vec!["noise".into(), "fire".into()], ..none() },
        When { code: vec!["03".into()], ..none() },
        When { source: vec!["119/".into()], ..none() },
        When { area: vec!["market".into()], ..none() },
        When { risk_class: vec![2.try_into().unwrap()], ..none() },
        When { ring: vec![Ring::Rural], ..none() },
        When { key_site: Some(false), ..none() },
        When { hours: "11:00-09:00".parse().unwrap(), ..none() },
        When { weekdays: vec![Weekday::Sun], ..none() },
        When { urgency: vec![Urgency::Past], ..none() },
        When { severity: vec![ReportSeverity::Minor], ..none() },
        When { certainty: vec![Certainty::Observed], ..none() },
        When { attributes: reading("smoke_ppm", None, Some(410.0)), ..none() },
        When { attributes: reading("heat_c", Some(0.0), None), ..none() },
        When { category: vec!["safety/medical".into()], ..none() },
    ];
    for when in yes {
        assert!(holds(&when, &report, "110/desk-1", MORNING), "{when:?}");
    }
    for when in no {
        assert!(!holds(&when, &report, "110/desk-1", MORNING), "{when:?}");
    }
    // The hour is that of the playbook's zone: 17:00 UTC is one in the morning of the next day.
    let night = MORNING + Millis::from_mins(15 * 60);
    let when = When { hours: "00:00-02:00".parse().unwrap(), weekdays: vec![Weekday::Tue], ..none() };
    assert!(holds(&when, &report, "x", night) && !holds(&when, &report, "x", MORNING));
}

#[test]
fn explanation_shows_words_denials_near_rules_and_held_modifiers() {
    let playbook = minimal();
    let report = saying("吵架 无人员伤亡 有噪音", Some(PLAZA));
    let why = explain(&playbook, &report, &"110/desk-1".into(), MORNING);
    assert_eq!(why.classification, judge(&playbook, &report));
    assert_eq!(why.winner.rule.as_str(), "dispute.words");
    let casualties = why.words.iter().find(|w| w.group == "casualties").unwrap();
    assert!(!casualties.counts && casualties.words.is_empty());
    assert_eq!((casualties.denied[0].word.as_str(), casualties.denied[0].by.as_str()), ("伤亡", "无人员伤亡"));
    let near: Vec<&str> = why.near.iter().map(|l| l.rule.as_str()).collect();
    assert_eq!(near, ["nuisance.noise"], "it would have matched, and comes later");
    assert!(why.near[0].failed.is_empty());
    let step = |id: &str| why.modifiers.iter().find(|m| m.id == id).unwrap();
    assert_eq!((step("key-site").step, step("casualties").step), (Some(SeverityStep::Held), None));
    assert_eq!(step("casualties").failed[0].part, "any");
}

// The index and the explanation against trying every rule

const WORDS: [&str; 7] = ["着火", "持刀", "晕倒", "吵架", "噪音", "受伤", "已扑灭"];
const CODES: [&str; 6] = ["", "A", "AB", "ABC", "B", "火1"];
const SOURCES: [&str; 4] = ["110/", "110/desk-1", "panel/", "pan"];
const AREAS: [&str; 3] = ["quay", "valley", "ridge"];

fn some<T: Clone + std::fmt::Debug + 'static>(from: &'static [T], most: usize) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![2 => Just(Vec::new()), 1 => proptest::sample::subsequence(from.to_vec(), 0..=most)]
}

fn whens() -> impl Strategy<Value = When> {
    const GROUPS: [&str; 7] = ["fire", "knife", "medical", "dispute", "noise", "casualties", "already-out"];
    let names = |most| some(&GROUPS, most).prop_map(|g| g.into_iter().map(Into::into).collect());
    let words = (names(3), names(2), names(2));
    let texts = |from: &'static [&'static str]| some(from, 2).prop_map(|t| t.into_iter().map(Into::into).collect());
    let areas = some(&AREAS, 2).prop_map(|a| a.into_iter().map(Into::into).collect());
    let rings = some(&[Ring::One, Ring::Three, Ring::Rural], 2);
    let hours = proptest::sample::select(vec!["24h", "24h", "22:00-06:00", "09:00-12:00"]);
    (words, texts(&CODES), texts(&SOURCES), areas, rings, hours).prop_map(
        |((any, all, none), code, source, area, ring, hours)| When {
            any,
            all,
            none,
            code,
            source,
            area,
            ring,
            hours: hours.parse().unwrap(),
            ..When::default()
        },
    )
}

fn reports() -> impl Strategy<Value = (Report, SourceId, Timestamp)> {
    let text = proptest::sample::subsequence(WORDS.to_vec(), 0..=4).prop_map(|w| w.join(" "));
    let code = proptest::option::of(proptest::sample::select(vec!["A", "AB", "ABCD", "B1", "火1-2", "Z", "火"]));
    let source = proptest::sample::select(vec!["110/desk-1", "panel/7", "pa", "app/3"]);
    let at =
        proptest::sample::select(vec![None, Some(PLAZA), Some(VALLEY), Some(Position { lon: 112.88, lat: 26.92 })]);
    (text, code, source, at, 0..48_u64).prop_map(|(text, code, source, at, hour)| {
        let mut report = saying(&text, at);
        report.code = code.map(Into::into);
        (report, source.into(), MORNING + Millis::from_mins(30 * hour))
    })
}

/// The playbook with these conditions before its own rules.
fn with_rules(whens: &[When]) -> Playbook {
    let mut playbook = minimal();
    let mut rules: Vec<Rule> = Vec::new();
    for (number, when) in whens.iter().enumerate() {
        let mut rule = playbook.rules[number % playbook.rules.len()].clone();
        (rule.id, rule.when) = (format!("generated.{number}").into(), when.clone());
        rules.push(rule);
    }
    rules.append(&mut playbook.rules);
    playbook.rule_conditions = rules.iter().map(|r| Condition::of(&r.when, &playbook.keywords)).collect();
    playbook.rule_index = RuleIndex::of(&playbook.rule_conditions);
    playbook.rules = rules;
    playbook
}

proptest! {
    #[test]
    fn index_finds_what_trying_every_rule_finds(
        whens in proptest::collection::vec(whens(), 0..60),
        reports in proptest::collection::vec(reports(), 1..12),
    ) {
        let playbook = with_rules(&whens);
        for (report, source, at) in reports {
            let place = playbook.areas.locate(&report.place);
            let facts = Facts::of(&playbook, &report, &source, at, &place);
            let tried = playbook.rule_conditions.iter().position(|c| c.holds(&facts, None));
            prop_assert_eq!(Some(first_rule(&playbook, &facts)), tried);
            let why = explain(&playbook, &report, &source, at);
            prop_assert_eq!(&why.classification, &classify(&playbook, &report, &source, at, &place));
            prop_assert_eq!(Some(why.winner.number - 1), tried);
            for condition in &playbook.rule_conditions {
                let by_part = conditions::Part::ALL.into_iter().all(|part| part.holds(condition, &facts, None));
                prop_assert_eq!(condition.holds(&facts, None), by_part, "the decision asks every part");
            }
            prop_assert!(why.winner.failed.is_empty());
            for line in &why.near {
                prop_assert!(line.number > why.winner.number || !line.failed.is_empty(), "{:?}", line);
            }
            for words in &why.words {
                prop_assert_eq!(words.counts, !words.words.is_empty());
            }
        }
    }

    /// The rule book's bounds on what modifiers may do, whatever modifiers a playbook has and in whatever order.
    #[test]
    fn modifiers_stay_within_the_rule_book(
        effects in proptest::collection::vec(
            proptest::sample::select(vec![ModifierEffect::Raise, ModifierEffect::RaiseCasualties, ModifierEffect::Lower]),
            0..6,
        ),
        rule in 0..7_usize,
        severity in 0..4_usize,
    ) {
        let mut playbook = minimal();
        playbook.rules[rule].when = When::default();
        playbook.rules[rule].severity = Severity::ALL[severity];
        playbook.rules.drain(..rule);
        playbook.rule_conditions = vec![Condition::default(); playbook.rules.len()];
        playbook.rule_index = RuleIndex::of(&playbook.rule_conditions);
        let modifier = |(n, effect): (usize, &ModifierEffect)| {
            Modifier { id: format!("m{n}").into(), when: When::default(), effect: *effect }
        };
        playbook.modifiers = effects.iter().enumerate().map(modifier).collect();
        playbook.modifier_conditions = vec![Condition::default(); effects.len()];

        let before = Severity::ALL[severity];
        let c = judge(&playbook, &saying("", Some(VALLEY)));
        let category = &playbook.taxonomy.categories[&c.category];
        let up = before.number().saturating_sub(c.severity.number());
        let casualties = effects.contains(&ModifierEffect::RaiseCasualties);
        prop_assert!(up <= 1 + u8::from(casualties));
        prop_assert!(c.severity != Severity::I || before == Severity::I || casualties);
        prop_assert!(c.severity <= before || c.lane == Lane::Ordinary && c.severity.number() == before.number() + 1);
        prop_assert!(!category.mediation || c.severity == before);
        prop_assert_eq!(c.modifiers.len(), effects.len(), "each that spoke is recorded");
        let steps = |step| c.modifiers.iter().filter(|m| m.step == step).count();
        prop_assert_eq!(
            usize::from(before.number()) + steps(SeverityStep::Lowered),
            usize::from(c.severity.number()) + steps(SeverityStep::Raised),
            "what is recorded adds up"
        );
        let mut backwards = playbook.clone();
        backwards.modifiers.reverse();
        prop_assert_eq!(judge(&backwards, &saying("", Some(VALLEY))).severity, c.severity);
    }
}
