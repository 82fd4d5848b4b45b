//! `muster run` killed at any moment, stopped for a while, with a disk that fails: what was acknowledged is kept, no order
//! is issued twice for one cause, every overdue mark fires once and says whose fault its lateness is.
//!
//! A script of reports and acts goes in over HTTP, each one sent again until it is acknowledged. It is played twice, once
//! in peace and once while the process is killed (`kill -9`) and started again at random moments; the two archives are
//! then compared. Short form: 5 kills. `MUSTER_LONG=1`: 50. `MUSTER_SEED` repeats a run.
#![cfg(all(feature = "service", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by failing, and this one measures real time"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muster::engine::{Entry, Lateness, What};
use muster::journal::open_read_only;
use muster::model::{IncidentId, Millis, OrderId, Timestamp};
use serde_json::{Value, json};

/// The mark of the incidents that nobody looks after.
const SHORT: Millis = Millis(2_000);

/// From then on nothing more happens to an incident that nobody looks after: its mark was missed, the next post ordered,
/// and that post's minute is over too.
const UNTIL_QUIET: Duration = Duration::from_millis(2_000 + 1_500 + 1_500);

// The playbook: the minimal one, with a short plan for noise, and at each place all the posts that anybody there can ask for.
// So no choice depends on what else happens at that instant, and kills, which shift one thing against another, change none.

fn playbook(folder: &Path, places: usize) -> PathBuf {
    let minimal = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    let to = folder.join("playbook");
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(minimal).unwrap().map(|f| f.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let noise = r#"category = "safety/nuisance/noise", severity = "IV", plan = "#;
        let text = text.replace(&format!("{noise}\"rapid-response\""), &format!("{noise}\"short\""));
        std::fs::write(to.join(file.file_name().unwrap()), text).unwrap();
    }
    let mut extra = String::from(
        r#"
[[area]]
id = "everywhere"
name = "Everywhere"
county = "990001"
class = 3
centre = [112.627, 26.882]
reach_m = 9000.0

[[plan]]
id = "short"
title = "Short"
set = "by-place"
linkage = "standard"
mark = [
    { name = "signed", scope = "order", milestone = "signed", anchor = "ordered", limit = "1500ms", on_miss = ["next-level"] },
    { name = "on-scene", scope = "incident", milestone = "on-scene", anchor = "received", limit = "2s", repeat = "1h", on_miss = ["next-post", "next-level"] },
]
"#,
    );
    for n in 0..places {
        let (lon, lat) = place(n);
        for (name, kind) in ["patrol", "patrol", "patrol", "patrol", "patrol", "base"].into_iter().enumerate() {
            writeln!(
                extra,
                "[[post]]\nid = \"X-{n}-{name}\"\nkind = \"{kind}\"\narea = \"everywhere\"\nbase = [{lon:.4}, {lat:.4}]\n\
                 capabilities = [\"first-aid\"]\n"
            )
            .unwrap();
        }
    }
    std::fs::write(to.join("extra.toml"), extra).unwrap();
    to
}

/// 200 places half a kilometre apart, so that nothing is merged that does not belong together.
fn place(n: usize) -> (f64, f64) {
    (112.57 + 0.006 * (n % 20) as f64, 26.86 + 0.005 * (n / 20 % 10) as f64)
}

// The process

struct Muster {
    child: Child,
    said: std::thread::JoinHandle<String>,
}

struct Setting {
    folder: tempfile::TempDir,
    playbook: PathBuf,
    address: SocketAddr,
}

impl Setting {
    fn new(places: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let playbook = playbook(folder.path(), places);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        Self { folder, playbook, address }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the process and waits until it listens. `before` stands before the command in a shell.
    fn start(&self, before: &str, environment: &[(&str, &std::ffi::OsStr)]) -> Muster {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{before} exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_muster"));
        command.arg("run").arg("--data").arg(self.data()).arg("--playbook").arg(&self.playbook);
        command.arg("--listen").arg(self.address.to_string()).envs(environment.iter().copied());
        command.env("MUSTER_LOG_FILTER", "warn").env_remove("MUSTER_LONG").env_remove("MUSTER_SEED");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let reading = std::thread::Builder::new().spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            said
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let said = reading.unwrap();
        if !first.contains("listens on") {
            child.wait().unwrap();
            panic!("it did not start: {first}{}", said.join().unwrap());
        }
        Muster { child, said }
    }

    /// Everything that happened, in order.
    fn archive(&self) -> Vec<(i64, Entry)> {
        let db = open_read_only(&self.data().join("muster.db"), Millis(5_000)).unwrap();
        let mut rows = db.prepare("SELECT step, body FROM timeline ORDER BY step, ix").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        rows.map(|row| row.map(|(step, body)| (step, serde_json::from_str(&body).unwrap())).unwrap()).collect()
    }
}

impl Muster {
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(name).arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its own end, for at most 20 s.
    fn end(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.said.join().unwrap());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                self.kill();
                panic!("it did not end by itself");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

// The door

/// One POST; `None` when nobody answered.
fn post(address: SocketAddr, route: &str, event: &Value) -> Option<(u16, Value)> {
    let body = event.to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "POST {route} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/cloudevents+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// Sends it again until it is acknowledged.
fn post_until_acknowledged(address: SocketAddr, route: &str, event: &Value) -> Value {
    let begun = Instant::now();
    loop {
        match post(address, route, event) {
            Some((202, answer)) => return answer,
            Some((429 | 503, _)) | None => std::thread::sleep(Duration::from_millis(15)),
            Some((status, problem)) => panic!("{status}: {problem} for {event}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody acknowledged {event}");
    }
}

fn report(id: &str, n: usize, text: &str) -> Value {
    let (lon, lat) = place(n);
    let data = json!({ "text": text, "place": { "position": { "lon": lon, "lat": lat } } });
    json!({ "specversion": "1.0", "type": "muster.report", "source": "110/desk-1", "id": id, "data": data })
}

fn act(order: &str, post: &str, act: &str) -> Value {
    let data = json!({ "order": order, "post": post, "act": act });
    json!({ "specversion": "1.0", "type": "muster.act", "source": "field", "id": format!("{order}-{act}"), "data": data })
}

/// What was acknowledged: by the id of its event, the incident.
type Acknowledged = BTreeMap<String, String>;

/// Plays `rounds` of the script: a fire that is looked after at once; a noise that nobody looks after; the fire seen by
/// a second caller; somebody who collapsed, for whom the post signs and no more.
fn play(setting: &Setting, rounds: usize, pace: Duration) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for round in 0..rounds {
        let mut say = |kind: &str, n: usize, text: &str| {
            let id = format!("{kind}-{round}");
            let answer = post_until_acknowledged(setting.address, "/v1/reports", &report(&id, n, text));
            acknowledged.insert(id, answer["incident"].as_str().unwrap().to_owned());
            std::thread::sleep(pace);
            answer
        };
        let fire = say("fire", round * 3, "着火");
        act_on(setting, &fire, &["signed", "on_scene"]);
        say("noise", round * 3 + 1, "噪音扰民");
        let again = say("again", round * 3, "冒烟");
        assert_eq!(again["incident"], fire["incident"]);
        let collapse = say("collapse", round * 3 + 2, "有人晕倒");
        act_on(setting, &collapse, &["signed"]);
    }
    acknowledged
}

fn act_on(setting: &Setting, answer: &Value, acts: &[&str]) {
    for order in answer["orders"].as_array().unwrap().iter().map(|o| o.as_str().unwrap()) {
        let post = post_of(setting, order);
        for what in acts {
            post_until_acknowledged(setting.address, "/v1/acts", &act(order, &post, what));
        }
    }
}

/// To whom an order went, as the archive says.
fn post_of(setting: &Setting, order: &str) -> String {
    let order: OrderId = order.parse().unwrap();
    let of = |(_, entry): &(i64, Entry)| match &entry.what {
        What::Ordered { order: o, post, .. } if *o == order => Some(post.to_string()),
        _ => None,
    };
    setting.archive().iter().find_map(of).expect("what was acknowledged is in the archive")
}

// What the archive says

/// What may not differ between a run in peace and one with kills.
#[derive(Debug, Default, PartialEq)]
struct Story {
    /// Category, severity, lane, plan, rule.
    class: String,
    /// The reports, by how they came in.
    reports: Vec<String>,
    /// Order → cause and role.
    orders: BTreeMap<u32, String>,
    /// Mark, order and round → how it ended.
    marks: BTreeMap<(String, Option<u32>, u32), &'static str>,
}

/// The story of each incident; asserts on the way that nothing happened twice.
fn stories(archive: &[(i64, Entry)]) -> BTreeMap<IncidentId, Story> {
    let mut stories = BTreeMap::<IncidentId, Story>::new();
    for (step, entry) in archive {
        let Some(incident) = &entry.incident else { continue };
        let story = stories.entry(incident.clone()).or_default();
        let once = |before: bool| assert!(!before, "twice, in step {step}: {:?}", entry.what);
        let n = |order: &Option<OrderId>| order.as_ref().map(|o| o.n);
        match &entry.what {
            What::Opened { classification: c, event, .. } => {
                once(!story.class.is_empty());
                story.class = format!("{} {} {} {} {}", c.category, c.severity, c.lane, c.plan, c.rule);
                story.reports.push(format!("opened by {event}"));
            }
            What::Joined { event, .. } => story.reports.push(format!("joined by {event}")),
            What::Suggested { .. } => story.reports.push("suggested".to_owned()),
            What::Ordered { order, role, cause, .. } => {
                once(story.orders.insert(order.n, format!("{cause} {role}")).is_some());
            }
            What::Kept { mark, order, .. } => {
                once(story.marks.insert((mark.to_string(), n(order), 0), "kept").is_some());
            }
            What::Missed { mark, order, round, .. } => {
                once(story.marks.insert((mark.to_string(), n(order), *round), "missed").is_some());
            }
            _ => {}
        }
    }
    stories
}

/// Every miss of a noise says the truth about its lateness: through our own outage exactly when it fell due in one.
fn check_lateness(archive: &[(i64, Entry)]) -> (usize, usize) {
    let outages: Vec<(Timestamp, Timestamp)> = archive
        .iter()
        .filter_map(|(_, e)| match e.what {
            What::Outage { from, to } => Some((from, to)),
            _ => None,
        })
        .collect();
    let opened: BTreeMap<_, _> = archive
        .iter()
        .filter(
            |(_, e)| matches!(&e.what, What::Opened { classification, .. } if classification.plan.as_str() == "short"),
        )
        .map(|(_, e)| (e.incident.clone().unwrap(), e.at))
        .collect();
    let (mut in_time, mut excused) = (0, 0);
    for (_, entry) in archive {
        let What::Missed { mark, order: None, lateness, round: 1, .. } = &entry.what else { continue };
        let Some(begun) = opened.get(entry.incident.as_ref().unwrap()).filter(|_| mark.as_str() == "on-scene") else {
            continue;
        };
        let due = *begun + SHORT;
        let away = outages.iter().any(|(from, to)| *from < due && due <= *to);
        match lateness {
            Lateness::InTime => {
                // The anchor is the receipt, which may be some milliseconds before the entry.
                assert!(entry.at <= due && due.since(entry.at) < Millis(500), "fired at {}, due {due}", entry.at);
                in_time += 1;
            }
            Lateness::OwnOutage(_) => {
                assert!(away || outages.iter().any(|(_, to)| to.since(due) < Millis(500)), "due {due}, {outages:?}");
                excused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    (in_time, excused)
}

fn check_acknowledged(setting: &Setting, archive: &[(i64, Entry)], acknowledged: &Acknowledged) {
    for (id, incident) in acknowledged {
        let is = |(_, e): &&(i64, Entry)| match &e.what {
            What::Opened { event, .. } | What::Joined { event, .. } => {
                event.as_str() == id && e.incident.as_ref().is_some_and(|i| i.to_string() == *incident)
            }
            _ => false,
        };
        assert_eq!(archive.iter().filter(is).count(), 1, "{id} was acknowledged for {incident}");
    }
    // Sent once more, each is known.
    for (id, incident) in acknowledged.iter().step_by(5) {
        let (kind, round) = id.split_once('-').unwrap();
        let round: usize = round.parse().unwrap();
        let (n, text) = match kind {
            "fire" => (round * 3, "着火"),
            "noise" => (round * 3 + 1, "噪音扰民"),
            "again" => (round * 3, "冒烟"),
            _ => (round * 3 + 2, "有人晕倒"),
        };
        let answer = post_until_acknowledged(setting.address, "/v1/reports", &report(id, n, text));
        assert_eq!((answer["repeat"].as_bool(), answer["incident"].as_str()), (Some(true), Some(incident.as_str())));
    }
}

// The runs

/// A small generator, so that a seed repeats a run.
struct Dice(u64);

impl Dice {
    fn seeded() -> Self {
        let given = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) | 1);
        eprintln!("MUSTER_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        least + self.0 % (most - least)
    }
}

#[test]
fn killed_at_random_moments_it_tells_the_same_story() {
    let long = std::env::var_os("MUSTER_LONG").is_some();
    let (kills, rounds) = if long { (50, 60) } else { (5, 8) };
    let pace = Duration::from_millis(40);

    let peace = Setting::new(rounds * 3);
    let muster = peace.start("", &[]);
    play(&peace, rounds, pace);
    std::thread::sleep(UNTIL_QUIET);
    muster.signal("-TERM");
    let (status, said) = muster.end();
    assert!(status.success(), "a clean end: {said}");
    let expected = stories(&peace.archive());

    let war = Setting::new(rounds * 3);
    let (mut dice, over) = (Dice::seeded(), AtomicBool::new(false));
    let running = Mutex::new(Some(war.start("", &[])));
    let mut killed = 0;
    let acknowledged = std::thread::scope(|scope| {
        let script = scope.spawn(|| {
            let acknowledged = play(&war, rounds, pace);
            over.store(true, Ordering::SeqCst);
            acknowledged
        });
        // Some kills come while marks fire after the last report.
        while killed < kills || !over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(dice.between(50, 900)));
            running.lock().unwrap().take().unwrap().kill();
            killed += 1;
            std::thread::sleep(Duration::from_millis(dice.between(0, 700)));
            *running.lock().unwrap() = Some(war.start("", &[]));
        }
        script.join().unwrap()
    });
    std::thread::sleep(UNTIL_QUIET);
    let archive = war.archive();
    check_acknowledged(&war, &archive, &acknowledged);
    let (in_time, excused) = check_lateness(&archive);
    eprintln!(
        "{killed} kills, {} incidents; marks of noises: {in_time} in time, {excused} late through us",
        expected.len()
    );
    assert_eq!(in_time + excused, rounds, "each noise missed its mark once");
    let told = stories(&archive);
    for (incident, story) in &expected {
        assert_eq!(told.get(incident), Some(story), "{incident}");
    }
    assert_eq!(told.len(), expected.len());
    let muster = running.into_inner().unwrap().unwrap();
    muster.signal("-TERM");
    assert!(muster.end().0.success());
}

#[test]
fn stopped_for_a_while_it_says_that_the_lateness_is_its_own() {
    let setting = Setting::new(10);
    let muster = setting.start("", &[]);
    post_until_acknowledged(setting.address, "/v1/reports", &report("noise-0", 1, "噪音扰民"));
    std::thread::sleep(Duration::from_millis(500));
    muster.signal("-STOP");
    std::thread::sleep(Duration::from_millis(SHORT.0 + 1_500));
    muster.signal("-CONT");
    std::thread::sleep(Duration::from_millis(1_000));
    let archive = setting.archive();
    assert_eq!(check_lateness(&archive), (0, 1));
    muster.signal("-TERM");
    assert!(muster.end().0.success());
}

/// Sends reports until the process is gone; then checks that it ended with a word and an error, and that a process on a
/// sound disk knows everything that was acknowledged.
fn fails(setting: &Setting, muster: Muster, word: &str) {
    let mut acknowledged = Vec::new();
    for n in 0..2_000 {
        let id = format!("noise-{n}");
        match post(setting.address, "/v1/reports", &report(&id, n, "噪音扰民")) {
            Some((202, answer)) => acknowledged.push((id, n, answer["incident"].clone())),
            Some((503, _)) | None => break,
            Some((status, problem)) => panic!("{status}: {problem}"),
        }
    }
    let (status, said) = muster.end();
    assert!(!status.success() && said.contains(word) && said.contains("cannot be trusted"), "{status}: {said}");
    assert!(!acknowledged.is_empty());
    let sound = setting.start("", &[]);
    for (id, n, incident) in &acknowledged {
        let answer = post_until_acknowledged(setting.address, "/v1/reports", &report(id, *n, "噪音扰民"));
        assert_eq!((&answer["repeat"], &answer["incident"]), (&json!(true), incident), "{id}");
    }
    sound.kill();
}

#[test]
fn a_file_that_cannot_grow_ends_it_with_a_word() {
    let setting = Setting::new(10);
    setting.start("", &[]).kill();
    let muster = setting.start("trap '' XFSZ; ulimit -f 1600;", &[]);
    fails(&setting, muster, "check it, then start again");
}

#[test]
fn a_full_disk_ends_it_with_a_word() {
    let Some(shim) = shim() else { return };
    let setting = Setting::new(10);
    let plan = [("LD_PRELOAD", shim.1.as_os_str()), ("FAILING_DISK", "write:400".as_ref())];
    let muster = setting.start("", &plan);
    fails(&setting, muster, "no space is left");
}

#[test]
fn a_flush_that_fails_ends_it_with_a_word() {
    let Some(shim) = shim() else { return };
    let setting = Setting::new(10);
    let plan = [("LD_PRELOAD", shim.1.as_os_str()), ("FAILING_DISK", "fsync:30".as_ref())];
    let muster = setting.start("", &plan);
    fails(&setting, muster, "failed");
}

/// The disk that fails, compiled; `None` where there is no C compiler.
fn shim() -> Option<(tempfile::TempDir, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failing_disk.c");
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("failing_disk.so");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    if cc.is_ok_and(|status| status.success()) {
        return Some((folder, library));
    }
    eprintln!("SKIPPED: no C compiler (cc) to build a failing disk with");
    None
}
