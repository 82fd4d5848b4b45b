//! The topics on a real broker: made once, checked, refused where they do not fit.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use muster::kafka::topics::{self, Error, Finding, Topic};
use muster::kafka::{Options, Role};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use serde_json::Value;

use super::broker::Cluster;

fn admin(options: &Options) -> AdminClient<DefaultClientContext> {
    AdminClient::from_config(&options.client(Role::Admin).unwrap()).unwrap()
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

/// Alters a topic as an operator might. All is said that shall not go back to the broker's default.
fn alter(options: &Options, topic: Topic, settings: &[(&'static str, &'static str)]) {
    let name = options.topic(topic);
    let rules = topic.rules().into_iter().map(|rule| (rule.key, rule.made(options.development)));
    let all: BTreeMap<_, _> = rules.chain(settings.iter().copied()).collect();
    let alter = AlterConfig::new(ResourceSpecifier::Topic(&name));
    let alter = all.into_iter().fold(alter, |alter, (key, value)| alter.set(key, value));
    wait(admin(options).alter_configs(&[alter], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
}

/// A broker takes a moment to hear of what was altered.
fn once_found(options: &Options, count: usize) -> Vec<Finding> {
    let began = Instant::now();
    loop {
        let findings = topics::check(options).unwrap();
        if findings.len() == count || began.elapsed() > Duration::from_secs(10) {
            return findings;
        }
    }
}

fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {} {} → {}", f.topic, f.what, f.found, f.wanted)).collect()
}

#[test]
fn topics_are_made_once_and_verified() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "made");
    assert_eq!(topics::check(&options).unwrap().len(), Topic::ALL.len(), "all are missing");
    let first = topics::create(&options).unwrap();
    assert_eq!((first.made.len(), first.kept.len(), first.findings.len()), (11, 0, 0));
    let second = topics::create(&options).unwrap();
    assert_eq!((second.made.len(), second.kept.len(), second.findings.len()), (0, 11, 0));
    let layout = topics::verify(&options).unwrap();
    assert_eq!((layout.partitions, layout.copies), (4, 1));
    let journal = topics::describe(&options).unwrap().into_iter().find(|(topic, _)| *topic == Topic::Journal).unwrap();
    let journal = journal.1.unwrap();
    assert_eq!(journal.name, "made.journal");
    assert!(journal.partitions.iter().all(|partition| partition.led && partition.in_sync == 1));
    assert_eq!(journal.config["retention.ms"], "-1");
    assert_eq!(journal.config["cleanup.policy"], "delete");
    // The same topics without the leave for development: one copy is none.
    let strict = topics::check(&Options { development: false, ..options }).unwrap();
    assert_eq!(strict.len(), 2 * Topic::ALL.len());
    assert!(strict.iter().all(|f| ["replication", "min.insync.replicas"].contains(&f.what.as_str())));
}

#[test]
fn what_was_altered_is_found_and_no_service_starts_on_it() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "altered");
    topics::create(&options).unwrap();
    alter(&options, Topic::Journal, &[("cleanup.policy", "compact"), ("retention.ms", "604800000")]);
    alter(&options, Topic::Reports, &[("retention.ms", "3600000"), ("message.timestamp.type", "CreateTime")]);
    alter(&options, Topic::Heads, &[("cleanup.policy", "delete"), ("max.message.bytes", "1000")]);
    let findings = once_found(&options, 6);
    assert!(matches!(topics::verify(&options), Err(Error::Unfit(same)) if same == findings));
    assert_eq!(
        said(&findings),
        [
            "altered.reports retention.ms 3600000 → at least 86400000",
            "altered.reports message.timestamp.type CreateTime → LogAppendTime",
            "altered.journal cleanup.policy compact → delete",
            "altered.journal retention.ms 604800000 → -1",
            "altered.heads cleanup.policy delete → compact",
            "altered.heads max.message.bytes 1000 → at least 1048576",
        ]
    );
    // Nobody alters what is there but a person.
    let again = topics::create(&options).unwrap();
    assert_eq!((again.made.len(), again.findings), (0, findings));
}

#[test]
fn another_number_of_partitions_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "counted");
    let name = options.topic(Topic::Field);
    let topic = NewTopic::new(&name, 3, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
    wait(admin(&options).create_topics(&[topic], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    let outcome = topics::create(&options).unwrap();
    assert_eq!((outcome.made.len(), outcome.kept), (10, vec![name]));
    assert_eq!(said(&outcome.findings), ["counted.field partitions 3 → 4"]);
    assert!(matches!(topics::verify(&options), Err(Error::Unfit(findings)) if findings == outcome.findings));
    let eight = topics::check(&Options { partitions: 8, ..options }).unwrap();
    assert_eq!(eight.len(), Topic::ALL.len());
}

#[test]
fn three_brokers_keep_three_copies() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let options = super::options(&cluster, "copies");
    assert!(!options.development);
    let outcome = topics::create(&options).unwrap();
    assert_eq!(outcome.made.len(), 11);
    // On a busy machine a node may still be on its way into the cluster.
    let began = std::time::Instant::now();
    while !topics::check(&options).unwrap().is_empty() && began.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    assert_eq!(topics::verify(&options).unwrap().copies, 3);
    cluster.kill(2);
    assert_eq!(topics::verify(&options).unwrap().copies, 3, "a start does not wait for a broker that is away");
}

#[test]
fn one_broker_cannot_keep_three_copies() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = Options { development: false, ..super::options(cluster, "alone") };
    let Err(Error::Refused { what, reason }) = topics::create(&options) else { panic!("one broker keeps one copy") };
    assert!(what.starts_with("create alone.") && reason.contains("--development"), "{what}: {reason}");
}

#[test]
fn brokers_that_are_not_there_are_named() {
    let options = Options {
        brokers: vec!["127.0.0.1:1".into()],
        start_timeout: muster::model::Millis(1_500),
        ..Options::default()
    };
    let why = topics::verify(&options).unwrap_err().to_string();
    assert!(why.contains("127.0.0.1:1") && why.contains("1.5s") && why.contains("refused"), "{why}");
    let none = topics::verify(&Options::default()).unwrap_err().to_string();
    assert!(none.contains("[kafka] brokers") && none.contains("--brokers"), "{none}");
}

fn muster(cluster: &Cluster, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("topics")
        .args(arguments)
        .args(["--brokers", &cluster.brokers()])
        .env("MUSTER_KAFKA_TOPIC_PREFIX", "cli.")
        .env("MUSTER_LOG_FILTER", "error")
        .output()
        .unwrap()
}

#[test]
fn the_command_says_what_it_did_and_what_is_wrong() {
    let Some(cluster) = Cluster::shared() else { return };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let missing = muster(cluster, &["check", "--development", "--partitions", "2"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    assert!(text(&missing).contains("cli.journal") && text(&missing).ends_with("11 findings\n"), "{}", text(&missing));
    let made = muster(cluster, &["create", "--development", "--partitions", "2"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(text(&made).starts_with("made  cli.reports\n"), "{}", text(&made));
    let good = muster(cluster, &["check", "--development", "--partitions", "2"]);
    assert_eq!((good.status.code(), text(&good).as_str()), (Some(0), "good\n"));
    let strict = muster(cluster, &["check", "--partitions", "2", "--json"]);
    let value: Value = serde_json::from_slice(&strict.stdout).unwrap();
    assert_eq!((strict.status.code(), &value["good"]), (Some(1), &Value::Bool(false)));
    assert_eq!(value["findings"].as_array().unwrap().len(), 22);
    let shown = muster(cluster, &["describe", "--json"]);
    let value: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(value["topics"][3]["topic"], "cli.journal");
    assert_eq!(value["topics"][3]["seen"]["partitions"].as_array().unwrap().len(), 2);
    let unusable = muster(cluster, &["check", "--partitions", "0"]);
    assert_eq!(unusable.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unusable.stderr).contains("[kafka] partitions"), "{unusable:?}");
}
