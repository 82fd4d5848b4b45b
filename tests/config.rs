//! The shipped configuration: every playbook loads and says what it is meant to say, in the words people use.
//!
//! The counts of Hengyang are the published ones. What its words make of real texts is measured on the Chinese Emergency
//! Corpus (267 news reports of five kinds), read in place; news are not calls for help, but they hold every way to say that
//! somebody was hurt, and every way to say that nobody was.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use muster::classify::{classify, explain};
use muster::model::{
    Classification, Kind, Lane, Position, PostSpec, Report, Ring, RiskClass, Severity, SiteId, Spot, Timestamp,
};
use muster::playbook::Playbook;

const SETS: [&str; 6] = ["by-echelon", "by-phase", "by-place", "by-severity", "nena", "nfpa"];

fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The files of a shipped playbook, as (name, text).
fn files(name: &str) -> Vec<(String, String)> {
    let folder = folder("config/playbooks").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&p).unwrap())).collect()
}

fn load_set(name: &str, set: Option<&str>) -> Playbook {
    Playbook::load_set(&files(name), set).unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{name} {set:?}: {} problems\n{}", lines.len(), lines.join("\n"))
    })
}

/// Reading and checking takes a second without optimisation: once is enough for all tests.
fn load(name: &str) -> &'static Playbook {
    static SHIPPED: [LazyLock<Playbook>; 2] =
        [LazyLock::new(|| load_set("hengyang", None)), LazyLock::new(|| load_set("harbour", None))];
    &SHIPPED[usize::from(name == "harbour")]
}

/// A Monday at noon, in Hengyang.
fn noon() -> Timestamp {
    Timestamp::parse("2026-11-23T12:00:00+08:00").unwrap()
}

fn say(playbook: &Playbook, source: &str, report: &Report) -> Classification {
    let place = playbook.areas.locate(&report.place);
    classify(playbook, report, &source.into(), noon(), &place)
}

fn text(words: &str) -> Report {
    Report { text: words.into(), ..Report::default() }
}

#[test]
fn hengyang_has_the_published_counts() {
    let census = load("hengyang").census();
    assert_eq!((census.domains, census.classes, census.items), (5, 25, 106));
    assert_eq!((census.counties, census.areas, census.risk_kinds), (12, 188, 5));
    let by_class: Vec<(&str, usize)> = census.areas_by_class.iter().map(|(class, n)| (class.as_str(), *n)).collect();
    assert_eq!(by_class, [("1", 57), ("2", 86), ("3", 45)]);
    assert_eq!(census.teams, 4800);
    assert!((550..=650).contains(&census.posts), "{} posts", census.posts);
    assert!(census.posts_by_kind.len() == 4 && census.posts_by_kind.values().all(|n| *n >= 50));
    assert!(census.rules >= 60, "{} rules", census.rules);
    let townships: Vec<(&str, usize)> = census.townships.iter().map(|(v, n)| (v.as_str(), *n)).collect();
    assert_eq!(townships, [("mca-2026", 187), ("nbs-2023", 191)]);
    assert_eq!(census.neighbours, 13);
}

#[test]
fn hengyang_covers_the_kinds_of_public_safety_and_no_opinion() {
    let playbook = load("hengyang");
    let classes: BTreeSet<&str> = playbook.taxonomy.categories.values().map(|c| c.class.as_str()).collect();
    for kind in [
        "violence",
        "terror",
        "crowd",
        "fire",
        "hazmat",
        "road-traffic",
        "medical",
        "missing-child",
        "epidemic",
        "production",
        "disaster",
        "drugs",
        "telecom-fraud",
        "minors",
        "elder-fraud",
        "organised-crime",
        "dispute",
        "help",
        "nuisance",
    ] {
        assert!(classes.contains(format!("public-safety/{kind}").as_str()), "{kind}");
    }
    for category in playbook.taxonomy.categories.values() {
        for word in ["political", "belief", "religio", "opinion", "政治", "信仰", "宗教"] {
            let said = [category.id.as_str(), &category.zh, &category.en, &category.risk];
            assert!(said.iter().all(|s| !s.contains(word)), "{} says {word}", category.id);
        }
    }
    let petition = &playbook.taxonomy.categories["public-safety/dispute/petition"];
    assert!(petition.mediation && !petition.bottom_line && !petition.trigger_at_once);
}

#[test]
fn every_set_of_hengyang_may_be_put_in_force_by_one_word() {
    for set in SETS {
        let playbook = &load_set("hengyang", Some(set));
        assert_eq!(playbook.plans.len(), 15, "{set}");
        assert_eq!(playbook.plans["rapid-response"].set, set);
        assert_eq!(playbook.plans["mediation"].set, "general");
    }
}

#[test]
fn the_default_plan_is_the_published_one() {
    let playbook = load("hengyang");
    let plan = &playbook.plans["rapid-response"];
    let mark = |name: &str| plan.marks.iter().find(|m| m.name.as_str() == name).unwrap();
    let limits = |name: &str| {
        [Ring::One, Ring::Three, Ring::Five].map(|ring| mark(name).limit(playbook.rings.limit(ring)).to_string())
    };
    assert_eq!(limits("signed"), ["60s"; 3].map(String::from));
    assert_eq!(limits("on-scene"), ["60s", "3min", "5min"].map(String::from));
    assert_eq!(limits("joint"), ["5min", "5min", "7min"].map(String::from));
    for name in ["signed", "on-scene", "joint"] {
        assert_eq!(mark(name).warning_percent, 60, "{name}");
    }
    assert_eq!(mark("joint").severity, [Severity::I, Severity::II]);
    assert_eq!(plan.expiry.to_string(), "5min");
}

#[test]
fn the_plaza_of_the_contract_is_found_by_name_and_by_position() {
    let playbook = load("hengyang");
    let report: Report = serde_json::from_value(serde_json::json!({
        "code": "JQ-0301", "text": "商场冒烟 有明火", "status": "actual", "attributes": { "smoke_ppm": 410.0 },
        "place": { "id": "lotus-plaza", "township": "430408001", "vintage": "mca-2026", "position": [112.60, 26.89], "accuracy_m": 30.0 },
        "references": []
    }))
    .unwrap();
    let place = playbook.areas.locate(&report.place);
    assert_eq!(place.site, Some(SiteId::from("lotus-plaza")));
    assert_eq!((place.ring, place.spot, place.county), (Ring::One, Spot::Known, Some("430408".into())));
    let mut without = report.place.clone();
    without.id = None;
    assert_eq!(playbook.areas.locate(&without).area, place.area, "the position leads to the same area");
    let class = say(playbook, "110/desk-3", &report);
    assert_eq!(class.category.as_str(), "public-safety/fire/structure");
    assert_eq!((class.severity, class.lane, class.plan.as_str()), (Severity::II, Lane::BottomLine, "rapid-response"));
    // Smoke alone is of severity III; the key site makes it II.
    let smoke = say(playbook, "110/desk-3", &Report { text: "商场冒烟".into(), code: None, ..report });
    assert_eq!((smoke.rule.as_str(), smoke.severity), ("fire.smoke", Severity::II));
}

#[test]
fn every_place_lies_where_it_says() {
    for name in ["hengyang", "harbour"] {
        let playbook = load(name);
        let areas = &playbook.areas;
        for area in areas.areas.values() {
            let outline = &areas.counties[&area.county].outline;
            assert!(area.centre.is_within(outline), "{name}: centre of {} outside {}", area.id, area.county);
            assert_eq!(areas.area_at(area.centre).map(|a| &a.id), Some(&area.id), "{name}");
        }
        for site in areas.sites.values() {
            assert_eq!(areas.area_at(site.position).map(|a| &a.id), Some(&site.area), "{}", site.id);
        }
        for source in playbook.sources.values().filter(|s| s.position.is_some()) {
            assert_eq!(
                areas.area_at(source.position.unwrap()).map(|a| &a.id),
                source.area.as_ref(),
                "{}",
                source.prefix
            );
        }
    }
}

#[test]
fn every_point_of_hengyang_has_an_area() {
    let playbook = load("hengyang");
    let mut inside = 0;
    for i in 0..100 {
        for j in 0..80 {
            let point = Position { lon: 111.5 + f64::from(i) * 0.02, lat: 26.1 + f64::from(j) * 0.018 };
            let ours = playbook.areas.counties.values().any(|c| point.is_within(&c.outline));
            if ours {
                inside += 1;
                assert!(playbook.areas.area_at(point).is_some(), "{point:?} lies in a county and in no area");
            }
        }
    }
    assert!(inside > 3000, "{inside}");
}

#[test]
fn every_area_of_hengyang_can_keep_its_minimum_when_one_post_leaves() {
    let playbook = load("hengyang");
    let mut posts: BTreeMap<&str, usize> = BTreeMap::new();
    for post in playbook.posts.values().filter(|p| p.hours.is_always() && p.kind != Kind::Standing) {
        *posts.entry(post.area.as_str()).or_default() += 1;
    }
    for area in playbook.areas.areas.values() {
        let n = posts.get(area.id.as_str()).copied().unwrap_or_default();
        assert!(n > usize::from(area.min_cover), "{}: {n} posts round the clock, cover {}", area.id, area.min_cover);
    }
}

#[test]
fn every_need_can_be_met_from_every_area_at_three_in_the_morning() {
    let playbook = load("hengyang");
    let three = 3 * 60;
    let awake: Vec<_> = playbook.posts.values().filter(|p| p.hours.contains(three)).collect();
    let mut missing = BTreeSet::new();
    for need in playbook.plans.values().flat_map(|plan| &plan.needs).flat_map(|row| &row.needs) {
        let able = |p: &&&PostSpec| {
            need.kinds.contains(&p.kind) && need.capability.as_ref().is_none_or(|c| p.capabilities.contains(c))
        };
        let able: Vec<_> = awake.iter().filter(able).collect();
        for area in playbook.areas.areas.values() {
            let near = able.iter().filter(|p| p.base.distance_m(area.centre) <= playbook.cost.reach_m).count();
            if near < usize::from(need.count) {
                missing.insert(format!("{}: {near} for {need:?}", area.id));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn codes_of_two_tables_are_never_mixed() {
    let playbook = load("hengyang");
    let name = |vintage: &str| {
        let key = (vintage.into(), "430481114".into());
        playbook.areas.townships[&key].name.to_string()
    };
    assert_eq!([name("mca-2026"), name("nbs-2023")], ["仁义镇", "大市镇"]);
    // Each assessed area names at most one township of the table in force, and one names none.
    let in_force = playbook.areas.townships.values().filter(|t| t.vintage == "mca-2026");
    let named: Vec<_> = in_force.filter_map(|t| t.area.clone()).collect();
    assert_eq!((named.len(), named.iter().collect::<BTreeSet<_>>().len()), (187, 187));
}

/// What callers say, and what it must become. None of these texts stands in the playbook.
const CALLS: &[(&str, &str)] = &[
    ("我家厨房着火了，火很大", "public-safety/fire/structure"),
    ("楼下冒烟，烟很大，不知道怎么回事", "public-safety/fire/structure"),
    ("电动车在楼道充电冒烟", "public-safety/fire/electric"),
    ("路边一辆小车起火了", "public-safety/fire/vehicle"),
    ("后山着火了，风很大", "public-safety/fire/forest"),
    ("垃圾桶着火", "public-safety/fire/outdoor"),
    ("楼道里有煤气味，很重", "public-safety/hazmat/gas-leak"),
    ("氨气泄漏，工厂", "public-safety/hazmat/chemical-leak"),
    ("可疑包裹在车站", "public-safety/hazmat/explosives"),
    ("有人拿刀砍人，快来", "public-safety/violence/knife"),
    ("有人持枪抢劫银行", "public-safety/violence/firearm"),
    ("两个人在门口打架", "public-safety/violence/assault"),
    ("一群人打群架", "public-safety/violence/affray"),
    ("老公打我，救命", "public-safety/violence/domestic"),
    ("有个人见人就砍", "public-safety/terror/mass-attack"),
    ("炸弹，有人说要炸掉这里", "public-safety/terror/threat"),
    ("人太多挤倒了，有人踩踏", "public-safety/crowd/stampede"),
    ("老人晕倒了，叫不醒", "public-safety/medical/unconscious"),
    ("我爸没呼吸了", "public-safety/medical/cardiac"),
    ("我爸胸痛喘不上气", "public-safety/medical/illness"),
    ("孕妇羊水破了", "public-safety/medical/childbirth"),
    ("煤气中毒，两个人晕了", "public-safety/medical/poisoning"),
    ("两车追尾，没有人受伤", "public-safety/road-traffic/damage"),
    ("车被刮擦了，人没事", "public-safety/road-traffic/damage"),
    ("摩托车撞到人，流血了", "public-safety/road-traffic/injury"),
    ("车翻了，人卡在车里出不来", "public-safety/road-traffic/trapped"),
    ("孩子在商场走失了，五岁", "public-safety/missing-child/child"),
    ("孩子被人贩子抱走了", "public-safety/missing-child/abduction"),
    ("老人走失，有痴呆", "public-safety/missing-child/vulnerable"),
    ("有小孩掉进水塘了", "public-safety/help/drowning"),
    ("有人站在楼顶要跳楼", "public-safety/help/fall-risk"),
    ("电梯里困住两个人", "public-safety/help/trapped"),
    ("钥匙忘带了，要开锁", "public-safety/help/locked-out"),
    ("食堂吃完饭，几十个学生呕吐", "public-safety/epidemic/food-poisoning"),
    ("工地脚手架倒塌，压了人", "public-safety/production/collapse"),
    ("机器卷了手", "public-safety/production/machine"),
    ("化粪池里有两个人昏迷了", "public-safety/production/confined-space"),
    ("河水漫坝了，要决堤", "public-safety/disaster/dam"),
    ("小区被淹，积水一米深", "public-safety/disaster/flood"),
    ("我被骗了三万，刷单", "public-safety/telecom-fraud/lost"),
    ("对方让我转账，还没转", "public-safety/telecom-fraud/in-progress"),
    ("有人卖保健品骗老人", "public-safety/elder-fraud/health-products"),
    ("收保护费的又来了", "public-safety/organised-crime/extortion"),
    ("女儿被猥亵，就现在，快来", "public-safety/minors/in-progress"),
    ("隔壁邻居吵架", "public-safety/dispute/neighbour"),
    ("工地拖欠工资半年", "public-safety/dispute/labour"),
    ("我想反映问题，村里修路", "public-safety/dispute/petition"),
    ("广场舞太吵了", "public-safety/nuisance/noise"),
    ("手机不见了", "public-safety/nuisance/theft"),
    ("红绿灯坏了", "traffic/order/signal"),
    ("井盖不见了", "urban/utilities/manhole"),
    ("水管爆了", "urban/utilities/water-main"),
    ("路面塌陷一个大坑", "urban/utilities/road-subsidence"),
    ("没有起火，就是停电了", "urban/utilities/power-outage"),
    ("烧烤店油烟太大", "urban/order/smoke-and-smell"),
    ("农民烧秸秆，有烟", "rural/village/straw-burning"),
    ("今天天气不错", "public-safety/help/other"),
];

#[test]
fn what_callers_say_is_understood() {
    let playbook = load("hengyang");
    let wrong: Vec<String> = CALLS
        .iter()
        .map(|(words, category)| (words, category, say(playbook, "110/desk-1", &text(words))))
        .filter(|(_, category, class)| class.category.as_str() != **category)
        .map(|(words, category, class)| format!("{words}: {} by {}, not {category}", class.category, class.rule))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_denied_raises_nothing() {
    let playbook = load("hengyang");
    let severity = |words: &str| say(playbook, "110/desk-1", &text(words)).severity;
    for denied in ["无人员伤亡", "尚无伤亡", "未造成人员伤亡", "没有人受伤", "所幸没人受伤", "暂未接到人员伤亡报告"]
    {
        let plain = severity("两车追尾");
        assert_eq!(severity(&format!("两车追尾，{denied}")), plain, "{denied}");
        assert!(severity(&format!("两车追尾，{denied}，后发现一人死亡")) < plain, "{denied}, then somebody was");
    }
    for denied in ["未起火", "没有明火", "没有着火"] {
        assert_ne!(
            say(playbook, "110/desk-1", &text(denied)).category.as_str(),
            "public-safety/fire/structure",
            "{denied}"
        );
    }
    assert_eq!(severity("有人员被困，商场冒烟"), Severity::II);
    assert_eq!(severity("无人被困，厨房冒烟"), Severity::III);
}

#[test]
fn lowering_words_lower_the_ordinary_and_never_the_bottom_line() {
    let playbook = load("hengyang");
    let severity = |words: &str| say(playbook, "110/desk-1", &text(words)).severity;
    assert_eq!((severity("厨房冒烟"), severity("厨房冒烟，现在烟散了")), (Severity::III, Severity::IV));
    assert_eq!((severity("厨房明火"), severity("厨房明火，被扑灭")), (Severity::II, Severity::II));
    assert_eq!(severity("演练 厨房明火"), Severity::II, "the word is no drill");
}

#[test]
fn nothing_moves_a_mediation_case() {
    let playbook = load("hengyang");
    let site = playbook.areas.sites.values().next().unwrap();
    let mut report = text("邻居吵架，有人受伤");
    report.place.id = Some(site.id.as_str().into());
    let class = say(playbook, "110/desk-1", &report);
    assert_eq!(playbook.taxonomy.categories[&class.category].class, "public-safety/dispute");
    assert_eq!((class.severity, class.lane), (Severity::IV, Lane::Ordinary));
    assert!(playbook.plans[&class.plan].mediation && playbook.plans[&class.plan].linkage.is_none());
}

#[test]
fn devices_are_read_by_their_numbers() {
    let playbook = load("hengyang");
    let reading = |source: &str, readings: &[(&str, f64)]| {
        let attributes = readings.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        let class = say(playbook, source, &Report { attributes, ..Report::default() });
        (class.rule.to_string(), class.severity)
    };
    assert_eq!(reading("panel/lotus-plaza", &[("smoke_ppm", 410.0)]), ("fire.panel.smoke".into(), Severity::III));
    let both = [("smoke_ppm", 410.0), ("temperature", 60.0)];
    assert_eq!(reading("panel/lotus-plaza", &both), ("fire.panel.confirmed".into(), Severity::II));
    assert_eq!(reading("panel/x", &[("smoke_ppm", 20.0)]), ("fire.panel.alarm".into(), Severity::IV));
    assert_eq!(reading("button/bank-1", &[("duress", 1.0)]), ("violence.alarm-button".into(), Severity::II));
    assert_eq!(reading("camera/railway-station", &[("people_per_m2", 5.0)]), ("crowd.camera".into(), Severity::III));
}

/// The corpus's kinds, and where each belongs.
const KINDS: [(&str, &[&str]); 5] = [
    ("earthquake", &["public-safety/disaster/earthquake"]),
    ("fire", &["public-safety/fire/"]),
    ("food_poisoning", &["public-safety/epidemic/food-poisoning"]),
    (
        "terrorist_attack",
        &["public-safety/terror/", "public-safety/violence/hostage", "public-safety/violence/firearm"],
    ),
    ("traffic_accident", &["public-safety/road-traffic/", "traffic/transport/"]),
];

/// Texts that say nobody was hurt and tell of nobody else who was (read one by one).
const NOBODY_HURT: [&str; 13] = [
    "earthquake-008",
    "earthquake-017",
    "earthquake-031",
    "earthquake-032",
    "earthquake-039",
    "earthquake-053",
    "earthquake-059",
    "fire-007",
    "fire-012",
    "fire-038",
    "fire-068",
    "traffic_accident-032",
    "traffic_accident-072",
];

#[test]
fn real_texts_are_put_into_their_class_and_denials_are_believed() {
    let path = folder("../shared/data/text-zh/cec/cec-dev.jsonl");
    let Ok(corpus) = fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is missing", path.display());
        return;
    };
    let playbook = load("hengyang");
    let mut tally: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut denials = BTreeSet::new();
    for line in corpus.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let [id, kind, words] = ["id", "category", "text"].map(|key| row[key].as_str().unwrap());
        let class = say(playbook, "110/desk-1", &text(words));
        let category = class.category.as_str();
        let (_, right) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
        let (hits, all) = tally.entry(kind.to_owned()).or_default();
        *all += 1;
        *hits += usize::from(right.iter().any(|prefix| category.starts_with(prefix)));
        if NOBODY_HURT.contains(&id) {
            let explained = explain(playbook, &text(words), &"110/desk-1".into(), noon());
            let casualties = explained.words.iter().find(|g| g.group == "casualty").expect(id);
            assert!(!casualties.counts, "{id}: {:?}", casualties.words);
            assert!(class.modifiers.iter().all(|m| m.id != "casualties"), "{id} was raised");
            denials.insert(id.to_owned());
        }
    }
    assert_eq!(denials.len(), NOBODY_HURT.len());
    for (kind, (hits, all)) in &tally {
        let share = 100 * hits / all;
        println!("{kind}: {hits} of {all} ({share} %)");
        assert!(share >= 90, "{kind}: {hits} of {all}");
    }
}

#[test]
fn harbour_shares_nothing_with_hengyang_but_the_shape() {
    let [harbour, hengyang] = ["harbour", "hengyang"].map(load);
    assert_eq!((harbour.head.set.as_str(), harbour.head.time_zone.as_str()), ("nfpa", "America/Halifax"));
    assert!(harbour.areas.sites.is_empty(), "no key sites");
    assert!(harbour.areas.zones.iter().all(|zone| zone.ring >= Ring::Five), "only slow rings");
    assert!(harbour.taxonomy.categories.keys().all(|id| !hengyang.taxonomy.categories.contains_key(id)));
    assert!(harbour.plans.keys().all(|id| !hengyang.plans.contains_key(id)));
    load_set("harbour", Some("nena"));
    for (words, category) in [
        ("Man overboard by the ferry", "water/rescue/person"),
        ("trawler sinking off the mole", "water/vessel/sinking"),
        ("reefer container on fire, quay 2", "quay/cargo/container-fire"),
        ("strong smell of AMMONIA", "quay/cargo/ammonia"),
        ("Kitchen fire, nobody hurt", "town/fire/building"),
        ("docker crushed by a forklift", "quay/crane/fall"),
        ("someone took my berth again", "community/quarrel/berth"),
        ("nothing burning, no smoke, just a pothole", "community/service/lights"),
    ] {
        let class = say(harbour, "911/desk-1", &text(words));
        assert_eq!(class.category.as_str(), category, "{words} by {}", class.rule);
    }
    let denied = say(harbour, "911/desk-1", &text("car crash, nobody hurt"));
    assert_eq!((denied.severity, denied.modifiers.len()), (Severity::III, 0));
    let class_one = RiskClass::try_from(1).unwrap();
    assert!(harbour.areas.areas.values().any(|area| area.class == class_one));
}
