//! Every refusal, with its words.
//!
//! The cases stand in `tests/playbooks/refusals.txt`, where an author of playbooks can read them. After a change of the
//! words, `REWRITE=1 cargo test refusals` writes down what is found now; the difference is for a person to judge.

use std::path::Path;

use proptest::prelude::*;

use crate::playbook::{Playbook, minimal_files};

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

/// `file.toml:12: what` → `file.toml:*: what`, also within a message, so that the minimal playbook may grow.
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

/// The lines of a case that begin with this sign, without it.
fn signed(case: &[&str], sign: char) -> Vec<String> {
    let rest = case.iter().filter_map(|line| line.strip_prefix(sign));
    rest.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()).collect()
}

#[test]
fn refusals_are_those_written_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/refusals.txt");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut found = Vec::new();
    let mut cases = 0;
    for block in written.split("\n\n") {
        let case: Vec<&str> = block.trim_matches('\n').lines().collect();
        if case[0].starts_with('#') {
            found.push(case.join("\n"));
            continue;
        }
        let (from, to) = (signed(&case, '-').join("\n"), signed(&case, '+').join("\n"));
        let mut problems: Vec<String> =
            problems_of(&changed(case[0], &from, &to)).iter().map(|p| without_line(p)).collect();
        if problems.is_empty() {
            problems.push("good".to_owned());
        }
        let unchanged = case.iter().filter(|line| !line.starts_with('=')).map(ToString::to_string);
        found.push(unchanged.chain(problems.iter().map(|p| format!("= {p}"))).collect::<Vec<_>>().join("\n"));
        cases += 1;
    }
    let found = found.join("\n\n") + "\n";
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    for (now, then) in found.split("\n\n").zip(written.split("\n\n")) {
        assert_eq!(now.trim_end(), then.trim_end());
    }
    assert!(cases > 100, "only {cases} cases");
}

#[test]
fn a_plan_that_would_outgrow_its_incidents_document_is_refused() {
    let title = format!("title = \"{}\"", "x".repeat(5 * 1024));
    let found = problems_of(&changed("playbook.toml", "title = \"Mediation\"", &title));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("plan `mediation` takes 5"), "{}", found[0]);
    assert!(found[0].contains("fewer marks or agencies"), "{}", found[0]);
}

#[test]
fn an_empty_text_says_what_is_missing() {
    let without_head = vec![("a.toml".to_owned(), String::new())];
    assert!(problems_of(&without_head).contains(&"playbook: no file has the table `[playbook]`".to_owned()));
}

#[test]
fn a_post_may_not_have_a_call_sign_of_a_block() {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is cut out of a text, moved within it or written into it: it loads, or it is refused with reasons.
    #[test]
    fn a_mangled_text_is_refused_and_never_a_crash(
        file in 0_usize..3,
        from in 0.0..1.0_f64,
        length in 0_usize..80,
        put in prop_oneof![Just(String::new()), "[\\[\\]{}=\",.a-z0-9火-]{0,12}", Just("[[rule]]\n".to_owned())],
    ) {
        let mut files = minimal_files();
        let text = &mut files[file].1;
        let chars: Vec<char> = text.chars().collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
        let from = (from * chars.len() as f64) as usize;
        let to = (from + length).min(chars.len());
        *text = chars[..from].iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(&chars[to..]).collect();
        if let Err(problems) = Playbook::load(&files) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|p| !p.what.is_empty()), "{problems:?}");
        }
    }
}
