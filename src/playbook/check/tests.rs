//! Every refusal, with its words: one line of the minimal playbook is changed, and exactly these problems are found.

use crate::playbook::{Playbook, minimal_files};

/// One change and what it is refused with.
struct Case {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    problems: &'static [&'static str],
}

fn problems_of(files: &[(String, String)]) -> Vec<String> {
    match Playbook::load(files) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn changed(file: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let mut files = minimal_files();
    let (_, text) = files.iter_mut().find(|(name, _)| name == file).expect("a file of the minimal playbook");
    assert!(text.contains(from), "{file} holds no longer: {from}");
    *text = text.replacen(from, to, 1);
    files
}

/// Checks every case; a line of the text is written `*`, so that the minimal playbook may grow.
fn refuses(cases: &[Case]) {
    let mut wrong = String::new();
    for Case { file, from, to, problems } in cases {
        let found: Vec<String> = problems_of(&changed(file, from, to)).iter().map(|p| without_line(p)).collect();
        if found != *problems {
            wrong += &format!("\n{file}: {from} → {to}\n  expected {problems:#?}\n  found {found:#?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// `file.toml:12: what` → `file.toml:*: what`, also within a message.
fn without_line(problem: &str) -> String {
    let mut parts = problem.split(".toml:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        assert!(digits > 0, "a problem names its line: {problem}");
        text += ".toml:*";
        text += &part[digits..];
    }
    text
}

#[test]
fn shape_unknown_keys_types_and_syntax() {
    refuses(&[
        // There is no field for a person, and none can be added.
        Case {
            file: "places.toml",
            from: r#"kind = "patrol", area = "quay", base = [112.604, 26.892]"#,
            to: r#"kind = "patrol", area = "quay", base = [112.604, 26.892], officer = "x""#,
            problems: &["places.toml:*: post `P-1`: unknown field `officer`, expected one of `id`, `kind`, `name`, \
                         `area`, `base`, `hours`, `strength`, `capabilities`, `radius_m`"],
        },
        Case {
            file: "playbook.toml",
            from: "[playbook]",
            to: "[[person]]\nname = \"x\"\n[playbook]",
            problems: &["playbook.toml:*: a playbook has no table `person`"],
        },
        Case {
            file: "playbook.toml",
            from: "time_zone = ",
            to: "time_zon = ",
            problems: &["playbook.toml:*: playbook `9900`: unknown field `time_zon`, expected one of `name`, \
                         `title`, `version`, `command_area`, `time_zone`, `set`, `unknown_place_plan`, `vintage` \
                         (did you mean \"time_zone\"?)"],
        },
        Case {
            file: "places.toml",
            from: "class = 1, centre",
            to: "class = 4, centre",
            problems: &["places.toml:*: area `quay`: risk class 4 is none of 1, 2, 3"],
        },
        Case {
            file: "categories.toml",
            from: "window = \"30min\"",
            to: "window = \"30\"",
            problems: &["categories.toml:*: class `safety/fire`: `30` is no span of time; write a whole number with \
                         its unit, such as \"90s\", \"5min\", \"2h\" or \"3d\""],
        },
        Case {
            file: "places.toml",
            from: "hours = \"07:00-09:00,16:30-18:30\"",
            to: "hours = \"7 to 9\"",
            problems: &[
                "places.toml:*: post `H-1`: `7 to 9` are no hours; write \"07:00-19:00\", \"22:00-06:00\" or \"24h\""
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"limit = "90s""#,
            to: r#"limit = "rings""#,
            problems: &[
                "playbook.toml:*: plan `verify-first`: `rings` is no limit; write \"ring\" or a span such as \"90s\""
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "verified""#,
            to: r#"milestone = "verifed""#,
            problems: &["playbook.toml:*: plan `verify-first`: unknown variant `verifed`, expected one of `located`, \
                         `verified`, `taken`, `ordered`, `signed`, `en-route`, `on-scene`, `joint-on-scene`, \
                         `first-report`, `cleared`, `controlled`, `closed` (did you mean \"verified\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: "[playbook]",
            to: "[limits]\nqueue_max = 1\n[limits.more]\nx = 1\n[playbook]",
            problems: &["playbook.toml:*: [limits]: unknown field `more`, expected one of `position_stale`, \
                         `queue_max`, `repeats_known`, `closed_kept`, `clock_ahead`, `clock_behind`, \
                         `orders_per_incident`, `reports_per_incident`, `all_call_per_step`, `mark_repeats`, \
                         `located_within`"],
        },
        Case {
            file: "playbook.toml",
            from: "[playbook]",
            to: "[rule]\nid = \"x\"\n[playbook]",
            problems: &["playbook.toml:*: `rule` is a list; write `[[rule]]`"],
        },
        Case {
            file: "categories.toml",
            from: "[[class]]\nid = \"safety/medical\"",
            to: "[[class]]\nagency = []\nid = \"safety/medical\"",
            problems: &["categories.toml:*: class `safety/medical`: unknown field `agency`, expected one of `id`, \
                         `zh`, `en`, `risk`, `family`, `matching`, `late`, `trigger_at_once`, `bottom_line`, \
                         `mediation`, `volunteers_barred`, `agencies` (`agency = [...]` must stand above the first \
                         `[` header of its file)"],
        },
    ]);
}

#[test]
fn names_stand_once_and_are_names() {
    refuses(&[
        Case {
            file: "places.toml",
            from: r#"{ id = "P-2", kind = "patrol""#,
            to: r#"{ id = "P-1", kind = "patrol""#,
            problems: &["places.toml:*: post `P-1` stands twice; the first is in places.toml:*"],
        },
        Case {
            file: "places.toml",
            from: r#"code = "990001009", vintage = "old-2021""#,
            to: r#"code = "990001002", vintage = "old-2021""#,
            problems: &["places.toml:*: township `990001002` of the table `old-2021` stands twice; the first is in \
                         places.toml:*"],
        },
        Case {
            file: "playbook.toml",
            from: "[[plan]]\nid = \"verify-first\"\ntitle = \"Verification first\"\nset = \"general\"",
            to: "[[plan]]\nid = \"rapid-response\"\ntitle = \"x\"\nset = \"by-place\"",
            problems: &[
                "categories.toml:*: rule `alarm.panel` names the plan `verify-first`, which does not exist",
                "playbook.toml:*: plan `rapid-response` of the set `by-place` stands twice; the first is in \
                 playbook.toml:*",
            ],
        },
        Case {
            file: "places.toml",
            from: r#"{ id = "P-2", kind = "patrol""#,
            to: r#"{ id = "P 2", kind = "patrol""#,
            problems: &["places.toml:*: post `P 2` is no name (1 to 64 bytes without spaces)"],
        },
    ]);
}

#[test]
fn references_dangle_and_the_nearest_name_is_suggested() {
    refuses(&[
        Case {
            file: "categories.toml",
            from: r#"severity = "III", plan = "verify-first""#,
            to: r#"severity = "III", plan = "verify-frist""#,
            problems: &[
                "categories.toml:*: rule `alarm.panel` names the plan `verify-frist`, which does not exist (did you \
                 mean \"verify-first\"?)",
                "playbook.toml:*: plan `verify-first` is in force, but no rule names it, so its marks can never fire",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"category = "safety/alarm/panel""#,
            to: r#"category = "safety/alarm/pannel""#,
            problems: &["categories.toml:*: rule `alarm.panel` names the category `safety/alarm/pannel`, which does \
                         not exist (did you mean \"safety/alarm/panel\"?)"],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["noise"] }"#,
            to: r#"when = { any = ["noises"] }"#,
            problems: &["categories.toml:*: rule `nuisance.noise` names the keyword group `noises`, which does not \
                         exist (did you mean \"noise\"?)"],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { key_site = true }"#,
            to: r#"when = { area = ["key"] }"#,
            problems: &["categories.toml:*: modifier `key-site` names the area `key`, which does not exist"],
        },
        Case {
            file: "categories.toml",
            from: r#"agencies = ["ambulance"]"#,
            to: r#"agencies = ["ambulanse"]"#,
            problems: &["categories.toml:*: class `safety/medical` names the agency `ambulanse`, which does not \
                         exist (did you mean \"ambulance\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: "set = \"general\"\nverify_first = true\nlinkage = \"standard\"",
            to: "set = \"general\"\nverify_first = true\nlinkage = \"standart\"",
            problems: &["playbook.toml:*: plan `verify-first` names the linkage `standart`, which does not exist \
                         (did you mean \"standard\"?)"],
        },
        Case {
            file: "places.toml",
            from: r#"name = "Ridge", county = "990002", area = "ridge""#,
            to: r#"name = "Ridge", county = "990003", area = "ridge""#,
            problems: &["places.toml:*: township `990002002` of the table `new-2026` names the county `990003`, \
                         which does not exist (did you mean \"990002\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"kinds = ["shortfall", "#,
            to: r#"kinds = ["shortfal", "#,
            problems: &["playbook.toml:*: a subscription of the desk `duty` asks for notices of the kind `shortfal`, \
                         which does not exist (did you mean \"shortfall\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"position = [112.60, 26.89], area = "quay", at_once"#,
            to: r#"position = [112.60, 26.89], area = "quai", at_once"#,
            problems: &["playbook.toml:*: source `button/lotus` names the area `quai`, which does not exist (did you \
                         mean \"quay\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"kind = "panel" }"#,
            to: r#"kind = "pannel" }"#,
            problems: &["playbook.toml:*: source `panel/` is of the kind `pannel`, which does not exist (did you \
                         mean \"panel\"?)"],
        },
    ]);
}

#[test]
fn one_broken_entry_blames_nobody_who_refers_to_it() {
    refuses(&[Case {
        file: "playbook.toml",
        from: "id = \"rapid-response\"\n",
        to: "id = \"rapid-response\"\nradius = 3\n",
        problems: &["playbook.toml:*: plan `rapid-response`: unknown field `radius`, expected one of `id`, `title`, \
                     `set`, `verify_first`, `mediation`, `linkage`, `needs`, `owner`, `agencies`, \
                     `all_call_radius_m`, `all_call_for`, `all_call_at_severity_one`, `expiry`, `mark`"],
    }]);
}

#[test]
fn every_problem_is_told_in_one_run_by_file_and_line() {
    let mut files = minimal_files();
    files[0].1 =
        files[0].1.replacen("severity = \"III\", plan = \"verify-first\"", "severity = \"III\", plan = \"x\"", 1);
    files[1].1 = files[1].1.replacen("county = \"990001\", class", "county = \"1\", class", 2);
    files[2].1 += "\n[[modifier]]\nid = \"m\"\nwhen = { key_site = true }\neffect = raise\n";
    let found = problems_of(&files);
    let places: Vec<&str> = found.iter().map(|p| p.split(": ").next().unwrap()).collect();
    assert_eq!(found.len(), 5, "{found:#?}");
    let line_of = |file: usize, part: &str| 1 + files[file].1.lines().position(|l| l.contains(part)).unwrap();
    let expected = [
        format!("categories.toml:{}", line_of(0, "alarm.panel\"")),
        format!("places.toml:{}", line_of(1, "id = \"quay\"")),
        format!("places.toml:{}", line_of(1, "id = \"market\"")),
        format!("playbook.toml:{}", line_of(2, "id = \"verify-first\"")),
        format!("playbook.toml:{}", line_of(2, "effect = raise")),
    ];
    assert_eq!(places, expected);
}

#[test]
fn head_names_what_is_there() {
    refuses(&[
        Case {
            file: "playbook.toml",
            from: "time_zone = \"Asia/Shanghai\"",
            to: "time_zone = \"Asia/Hengyang\"",
            problems: &[
                "playbook.toml:*: no time zone is called `Asia/Hengyang` (an IANA name such as \"Asia/Shanghai\")"
            ],
        },
        Case { file: "playbook.toml", from: "[playbook]\n", to: "[playbook]\n# set below\n", problems: &[] },
        Case {
            file: "playbook.toml",
            from: "command_area = \"9900\"\ntime_zone = \"Asia/Shanghai\"\nset = \"by-place\"",
            to: "command_area = \"99 00\"\ntime_zone = \"Asia/Shanghai\"\nset = \"by-plaice\"",
            problems: &[
                "playbook.toml:*: `99 00` cannot begin an incident's id (letters, digits, `-`, `_` and `.`)",
                "playbook.toml:*: no plan belongs to the set `by-plaice` (did you mean \"by-place\"?)",
            ],
        },
        Case {
            file: "playbook.toml",
            from: "unknown_place_plan = \"place-unknown\"",
            to: "unknown_place_plan = \"verify-first\"",
            problems: &[
                "playbook.toml:*: plan `verify-first` is for unknown places; it can be neither mediation nor verify \
                 first",
                "playbook.toml:*: plan `verify-first` is for unknown places, but has no mark `located` that always \
                 applies",
                "playbook.toml:*: plan `place-unknown` is in force, but no rule names it, so its marks can never fire",
                "playbook.toml:*: plan `place-unknown` has the mark `located` (`located`), but only `verify-first` is \
                 for unknown places",
            ],
        },
        Case {
            file: "playbook.toml",
            from: "vintage = \"new-2026\"\n",
            to: "",
            problems: &["playbook.toml:*: there are townships of `new-2026`, `old-2021` (`vintage` says in which a \
                         code is read that brings none)"],
        },
        Case {
            file: "playbook.toml",
            from: "vintage = \"new-2026\"\n",
            to: "vintage = \"new-2025\"\n",
            problems: &["playbook.toml:*: no township is of the table `new-2025` (did you mean \"new-2026\"?)"],
        },
    ]);
    let without_head = vec![("a.toml".to_owned(), String::new())];
    assert!(problems_of(&without_head).contains(&"playbook: no file has the table `[playbook]`".to_owned()));
}

#[test]
fn a_single_table_stands_in_one_file() {
    let mut files = minimal_files();
    files[0].1 += "\n[rings]\none = \"1min\"\n";
    files[2].1 += "\n[rings]\none = \"2min\"\n";
    let line = files[2].1.lines().count() - 1;
    assert_eq!(
        problems_of(&files),
        [format!("playbook.toml:{line}: `[rings]` stands twice; it may stand in one file only")]
    );
}

#[test]
fn numbers_lie_where_they_make_sense() {
    let with = |table: &str| {
        let mut files = minimal_files();
        files[2].1 += table;
        problems_of(&files).iter().map(|p| without_line(p)).collect::<Vec<_>>()
    };
    assert_eq!(
        with("\n[rings]\none = \"4min\"\n"),
        ["playbook.toml:*: ring `three` (3min) is faster than ring `one` (4min)"]
    );
    assert_eq!(with("\n[rings]\none = \"0s\"\n").len(), 5, "also every mark that lasts as long as the ring");
    assert_eq!(
        with("\n[travel]\ndetour = 0.9\nspeed_kmh = { standing = 5, patrol = 0, base = 30 }\n"),
        [
            "playbook.toml:*: `detour` is 0.9; it must lie between 1 and 5",
            "playbook.toml:*: `speed_kmh.patrol` is 0; it must lie between 0.1 and 200",
            "playbook.toml:*: `speed_kmh` has no `peak`",
        ]
    );
    assert_eq!(
        with("\n[[travel.barriers]]\nname = \"River\"\nline = [[112.6, 26.8]]\ncrossings = []\n"),
        [
            "playbook.toml:*: barrier `River` has no crossing; nobody could ever be sent across",
            "playbook.toml:*: barrier `River` needs a line of two or more points on the globe",
        ]
    );
    assert_eq!(
        with("\n[cost]\ntask_s = [100.0, 200.0, 50.0, 10.0]\ncover_s = -1.0\n"),
        [
            "playbook.toml:*: `task_s` must fall from severity I to IV: a worse task is dearer to interrupt",
            "playbook.toml:*: `cover_s` is -1; it must lie between 0 and 86400",
        ]
    );
    assert_eq!(
        with("\n[limits]\nqueue_max = 9\nposition_stale = \"0s\"\n"),
        [
            "playbook.toml:*: `queue_max` is 9; it must lie between 0 and 8",
            "playbook.toml:*: `position_stale` is no time at all",
        ]
    );
    assert_eq!(with("\n[folding]\nburst = 0\n"), ["playbook.toml:*: `burst` must be more than nothing"]);
}

#[test]
fn taxonomy_has_its_shape() {
    refuses(&[
        Case {
            file: "categories.toml",
            from: "    { id = \"nature\", zh = \"自然灾害\", en = \"Natural hazards\" },\n",
            to: "",
            problems: &["categories.toml:*: there are 4 kinds of risk; the rule book has 5"],
        },
        Case {
            file: "categories.toml",
            from: "risk = \"dispute\"",
            to: "risk = \"belief\"",
            problems: &[
                "categories.toml:*: class `safety/dispute` names the kind of risk `belief`, which does not exist"
            ],
        },
        Case {
            file: "categories.toml",
            from: "{ id = \"safety/nuisance/other\"",
            to: "{ id = \"nuisance/other\"",
            problems: &[
                "categories.toml:*: item `nuisance/other` must read `domain/class/item`",
                "categories.toml:*: rule `default` names the category `safety/nuisance/other`, which does not exist \
                 (did you mean \"safety/nuisance/noise\"?)",
            ],
        },
        Case {
            file: "categories.toml",
            from: "[[class]]\nid = \"safety/fire\"",
            to: "[[class]]\nid = \"safety/flood\"\nzh = \"洪\"\nen = \"Flood\"\nrisk = \"nature\"\n[[class]]\nid = \
                 \"safety/fire\"",
            problems: &["categories.toml:*: class `safety/flood` has no item, so nothing can ever be of it"],
        },
        Case {
            file: "categories.toml",
            from: "matching = { mode = \"automatic\", distance_m = 300.0, window = \"30min\" }",
            to: "matching = { mode = \"automatic\", distance_m = 300.0, window = \"0s\" }",
            problems: &["categories.toml:*: class `safety/fire` matches within no distance or no time, so never \
                         (write `mode = \"never\"`)"],
        },
    ]);
}

#[test]
fn keywords_can_be_found_and_negations_deny_something() {
    refuses(&[
        Case {
            file: "categories.toml",
            from: r#"words = ["噪音", "扰民", "noise"]"#,
            to: r#"words = ["噪音", "噪音", ""]"#,
            problems: &[
                "categories.toml:*: keyword group `noise` holds `噪音` twice",
                "categories.toml:*: keyword group `noise` holds a word that is empty or longer than 256 bytes",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"negations = ["未起火", "没有明火"]"#,
            to: r#"negations = ["未起火", "没有火"]"#,
            problems: &["categories.toml:*: keyword group `fire` has the negation `没有火`, which holds none of its \
                         words and denies nothing"],
        },
        Case {
            file: "categories.toml",
            from: r#"negations = ["未起火", "没有明火"]"#,
            to: r#"negations = ["Fire"]"#,
            problems: &["categories.toml:*: keyword group `fire` denies its own word `Fire` wherever it stands"],
        },
    ]);
}

#[test]
fn rules_all_speak_and_the_bottom_line_comes_first() {
    refuses(&[
        Case {
            file: "categories.toml",
            from: r#"when = { code = ["FP-"] }"#,
            to: r#"when = { any = ["fire", "medical"], code = ["FP-"] }"#,
            problems: &[],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["noise"] }"#,
            to: r#"when = { all = ["noise", "dispute"], hours = "22:00-06:00" }"#,
            problems: &["categories.toml:*: rule `nuisance.noise` can never match: `dispute.words` \
                         (categories.toml:*) holds whenever it does (put the narrower rule first)"],
        },
        Case {
            file: "categories.toml",
            from: r#"{ id = "alarm.panel", when = { code = ["FP-"] }"#,
            to: r#"{ id = "alarm.panel", when = {}"#,
            problems: &[
                "categories.toml:*: rule `dispute.words` can never match: `alarm.panel` (categories.toml:*) holds \
                 whenever it does (put the narrower rule first)",
                "categories.toml:*: rule `nuisance.noise` can never match: `alarm.panel` (categories.toml:*) holds \
                 whenever it does (put the narrower rule first)",
                "categories.toml:*: rule `default` can never match: `alarm.panel` (categories.toml:*) holds whenever \
                 it does (put the narrower rule first)",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"category = "safety/nuisance/noise", severity = "IV""#,
            to: r#"category = "safety/nuisance/noise", severity = "II""#,
            problems: &["categories.toml:*: bottom-line rule `nuisance.noise` stands below the ordinary \
                         `medical.words`, `alarm.panel`, `dispute.words`, which may take its reports (no ordinary \
                         rule may stand above a bottom-line rule it overlaps)"],
        },
        Case {
            file: "categories.toml",
            from: r#"{ id = "default", category"#,
            to: r#"{ id = "default", when = { any = ["fire"], hours = "08:00-09:00" }, category"#,
            problems: &[
                "categories.toml:*: rule `default` can never match: `fire.words` (categories.toml:*) holds whenever \
                 it does (put the narrower rule first)",
                "categories.toml:*: rule `default` is the last and has a condition; a report it does not fit has no \
                 class (the last rule must be the default, without `when`)",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["medical"] }"#,
            to: r#"when = { any = ["medical"], none = ["medical"] }"#,
            problems: &[
                "categories.toml:*: rule `medical.words` asks for words and for their absence, so it never holds"
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["medical"] }"#,
            to: r#"when = { any = ["medical"], category = ["safety/fire"] }"#,
            problems: &["categories.toml:*: rule `medical.words` asks for a category, which no rule has decided yet \
                         (only modifiers may ask for it)"],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["medical"] }"#,
            to: r#"when = { key_site = true, ring = ["3"] }"#,
            problems: &["categories.toml:*: rule `medical.words` asks for a key site and for rings that exclude each \
                         other; ring 1 is at key sites only"],
        },
        Case {
            file: "categories.toml",
            from: r#"when = { any = ["medical"] }"#,
            to: r#"when = { attributes = [{ name = "spo2", at_least = 90.0, below = 80.0 }] }"#,
            problems: &["categories.toml:*: rule `medical.words` asks `spo2` for no value it could have (give \
                         `at_least`, `below` or both, the first being the smaller)"],
        },
        Case {
            file: "categories.toml",
            from: r#"severity = "II", plan = "rapid-response" },"#,
            to: r#"severity = "II", plan = "verify-first" },"#,
            problems: &["categories.toml:*: rule `violence.knife` gives `safety/violence/knife`, which triggers at \
                         once, the plan `verify-first`, which verifies first"],
        },
        Case {
            file: "categories.toml",
            from: r#"{ id = "class-1", when = { risk_class = [1] }"#,
            to: r#"{ id = "class-1", when = {}"#,
            problems: &["categories.toml:*: modifier `class-1` has no condition, so it would act on every report"],
        },
    ]);
}

#[test]
fn disjoint_rules_may_stand_in_any_order() {
    let below = |when: &str| {
        let to = format!(
            "{{ id = \"late\", when = {when}, category = \"safety/fire/structure\", severity = \"I\", plan = \
             \"rapid-response\" }},\n    {{ id = \"default\", category"
        );
        let files = changed("categories.toml", "{ id = \"default\", category", &to);
        // Only the panel's rule stays above: the others speak of words that any text may hold.
        let mut files = files;
        files[0].1 = files[0].1.replace("{ any = [\"medical\"] }", "{ code = [\"MD\"] }");
        files[0].1 = files[0].1.replace("{ any = [\"dispute\"] }", "{ code = [\"DS\"] }");
        files[0].1 = files[0]
            .1
            .replace("{ any = [\"noise\"] }", "{ code = [\"NS\"], none = [\"casualties\"], hours = \"22:00-06:00\" }");
        problems_of(&files).len()
    };
    assert_eq!(below("{ code = [\"XX\"] }"), 0);
    assert_eq!(below("{ code = [\"F\"] }"), 1, "a code may begin with both");
    assert_eq!(below("{ code = [\"NS\"], all = [\"casualties\"] }"), 0, "the other asks for their absence");
    assert_eq!(below("{ code = [\"NS\"], hours = \"08:00-20:00\" }"), 0, "the other sleeps by day");
    assert_eq!(below("{ code = [\"NS\"], hours = \"05:00-20:00\" }"), 1);
    assert_eq!(below("{ code = [\"NS\"], any = [\"casualties\", \"fire\"] }"), 1, "fire alone is enough");
}

#[test]
fn mediation_orders_nobody() {
    refuses(&[
        Case {
            file: "categories.toml",
            from: r#"severity = "IV", plan = "mediation""#,
            to: r#"severity = "IV", plan = "rapid-response""#,
            problems: &[
                "categories.toml:*: rule `dispute.words` gives the mediation case `safety/dispute/neighbours` the \
                 plan `rapid-response`, which orders posts (a mediation case needs a plan with `mediation = true`)",
                "playbook.toml:*: plan `mediation` is in force, but no rule names it, so its marks can never fire",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"category = "safety/nuisance/noise", severity = "IV", plan = "rapid-response""#,
            to: r#"category = "safety/nuisance/noise", severity = "IV", plan = "mediation""#,
            problems: &["categories.toml:*: rule `nuisance.noise` gives `safety/nuisance/noise` the mediation plan \
                         `mediation`, which orders nobody (only a category with `mediation = true` may have it)"],
        },
        Case {
            file: "categories.toml",
            from: "{ risk_class = [1] }",
            to: "{ category = [\"safety/dispute\"] }",
            problems: &["categories.toml:*: modifier `class-1` names the mediation category `safety/dispute`; \
                         nothing raises or lowers a mediation case"],
        },
        Case {
            file: "categories.toml",
            from: r#"en = "Neighbours at odds" }"#,
            to: r#"en = "Neighbours at odds", trigger_at_once = true }"#,
            problems: &[
                "categories.toml:*: item `safety/dispute/neighbours` is a mediation case, which may not be \
                 `trigger_at_once` (danger on the spot is an incident of its own category)",
                "categories.toml:*: bottom-line rule `dispute.words` stands below the ordinary `medical.words`, \
                 `alarm.panel`, which may take its reports (no ordinary rule may stand above a bottom-line rule it \
                 overlaps)",
            ],
        },
        Case {
            file: "categories.toml",
            from: "mediation = true\n",
            to: "mediation = true\nbottom_line = true\n",
            problems: &[
                "categories.toml:*: item `safety/dispute/neighbours` is a mediation case, which may not be \
                 `bottom_line` (danger on the spot is an incident of its own category)",
                "categories.toml:*: bottom-line rule `dispute.words` stands below the ordinary `medical.words`, \
                 `alarm.panel`, which may take its reports (no ordinary rule may stand above a bottom-line rule it \
                 overlaps)",
            ],
        },
        Case {
            file: "categories.toml",
            from: r#"en = "Noise" }"#,
            to: r#"en = "Noise", family = "safety/dispute" }"#,
            problems: &["categories.toml:*: item `safety/nuisance/noise` and `safety/dispute/neighbours` are of the \
                         family `safety/dispute`, but only one is mediation (a report of danger would join a dispute \
                         and order nobody)"],
        },
        Case {
            file: "playbook.toml",
            from: "mediation = true\n",
            to: "mediation = true\nlinkage = \"standard\"\nall_call_at_severity_one = true\n",
            problems: &[
                "playbook.toml:*: mediation plan `mediation` has `linkage`, but it orders and calls nobody",
                "playbook.toml:*: mediation plan `mediation` asks for an all-call",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "taken", anchor = "received", limit = "2h", on_miss = ["next-level"]"#,
            to: r#"milestone = "on-scene", anchor = "received", limit = "2h", on_miss = ["next-post", "all-call"]"#,
            problems: &[
                "playbook.toml:*: mediation plan `mediation` answers a miss of `taken` with `all-call`",
                "playbook.toml:*: mediation plan `mediation` answers a miss of `taken` with `next-post`",
                "playbook.toml:*: mediation plan `mediation` has the mark `taken`, which only a post can reach",
            ],
        },
    ]);
}

#[test]
fn plans_and_their_marks_can_be_kept() {
    refuses(&[
        Case {
            file: "playbook.toml",
            from: "set = \"by-place\"\nlinkage = \"standard\"",
            to: "set = \"by-place\"",
            problems: &["playbook.toml:*: plan `rapid-response` has no `linkage`, so it would order nobody"],
        },
        Case {
            file: "playbook.toml",
            from: "set = \"by-place\"\nlinkage = \"standard\"",
            to: "set = \"by-place\"\nneeds = []\nlinkage = \"standard\"",
            problems: &["playbook.toml:*: plan `rapid-response` gives `needs` itself; they come from its linkage"],
        },
        Case {
            file: "playbook.toml",
            from: r#"owner = { I = "city", II = "county""#,
            to: r#"owner = { I = "county", II = "city""#,
            problems: &[
                "playbook.toml:*: plan `mediation` gives severity I to the county and the milder II to the city"
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"limit = "ring", plus = "2min", at_least = "5min""#,
            to: r#"limit = "5min""#,
            problems: &["playbook.toml:*: plan `rapid-response`: mark `joint` is due after 5min, before `on-scene` \
                         after 15min (ring rural, severity I) (marks must fall due in the order in which they are \
                         reached)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "signed", anchor = "ordered", limit = "60s", on_miss = ["next-post", "next-level"] },"#,
            to: r#"milestone = "signed", anchor = "ordered", limit = "61s", on_miss = ["next-post", "next-level"] },"#,
            problems: &["playbook.toml:*: plan `rapid-response`: mark `on-scene` is due after 60s, before `signed` \
                         after 61s (ring 1, severity I) (marks must fall due in the order in which they are reached)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"limit = "ring", on_miss = ["next-post", "next-level"] },"#,
            to: r#"limit = "ring", warning_percent = 100, repeat = "0s", on_miss = ["next-post", "next-post"] },"#,
            problems: &[
                "playbook.toml:*: mark `on-scene` of plan `rapid-response` answers a miss with `next-post` twice",
                "playbook.toml:*: mark `on-scene` of plan `rapid-response` repeats after no time at all",
                "playbook.toml:*: mark `on-scene` of plan `rapid-response` warns at 100 percent of its limit (1 to \
                 99, or 0 for no warning)",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "on-scene", anchor = "received", limit = "ring", on"#,
            to: r#"milestone = "on-scene", anchor = "received", limit = "ring", echelon = 3, on"#,
            problems: &["playbook.toml:*: mark `on-scene` of plan `rapid-response` can never fire: linkage \
                         `standard` asks for nobody of echelon 3 where it applies"],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "on-scene", anchor = "received", limit = "ring", on"#,
            to: r#"milestone = "on-scene", anchor = "received", limit = "ring", severity = ["III"], echelon = 2, on"#,
            problems: &["playbook.toml:*: mark `on-scene` of plan `rapid-response` can never fire: linkage \
                         `standard` asks for nobody of echelon 2 where it applies"],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "on-scene", anchor = "received", limit = "ring", on"#,
            to: r#"milestone = "verified", anchor = "received", limit = "ring", on"#,
            problems: &["playbook.toml:*: mark `on-scene` of plan `rapid-response` waits for `verified`, but the \
                         plan does not verify (`verify_first = true`)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"{ name = "signed", scope = "order", milestone = "signed""#,
            to: r#"{ name = "signed", scope = "order", milestone = "joint-on-scene""#,
            problems: &[
                "playbook.toml:*: mark `signed` of plan `rapid-response` is an order's, but no order ever reaches \
                 `joint-on-scene`",
                "playbook.toml:*: plan `rapid-response`: mark `signed` is due after 60s, before `on-scene` after 3min \
                 (ring 3, severity I) (marks must fall due in the order in which they are reached)",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"{ name = "joint", scope = "incident""#,
            to: r#"{ name = "on-scene", scope = "incident""#,
            problems: &["playbook.toml:*: plan `rapid-response` has the mark `on-scene` twice for the same incidents"],
        },
        Case {
            file: "playbook.toml",
            from: r#"severity = ["I", "II"], on_miss = ["all-call""#,
            to: r#"category = ["safety/dispute", "safety/nothing"], on_miss = ["all-call""#,
            problems: &[
                "playbook.toml:*: mark `joint` of plan `rapid-response` can never fire for `safety/dispute`: no rule \
                 gives it this plan",
                "playbook.toml:*: mark `joint` of plan `rapid-response` names the category `safety/nothing`, which \
                 does not exist (did you mean \"safety\"?)",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"{ name = "verified", scope = "incident", milestone = "verified", anchor = "received","#,
            to: r#"{ name = "verified", scope = "incident", milestone = "verified", anchor = "received", ring = ["1"],"#,
            problems: &["playbook.toml:*: plan `verify-first` verifies first, but has no incident mark `verified` \
                         that always applies (without it an unanswered alarm would wait for ever)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"anchor = "confirmed", limit = "ring""#,
            to: r#"anchor = "received", limit = "ring""#,
            problems: &[
                "playbook.toml:*: plan `verify-first` verifies first, but counts its mark `on-scene` from receipt \
                 (count it from `confirmed` or `ordered`)",
                "playbook.toml:*: plan `verify-first`: mark `on-scene` is due after 60s, before `verified` after 90s \
                 (ring 1, severity I) (marks must fall due in the order in which they are reached)",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"milestone = "located", anchor = "received""#,
            to: r#"milestone = "located", anchor = "ordered""#,
            problems: &["playbook.toml:*: mark `located` of plan `place-unknown` is counted from `ordered`, which \
                         comes after it (`received`)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"{ code = "no-need", zh = "无需处置", en = "Nothing to do" }"#,
            to: r#"{ code = "no-need", zh = "无需处置", en = "Nothing to do", refuted = true }"#,
            problems: &["playbook.toml:*: disposition `refuted` is `refuted` as `no-need` is; exactly one may be"],
        },
        Case {
            file: "playbook.toml",
            from: ", refuted = true",
            to: "",
            problems: &["playbook: no disposition has `refuted = true`; a refuted incident could not be closed"],
        },
        Case {
            file: "playbook.toml",
            from: r#"take_within = "60s", next = "duty""#,
            to: r#"next = "duty""#,
            problems: &["playbook.toml:*: a subscription of the desk `command` names a next desk, but no \
                         `take_within` after which it would go there"],
        },
    ]);
}

#[test]
fn linkage_fits_everything_and_asks_for_somebody() {
    refuses(&[
        Case {
            file: "playbook.toml",
            from: "[[linkage.row]]\nneeds = [{ kinds",
            to: "[[linkage.row]]\nring = [\"3\"]\nneeds = [{ kinds",
            problems: &["playbook.toml:*: the last row of linkage `standard` must fit every ring and severity"],
        },
        Case {
            file: "playbook.toml",
            from: "ring = [\"1\", \"3\"]\nseverity = [\"I\", \"II\"]\nneeds",
            to: "needs",
            problems: &[
                "playbook.toml:*: row 2 of linkage `standard` can never fit: rows above it fit all it does",
                "playbook.toml:*: row 3 of linkage `standard` can never fit: rows above it fit all it does",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"role = "reinforce", capability = "first-aid""#,
            to: r#"role = "reinforce", capability = "first-ade""#,
            problems: &["playbook.toml:*: row 2 of linkage `standard` asks for 1 of base with `first-ade`, but the \
                         roster has 0 (did you mean \"first-aid\"?)"],
        },
        Case {
            file: "playbook.toml",
            from: r#"{ kinds = ["base"], role = "reinforce", echelon = 2 }"#,
            to: r#"{ kinds = ["base"], count = 3, role = "reinforce", echelon = 4 }"#,
            problems: &[
                "playbook.toml:*: row 1 of linkage `standard` asks for 3 of base, but the roster has 2",
                "playbook.toml:*: row 1 of linkage `standard` asks for echelon 4; there are 1, 2 and 3",
            ],
        },
        Case {
            file: "playbook.toml",
            from: r#"needs = [{ kinds = ["standing", "patrol", "base"], role = "first" }]"#,
            to: r#"needs = [{ kinds = [], role = "all-call" }]"#,
            problems: &[
                "playbook.toml:*: row 3 of linkage `standard` asks for nobody in the role `first`, so nobody would be \
                 first on scene",
                "playbook.toml:*: row 3 of linkage `standard` asks for a post of no kind",
            ],
        },
    ]);
}

#[test]
fn places_and_posts_stand_where_they_say() {
    refuses(&[
        Case {
            file: "places.toml",
            from: r#"area = "ridge", base = [112.88, 26.92]"#,
            to: r#"area = "ridge", base = [112.60, 26.89]"#,
            problems: &[
                "places.toml:*: post `P-5` stands 28.0 km from the centre of its area `ridge`, which reaches 12.0 km"
            ],
        },
        Case {
            file: "places.toml",
            from: "base = [112.88, 26.92]",
            to: "base = [26.92, 112.88]",
            problems: &["places.toml:*: post `P-5` stands nowhere on the globe (longitude first)"],
        },
        Case {
            file: "places.toml",
            from: r#"area = "quay", position = [112.60, 26.89], radius_m = 250.0"#,
            to: r#"area = "ridge", position = [112.60, 26.89], radius_m = 0.0"#,
            problems: &[
                "places.toml:*: site `lotus-plaza` has a radius of 0 m; more than 0, at most 10000",
                "places.toml:*: site `lotus-plaza` stands 28.0 km from the centre of its area `ridge`, which reaches \
                 12.0 km",
            ],
        },
        Case {
            file: "places.toml",
            from: r#"name = "Valley", county = "990002", class = 3, centre = [112.75, 26.90], reach_m = 8000.0"#,
            to: r#"name = "Valley", county = "990009", class = 3, centre = [112.75, 26.90], reach_m = -1.0"#,
            problems: &[
                "places.toml:*: area `valley` names the county `990009`, which does not exist (did you mean \
                 \"990002\"?)",
                "places.toml:*: area `valley` reaches -1 m; more than 0, at most 200000",
            ],
        },
        Case {
            file: "places.toml",
            from: r#"name = "Valley", county = "990002", area = "valley""#,
            to: r#"name = "Valley", county = "990002", area = "ridge""#,
            problems: &[
                "places.toml:*: township `990002002` of the table `new-2026` and `990002001` are both the area `ridge`"
            ],
        },
        Case {
            file: "places.toml",
            from: r#"ring = "3", centre = [112.61, 26.90], radius_m = 4000.0"#,
            to: r#"ring = "1", centre = [112.61, 26.90]"#,
            problems: &[
                "places.toml:*: zone `town` is no circle on the globe",
                "places.toml:*: zone `town` is of ring 1; a zone is of ring 3 or 5 (ring 1 is at key sites, rural is \
                 what is left)",
            ],
        },
        Case {
            file: "places.toml",
            from: "outline = [[112.20, 26.80], [112.50, 26.80], [112.50, 27.00], [112.20, 27.00]]",
            to: "outline = [[112.20, 26.80], [112.50, 26.80]]",
            problems: &[
                "places.toml:*: neighbour `9800` has an outline that is none: three or more points, longitude first"
            ],
        },
        Case {
            file: "places.toml",
            from: "command_area = \"9800\"",
            to: "command_area = \"9900\"",
            problems: &["places.toml:*: neighbour `9900` is this command area itself"],
        },
        Case {
            file: "places.toml",
            from: ", hours = \"07:00-09:00,16:30-18:30\"",
            to: ", radius_m = 100.0",
            problems: &[
                "places.toml:*: post `H-1` has `radius_m`, but only a standing post holds a scene",
                "places.toml:*: post `H-1` is a peak post without hours",
            ],
        },
        Case {
            file: "places.toml",
            from: r#"{ area = "quay", count = 12, strength = 5, radius_m = 2500.0"#,
            to: r#"{ area = "quay", count = 0, strength = 5, radius_m = 9500.0"#,
            problems: &[
                "places.toml:*: team block `V-quay` holds nobody",
                "places.toml:*: team block `V-quay` spreads over 9500 m; more than 0, at most the 4000 m its area \
                 reaches",
            ],
        },
        Case {
            file: "places.toml",
            from: "teams = [",
            to: "post_block = [{ prefix = \"P\", kind = \"patrol\", area = \"quay\", count = 2, radius_m = 900.0 \
                 }]\nteams = [",
            problems: &[],
        },
        Case {
            file: "places.toml",
            from: r#"{ id = "P-2", kind"#,
            to: r#"{ id = "V-002", kind = "patrol", area = "quay", base = [112.6, 26.89] }, { id = "P-2", kind"#,
            problems: &[],
        },
    ]);
    let mut files = minimal_files();
    files[1].1 = files[1].1.replacen("id = \"P-2\"", "id = \"P-002\"", 1);
    files[1].1 = files[1].1.replacen(
        "teams = [",
        "post_block = [{ prefix = \"P\", kind = \"patrol\", area = \"quay\", count = 2, radius_m = 900.0 }]\nteams = [",
        1,
    );
    let found: Vec<String> = problems_of(&files).iter().map(|p| without_line(p)).collect();
    assert_eq!(found, ["places.toml:*: post `P-002` has a call sign of the block `P`"]);
}

#[test]
fn another_set_is_put_in_force_and_rules_follow() {
    let mut files = minimal_files();
    files[2].1 += "\n[[plan]]\nid = \"rapid-response\"\nset = \"by-phase\"\nlinkage = \"standard\"\nmark = [{ name = \
                   \"arrive\", scope = \"incident\", milestone = \"on-scene\", anchor = \"received\", limit = \
                   \"3min\" }]\n";
    let by_place = Playbook::load(&files).expect("both forms may stand beside each other");
    let by_phase = Playbook::load_set(&files, Some("by-phase")).expect("the set exists");
    let marks = |p: &Playbook| p.plans["rapid-response"].marks.iter().map(|m| m.name.to_string()).collect::<Vec<_>>();
    assert_eq!(marks(&by_place), ["signed", "on-scene", "joint"]);
    assert_eq!(marks(&by_phase), ["arrive"]);
    assert_ne!(by_place.hash, by_phase.hash, "they decide differently");
    let general = files[2].1.replacen("set = \"by-place\"\nlinkage", "linkage", 1);
    files[2].1 = general;
    assert_eq!(marks(&Playbook::load_set(&files, Some("by-phase")).unwrap()), ["arrive"], "the set's own form wins");
    let unknown: Vec<String> =
        Playbook::load_set(&files, Some("by-fase")).unwrap_err().iter().map(|p| without_line(&p.to_string())).collect();
    assert_eq!(unknown, ["playbook.toml:*: no plan belongs to the set `by-fase` (did you mean \"by-phase\"?)"]);
}

#[test]
fn the_hash_tells_texts_apart_and_not_the_order_of_files() {
    let files = minimal_files();
    let mut turned = files.clone();
    turned.reverse();
    assert_eq!(Playbook::load(&files).unwrap().hash, Playbook::load(&turned).unwrap().hash);
    let commented = changed("places.toml", "site = [", "# x\nsite = [");
    assert_ne!(Playbook::load(&files).unwrap().hash, Playbook::load(&commented).unwrap().hash);
}
