//! `muster run` as a person starts it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{client, playbook, told, until};
use crate::webhook::Outside;

fn muster(folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.current_dir(folder).env_clear().arg("run").arg("--playbook").arg(playbook());
    command.env("MUSTER_HTTP_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(2), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stderr).unwrap()
}

/// Where it says that it listens.
fn address(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().rsplit_once(' ').expect("a line that ends with the address").1.to_owned()
}

fn end(mut child: Child) -> (Option<i32>, String) {
    let asked = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success());
    let begin = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "it ends within its drain");
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (code, said)
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_in_order_without_a_word_of_a_report_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = muster(folder.path()).env("MUSTER_LOG_FILTER", "trace").spawn().unwrap();
    let base = address(&mut child);
    // A full pipe must not hold up the child.
    let mut pipe = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut said = String::new();
        pipe.read_to_string(&mut said).unwrap();
        said
    });
    let report = client().post(format!("{base}/v1/reports")).header("content-type", "application/json");
    let (status, answer) = told(report.body(r#"{"text":"冒烟 zebra-crossing-words"}"#).send().await.unwrap()).await;
    assert_eq!(status.as_u16(), 202, "{answer}");
    let wrong = client().post(format!("{base}/v1/reports")).header("content-type", "application/json");
    assert_eq!(wrong.body(r#"{"text":7,"zebra":"zebra-crossing-words"}"#).send().await.unwrap().status(), 400);
    let metrics = client().get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("zebra"));
    child.stderr = None;
    let asked = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = log.join().unwrap();
    assert!(log.contains("report.opened") && log.contains("event.rejected"), "{log}");
    assert!(!log.contains("zebra"), "no free text in a log");
    assert!(folder.path().join("data/muster.db").exists(), "the default data folder");
}

#[test]
fn a_typo_in_file_or_environment_is_a_usage_error_that_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(muster(folder.path()).env("MUSTER_HTTP_LISTN", "127.0.0.1:0"));
    assert!(said.contains("MUSTER_HTTP_LISTN") && said.contains("MUSTER_HTTP_LISTEN"), "{said}");
    std::fs::write(folder.path().join("m.toml"), "[http]\nbatch_mx = 3\n").unwrap();
    let said = refused(muster(folder.path()).args(["--config", "m.toml"]));
    assert!(said.contains("m.toml:2") && said.contains("batch_max"), "{said}");
    let said = refused(muster(folder.path()).args(["--config", "absent.toml"]));
    assert!(said.contains("absent.toml"), "{said}");
}

#[test]
fn an_address_beyond_loopback_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(muster(folder.path()).env("MUSTER_HTTP_LISTEN", "0.0.0.0:0"));
    assert!(said.contains("no access control"), "{said}");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = muster(folder.path()).spawn().unwrap();
    address(&mut first);
    let said = refused(&mut muster(folder.path()));
    assert!(said.contains("in use"), "{said}");
    let (code, said) = end(first);
    assert_eq!(code, Some(0), "{said}");
}

/// What was accepted but had not left the house when the process was killed is told after the next start, with the same
/// ids; what was told is not lost either.
#[tokio::test]
async fn after_a_kill_what_was_not_delivered_is_told_again_with_the_same_ids() {
    let outside = Outside { always: Some(503), ..Outside::default() };
    let folder = tempfile::tempdir().unwrap();
    let hook = format!("http://{}/hook", outside.listen().await);
    let mut child = muster(folder.path())
        .env("MUSTER_WEBHOOK_URL", &hook)
        .env("MUSTER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let base = address(&mut child);
    let fire = crate::kit::report("k1", crate::kit::FIRE).to_string();
    let report = client().post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents+json");
    let (status, answer) = told(report.body(fire).send().await.unwrap()).await;
    assert_eq!(status.as_u16(), 202, "{answer}");
    let orders = answer["orders"].as_array().unwrap();
    until("each was tried once", async || outside.of("muster.order").len() >= orders.len()).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let tried: BTreeSet<String> = outside.of("muster.order").iter().map(|e| e["id"].to_string()).collect();

    let after = Outside::default();
    let hook = format!("http://{}/hook", after.listen().await);
    let mut child = muster(folder.path())
        .env("MUSTER_WEBHOOK_URL", &hook)
        .env("MUSTER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    address(&mut child);
    let ids = || -> BTreeSet<String> { after.of("muster.order").iter().map(|e| e["id"].to_string()).collect() };
    until("all are told again", async || ids().is_superset(&tried)).await;
    for order in orders {
        assert!(after.of("muster.order").iter().any(|e| e["data"]["id"] == *order), "{order}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
