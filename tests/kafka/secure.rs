//! Brokers that ask who comes: TLS with certificates on both sides, and SASL within TLS by every mechanism.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use muster::kafka::client::Context;
use muster::kafka::options::{Mechanism, Security};
use muster::kafka::topics::{self, Topic};
use muster::kafka::{Options, Role};
use muster::model::Millis;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::broker::Cluster;

fn cluster() -> Option<&'static Cluster> {
    static SECURE: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start_secure);
    SECURE.as_ref()
}

/// A client that comes by SASL.
fn sasl(cluster: &Cluster, prefix: &str, mechanism: Mechanism) -> Options {
    Options {
        brokers: vec![cluster.sasl()],
        security: Security::SaslSsl,
        tls_ca: cluster.folder().join("tls/ca.pem"),
        sasl_mechanism: mechanism,
        sasl_user: "muster".into(),
        sasl_password: "sesame".into(),
        start_timeout: Millis(8_000),
        ..super::options(cluster, prefix)
    }
}

/// A producer's context that leaves the token to ours.
struct Producing(Context);

impl ClientContext for Producing {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.generate_oauth_token(config)
    }
}

impl ProducerContext for Producing {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        result.as_ref().unwrap();
    }
}

/// Makes the topics, verifies them and appends a step: administration, metadata and a producer have come through.
fn works(options: &Options) {
    topics::create(options).unwrap();
    topics::verify(options).unwrap();
    let config = options.client(Role::JournalProducer).unwrap();
    let producer: BaseProducer<Producing> = config.create_with_context(Producing(Context::new(options))).unwrap();
    let journal = options.topic(Topic::Journal);
    producer.send(BaseRecord::to(&journal).partition(0).payload("x").key("")).map_err(|(why, _)| why).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn refusal(options: &Options) -> String {
    topics::verify(options).unwrap_err().to_string()
}

#[test]
fn a_name_and_a_password_open_the_door_by_each_mechanism() {
    let Some(cluster) = cluster() else { return };
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::Plain] {
        works(&sasl(cluster, mechanism.name(), mechanism));
    }
}

#[test]
fn a_wrong_password_is_told_as_such_and_not_repeated() {
    let Some(cluster) = cluster() else { return };
    let wrong = Options { sasl_password: "opensesame".into(), ..sasl(cluster, "wrong", Mechanism::ScramSha512) };
    let why = refusal(&wrong);
    assert!(why.contains("Authentication failed") && !why.contains("sesame"), "{why}");
}

#[test]
fn a_token_in_a_file_opens_the_door() {
    let Some(cluster) = cluster() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // {"alg":"none"} . {"sub":"muster","iat":1700000000,"exp":4100000000}
    fs::write(&file, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtdXN0ZXIiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMDAwMDAwMH0.\n")
        .unwrap();
    works(&Options { sasl_token_file: file.clone(), ..sasl(cluster, "token", Mechanism::OauthBearer) });
    fs::write(&file, "sesame").unwrap();
    let why = refusal(&Options { sasl_token_file: file, ..sasl(cluster, "token", Mechanism::OauthBearer) });
    assert!(why.contains("[kafka] sasl_token_file") && !why.contains("sesame"), "{why}");
}

#[test]
fn a_certificate_opens_the_door_and_none_does_not() {
    let Some(cluster) = cluster() else { return };
    let tls = |name: &str| cluster.folder().join("tls").join(name);
    let known = Options {
        brokers: vec![cluster.tls()],
        security: Security::Ssl,
        tls_certificate: tls("client.pem"),
        tls_key: tls("client-key.pem"),
        ..sasl(cluster, "certificate", Mechanism::Plain)
    };
    works(&known);
    let unknown = Options { tls_certificate: "".into(), tls_key: "".into(), ..known };
    let why = refusal(&unknown);
    assert!(why.contains("certificate"), "{why}");
}

#[test]
fn a_broker_that_nobody_vouches_for_is_not_spoken_to() {
    let Some(cluster) = cluster() else { return };
    let why = refusal(&Options { tls_ca: "".into(), ..sasl(cluster, "stranger", Mechanism::ScramSha512) });
    assert!(why.contains("certificate verify failed") || why.contains("self-signed"), "{why}");
}
