//! Real history through mapping files: what the rows say, against counts made by others.
#![cfg(feature = "service")]
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use muster::engine::Entry;
use muster::intake::book::{self, Codes};
use muster::intake::history::{Deed, History};
use muster::intake::mapping::Mapping;
use muster::intake::replay::{self, Outcome, Sheet};
use muster::intake::rows::{self, Table};
use muster::intake::tally::{Leg, Seconds, Tally};
use muster::model::Timestamp;

fn shipped(name: &str) -> Mapping {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/mappings").join(name);
    Mapping::read(name, &std::fs::read_to_string(path).unwrap()).unwrap()
}

fn data(path: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dispatch-dev").join(path);
    let text = std::fs::read(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: {} missing", path.display());
    }
    text
}

fn table(mapping: &Mapping, text: &[u8]) -> Table {
    rows::read(mapping, text, |_| {}).unwrap()
}

fn seconds(mut spans: Vec<u64>) -> (usize, u64, u64) {
    spans.sort_unstable();
    let n = spans.len();
    (n, spans[n / 2] / 1000, spans[n * 9 / 10] / 1000)
}

#[test]
fn san_francisco_rows_give_the_answer_key() {
    let Some(text) = data("sf-fire-2020-04/sf-fire-2020-04.csv") else { return };
    let mapping = shipped("sf-fire.toml");
    let table = table(&mapping, &text);
    assert_eq!((table.rows, table.records.len(), table.refused.len(), table.cells.len()), (10_410, 10_410, 0, 0));
    assert_eq!(table.notes.count("time-inversion"), 1);
    assert_eq!(table.notes.count("row-without-a-place"), 0);

    let history = History::of(&mapping, &table);
    assert_eq!((history.incidents.len(), history.units.len()), (5_292, 199));
    let at = |i: usize| history.incidents[i].received.to_rfc3339();
    assert_eq!((at(0).as_str(), at(5_291).as_str()), ("2020-04-07T07:01:25.000Z", "2020-04-21T06:54:07.000Z"));

    let sent = || table.records.iter().flat_map(|r| r.assignments.iter().map(move |a| (r, a)));
    let dispatch = sent().map(|(r, a)| a.dispatched.since(r.received).0).collect();
    assert_eq!(seconds(dispatch), (10_410, 111, 308));
    let reached: Vec<u64> = sent().filter_map(|(_, a)| a.reached_after()).map(|m| m.0).collect();
    assert_eq!(seconds(reached), (8_694, 306, 815));
    let first = history.incidents.iter().map(|i| i.first().unwrap().at.since(i.received).0).collect();
    assert_eq!(seconds(first), (5_292, 103, 238));
    assert_eq!(history.incidents.iter().map(|i| i.sent.len()).max(), Some(16));

    let mut busy: BTreeMap<&str, u32> = BTreeMap::new();
    let mut changes: Vec<(Timestamp, bool, &str)> = Vec::new();
    for (_, a) in sent() {
        changes.push((a.dispatched, true, &a.unit));
        changes.extend(a.cleared().map(|at| (at, false, a.unit.as_str())));
    }
    changes.sort_unstable();
    let mut most = 0;
    for (_, is_sent, unit) in changes {
        let tasks = busy.entry(unit).or_default();
        *tasks = if is_sent { *tasks + 1 } else { *tasks - 1 };
        most = most.max(busy.values().filter(|n| **n > 0).count());
    }
    assert_eq!(most, 68);
}

#[test]
fn every_row_is_fed_once_and_in_the_order_of_time() {
    let Some(text) = data("sf-fire-2020-04/sf-fire-2020-04.csv") else { return };
    let mapping = shipped("sf-fire.toml");
    let history = History::of(&mapping, &table(&mapping, &text));
    assert!(history.happenings.is_sorted_by_key(|h| h.at));
    let count = |is: fn(&Deed) -> bool| history.happenings.iter().filter(|h| is(&h.deed)).count();
    assert_eq!(count(|d| matches!(d, Deed::Received)), 5_292);
    assert_eq!(count(|d| matches!(d, Deed::Ordered(_))), 10_410);
    assert_eq!(count(|d| matches!(d, Deed::Acted(..))), 3 * 10_410 - 203 - 1_716 - 2);
    assert_eq!(count(|d| matches!(d, Deed::Finished)), 5_292);
}

#[test]
fn shipped_mappings_make_playbooks_that_load() {
    for (name, file) in [
        ("sf-fire.toml", "sf-fire-2020-04/sf-fire-2020-04.csv"),
        ("london-fire.toml", "london-fire/lfb-attendance-2024-01.csv"),
    ] {
        let mapping = shipped(name);
        let Some(text) = data(file) else { continue };
        let history = History::of(&mapping, &table(&mapping, &text));
        let codes = Codes::of(&mapping, &history);
        for set in ["recorded", "decide"] {
            let playbook = book::load(&mapping, &history, &codes, set).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(playbook.posts.len(), history.units.len());
            for incident in &history.incidents {
                assert!(playbook.taxonomy.categories.contains_key(codes.category(incident).unwrap()));
            }
        }
    }
}

/// Replays a file; returns the run and what went into its file of decisions.
fn replay(mapping: &Mapping, text: &[u8], decide: bool) -> (Tally, Outcome, Vec<u8>) {
    let table = table(mapping, text);
    let history = History::of(mapping, &table);
    let codes = Codes::of(mapping, &history);
    let set = if decide { "decide" } else { "recorded" };
    let playbook = Arc::new(book::load(mapping, &history, &codes, set).unwrap_or_else(|e| panic!("{e}")));
    let sheet = Sheet { mapping, history: &history, codes: &codes };
    let mut out = Vec::new();
    let mut sink = |entry: &Entry| {
        serde_json::to_writer(&mut out, entry)?;
        out.push(b'\n');
        Ok(())
    };
    let run = if decide { replay::decide } else { replay::recorded };
    let (tally, outcome) = run(&sheet, playbook, &mut sink, &mut |_| {}).unwrap();
    (tally, outcome, out)
}

#[test]
fn san_francisco_through_the_engine_gives_the_answer_key() {
    let Some(text) = data("sf-fire-2020-04/sf-fire-2020-04.csv") else { return };
    let mapping = shipped("sf-fire.toml");
    let (tally, outcome, decisions) = replay(&mapping, &text, false);
    let counts = &tally.counts;
    assert_eq!((counts.reports, counts.unaccounted, counts.orders), (5_292, 0, 10_410));
    assert_eq!(counts.incidents + counts.merged + counts.folded, 5_292);
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let leg = |l: &Leg| (l.count, l.median_s, l.p90_s);
    assert_eq!(leg(&outcome.legs.dispatch), (10_410, Seconds(111.0), Seconds(308.0)));
    assert_eq!(leg(&outcome.legs.on_scene), (8_694, Seconds(306.0), Seconds(815.0)));
    assert_eq!(leg(&outcome.legs.first_dispatch), (5_292, Seconds(103.0), Seconds(238.0)));
    assert_eq!((outcome.missing_on_scene, outcome.busy_max), (1_716, 68));
    // The city kept all of them apart: what is joined by itself is rare, all near ones of one type are found, few others.
    assert!(counts.merged <= 10, "{}", counts.merged);
    assert_eq!(counts.merged + counts.suggested, 236);

    let again = replay(&mapping, &text, false).2;
    assert!(decisions == again, "the same history twice gives the same bytes");
}

#[test]
fn london_first_picks_are_as_good_as_the_straight_line() {
    let Some(text) = data("london-fire/lfb-attendance-2024-01.csv") else { return };
    let (tally, outcome, _) = replay(&shipped("london-fire.toml"), &text, true);
    assert_eq!((tally.counts.reports, tally.counts.unaccounted), (321, 0));
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let choices = outcome.decide.unwrap();
    assert_eq!((choices.compared, choices.nearest_agreed), (321, 221));
    assert!(choices.agreed >= 221, "{}", choices.agreed);
    assert_eq!(choices.differences.len() as u64, 321 - choices.agreed);
    assert!(choices.differences.iter().all(|d| d.runner_up.is_some() && d.difference_s.is_some()));
}

#[test]
fn odd_rows_go_through_the_engine_and_are_all_accounted_for() {
    let text = "row,no,day,call,code,at,unit,sent,there,back\n\
        1,A,2021-03-27,23:58:00,Fire - Primary Fire,POINT (-0.1 51.5),Pump 1,23:59:00,00:04:00,00:40:00\n\
        2,A,2021-03-27,23:58:00,Fire - Primary Fire,POINT (-0.1 51.5),Pump-1,23:59:00,00:04:00,\n\
        3,B,2021-03-27,23:58:30,,,Pump 1,00:05:00,,00:10:00\n\
        4,C,2021-03-28,03:00:00,never seen,POINT (2 48),P3,03:01:00,03:10:00,03:05:00\n\
        5,D,2021-03-28,03:00:00,Flood,POINT (-0.1 51.5),,,,\n\
        6,E,tomorrow,03:00:00,Flood,POINT (-0.1 51.5),,,,\n";
    let (tally, outcome, _) = replay(&with_columns(ODD_COLUMNS, ODD_TIMES), text.as_bytes(), false);
    let counts = &tally.counts;
    assert_eq!((counts.reports, counts.incidents, counts.orders, counts.unaccounted), (4, 4, 4, 0));
    assert_eq!((outcome.placeless, outcome.outside), (1, 1), "without a place, and far away: neither is refused");
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    assert_eq!((outcome.legs.on_scene.count, outcome.missing_on_scene), (3, 1));
    assert_eq!(outcome.busy_max, 2, "`Pump 1` and `Pump-1` are two units, and P3 is sent after both are free");
}

#[test]
fn london_dates_stand_in_the_number_and_the_clock_has_only_hours() {
    let Some(text) = data("london-fire/lfb-attendance-2024-01.csv") else { return };
    let mapping = shipped("london-fire.toml");
    let table = table(&mapping, &text);
    assert_eq!((table.rows, table.records.len(), table.refused.len()), (321, 321, 0), "{:?}", table.refused.first());
    let history = History::of(&mapping, &table);
    assert_eq!((history.incidents.len(), history.units.len()), (321, 84));
    let clapham = table.records.iter().find(|r| r.row == "015026-25012024").unwrap();
    assert_eq!(clapham.received.to_rfc3339(), "2024-01-25T15:00:00.000Z");
    assert_eq!(clapham.assignments[0].reached_after().unwrap().0, 358_200);
}

/// The columns of the brigade's mobilisation table: several rows an incident, empty times, clearing in two columns.
const MOBILISATION: &str = r#"
[report]
incident = "IncidentNumber"
row = "ResourceMobilisationId"
received = "DateAndTimeMobilised"
disposition_else = "handled"
[[assignment]]
unit = "Resource_Code"
sequence = "PumpOrder"
dispatched = "DateAndTimeMobilised"
en_route = "DateAndTimeMobile"
on_scene = "DateAndTimeArrived"
cleared = "DateAndTimeReturned"
"#;

/// The columns of its incident table: date and clock apart, seconds until arrival, two pumps in one row.
const INCIDENTS: &str = r#"
[report]
incident = "IncidentNumber"
received = { date = "DateOfCall", clock = "TimeOfCall" }
code = "StopCodeDescription"
place = { lat = "Latitude", lon = "Longitude" }
disposition_else = "handled"
[[assignment]]
unit = "FirstPumpArriving_DeployedFromStation"
dispatched = { after = "received", plus = "0s" }
on_scene = { span = "FirstPumpArriving_AttendanceTime", unit = "s", after = "dispatched" }
[[assignment]]
unit = "SecondPumpArriving_DeployedFromStation"
dispatched = { after = "received", plus = "0s" }
on_scene = { span = "SecondPumpArriving_AttendanceTime", unit = "s", after = "dispatched" }
"#;

/// A mapping with these columns; everything else as it is shipped for London.
fn with_columns(columns: &str, times: &str) -> Mapping {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/mappings/london-fire.toml");
    let mut shape: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let given: toml::Table = toml::from_str(columns).unwrap();
    shape.remove("assignment");
    shape.extend(given);
    shape.insert("times".into(), toml::from_str::<toml::Table>(times).unwrap().into());
    Mapping::read("test.toml", &toml::to_string(&shape).unwrap()).unwrap()
}

const LONDON: &str =
    "zone = \"Europe/London\"\nformats = [\"%d/%m/%Y %H:%M:%S\"]\ndates = [\"%d %b %Y\"]\nclocks = [\"%H:%M:%S\"]";

#[test]
fn london_sample_tables_are_read_with_their_gaps() {
    let Some(text) = data("london-fire/lfb-mobilisation-sample-20.csv") else { return };
    let mapping = with_columns(MOBILISATION, LONDON);
    let mobilised = table(&mapping, &text);
    assert_eq!((mobilised.rows, mobilised.records.len(), mobilised.refused.len()), (20, 20, 0));
    let first = &mobilised.records[0];
    assert_eq!(first.received.to_rfc3339(), "2009-01-01T00:02:27.000Z");
    assert_eq!(first.assignments[0].acts.len(), 2, "no time of turning out");
    assert_eq!(History::of(&mapping, &mobilised).incidents.len(), 16);

    let Some(text) = data("london-fire/lfb-incident-sample-20.csv") else { return };
    let incidents = table(&with_columns(INCIDENTS, LONDON), &text);
    assert_eq!((incidents.rows, incidents.records.len()), (20, 20));
    let first = &incidents.records[0];
    assert_eq!(first.received.to_rfc3339(), "2009-01-01T00:00:37.000Z");
    assert_eq!(first.assignments.iter().map(|a| a.unit.as_str()).collect::<Vec<_>>(), ["Battersea", "Clapham"]);
    assert_eq!(first.assignments[1].reached_after().unwrap().0, 342_000);
    let nobody = incidents.records.iter().filter(|r| r.assignments.is_empty()).count() as u64;
    assert_eq!((nobody, incidents.notes.count("row-that-sends-nobody")), (3, 3));
    assert_eq!(incidents.notes.count("row-without-a-place"), 6);
}

const ODD_COLUMNS: &str = r#"
[report]
incident = "no"
row = "row"
received = { date = "day", clock = "call" }
code = "code"
place = { point = "at", lon_first = true }
disposition_else = "handled"
[[assignment]]
unit = "unit"
dispatched = { clock = "sent", after = "received" }
on_scene = { clock = "there", after = "dispatched" }
cleared = { clock = "back", after = "on_scene" }
"#;

const ODD_TIMES: &str = "zone = \"Europe/London\"\ndates = [\"%Y-%m-%d\"]\nclocks = [\"%H:%M:%S\"]\nnever = [\"99:99:99\"]\nnever_before = \"1971-01-01\"";

#[test]
fn rows_that_cannot_be_used_are_named_by_line_and_reason_and_stop_nothing() {
    let text = "row,no,day,call,code,at,unit,sent,there,back\n\
        1,A,2021-03-27,23:58:00,fire,POINT (-0.1 51.5),P1,23:59:00,00:04:00,00:40:00\n\
        2,,2021-03-27,23:58:00,fire,POINT (-0.1 51.5),P1,23:59:00,,\n\
        3,B,yesterday,23:58:00,fire,,P1,23:59:00,,\n\
        4,C,1900-01-01,00:00:00,fire,,P1,,,\n\
        5,D,2021-03-28,01:30:00,fire,nowhere 500 500,P2,noon,02:40:00,\n\
        6,E,2021-03-28,03:00:00,fire,POINT (2 48),P3,03:01:00,99:99:99,03:20:00\n\
        1,A,2021-03-27,23:58:00,fire,POINT (-0.1 51.5),P1,23:59:00,00:04:00,00:40:00\n\
        7,F,2021-03-28\n";
    let mapping = with_columns(ODD_COLUMNS, ODD_TIMES);
    let table = table(&mapping, text.as_bytes());
    assert_eq!((table.rows, table.records.len()), (8, 3));
    let refused: Vec<_> = table.refused.iter().map(|(u, _)| (u.line, u.column.as_deref(), u.reason)).collect();
    assert_eq!(
        refused,
        [
            (3, Some("no"), "no incident is named"),
            (4, Some("day"), "no date in any of the formats"),
            (5, None, "no time of receipt"),
            (9, None, "no time of receipt"),
        ]
    );
    assert_eq!(table.refused[1].1.as_deref(), Some("B"), "the incident is known even if the row cannot be used");
    let cells: Vec<_> = table.cells.iter().map(|u| (u.line, u.column.as_deref())).collect();
    assert_eq!(cells, [(6, Some("at")), (6, Some("sent"))]);
    assert_eq!(table.notes.count("row-that-stands-twice"), 1);
    assert_eq!(table.notes.count("row-with-more-or-fewer-cells-than-the-header"), 1);
    // 01:30 does not exist on that night in London.
    assert_eq!(table.notes.count("clock-in-an-hour-that-daylight-saving-skips-or-repeats"), 1);

    let night = &table.records[0].assignments[0];
    let times: Vec<String> = night.acts.iter().map(|a| a.1.to_rfc3339()).collect();
    assert_eq!(night.dispatched.to_rfc3339(), "2021-03-27T23:59:00.000Z");
    assert_eq!(times, ["2021-03-28T00:04:00.000Z", "2021-03-28T00:40:00.000Z"]);
    let far = &table.records[2];
    assert_eq!(far.assignments[0].on_scene(), None, "never");
    assert_eq!(far.assignments[0].cleared().unwrap().to_rfc3339(), "2021-03-28T02:20:00.000Z", "summer time");
}

#[test]
fn a_mapping_that_does_not_fit_says_what_would() {
    let mapping = shipped("sf-fire.toml");
    let error = rows::read(&mapping, "Call Number,UnitID\n1,2\n".as_bytes(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("sf-fire: the file has no column `"), "{error}");
    let wrong = Mapping::read("x.toml", "[history]\nnmae = \"x\"\n").unwrap_err().to_string();
    assert!(wrong.starts_with("x.toml: ") && wrong.contains("line 2") && wrong.contains("nmae"), "{wrong}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/mappings/london-fire.toml");
    let text = std::fs::read_to_string(path).unwrap().replace("codes = [\"*\"]", "codes = [\"x\"]");
    assert!(Mapping::read("y.toml", &text).unwrap_err().to_string().contains("so that every row has a category"));
}
