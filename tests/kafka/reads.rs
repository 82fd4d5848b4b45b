//! Reads and HTTP on Kafka: any node takes events in and shows the whole city. The owner is one of the test's own, so that it
//! can be made to wait.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::board::Board;
use muster::config::playbook::read_dir;
use muster::decode::Limits;
use muster::deliver::hub::Hub;
use muster::http::{self, App};
use muster::journal::log::{Low, OwnerName, Record, RecordBody};
use muster::kafka::answers::Answers;
use muster::kafka::areas::Playbooks;
use muster::kafka::clients::Clients;
use muster::kafka::folds::Standby;
use muster::kafka::follower::{Follower, FollowerParts};
use muster::kafka::gate::{GateOptions, GateParts, KafkaGate};
use muster::kafka::herald::Herald;
use muster::kafka::partition::partition_of;
use muster::kafka::picture::Picture;
use muster::kafka::route::Routes;
use muster::kafka::{Options, topics};
use muster::model::Millis;
use muster::playbook::Playbook;
use muster::runtime::Clock;
use muster::telemetry::Metrics;
use rdkafka::admin::AdminOptions;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::broker::Cluster;
use super::decider::Decider;

/// The smallest playbook.
pub fn minimal_playbook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal")
}

/// One like it for another command area, with posts and places of other names.
pub fn another() -> Vec<(String, String)> {
    let other = |(name, text): (String, String)| {
        let text = text.replace("\"9900\"", "\"8800\"").replace("[112.", "[102.").replace("lotus-plaza", "east-gate");
        let renamed = [("S-", "T-"), ("P-", "Q-"), ("B-", "C-"), ("H-", "I-"), ("V-", "W-")];
        let text = renamed.iter().fold(text, |text, (from, to)| text.replace(&format!("\"{from}"), &format!("\"{to}")));
        (name, text)
    };
    read_dir(&minimal_playbook()).unwrap().into_iter().map(other).collect()
}

/// The same as a folder.
pub fn another_playbook(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in another() {
        fs::write(folder.join(name), text).unwrap();
    }
}

fn playbooks() -> Playbooks {
    let load = |files: &[(String, String)]| Arc::new(Playbook::load(files).unwrap());
    Playbooks::new([load(&read_dir(&minimal_playbook()).unwrap()), load(&another())])
}

/// A node without shards of its own.
struct Node {
    name: String,
    base: String,
    client: Client,
    clients: Arc<Clients>,
    routes: Arc<Routes>,
    answers: Answers,
    picture: Picture,
    board: Arc<Board>,
    hub: Hub,
    metrics: Arc<Metrics>,
    clock: Clock,
    follower: Option<Follower>,
    stop: watch::Sender<bool>,
}

impl Node {
    async fn start(options: &Options, name: &str, gate: GateOptions) -> Self {
        let (clients, clock) = (Arc::new(Clients::new(options.clone())), Clock::wall());
        let routes = Arc::new(Routes::new(&playbooks(), &"9900".into(), options.partitions).unwrap());
        let metrics = Arc::new(Metrics::new());
        let board = Arc::new(Board::new(muster::board::Options::default(), None));
        let hub = Hub::new(1_000, 1_000).named(name);
        let answers = Answers::new(1_000, 1_000);
        let picture = Picture::new(options.partitions, clock.clone());
        let parts = GateParts {
            clients: Arc::clone(&clients),
            routes: Arc::clone(&routes),
            answers: answers.clone(),
            picture: picture.clone(),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            options: gate,
        };
        let (stop, stopping) = watch::channel(false);
        let gate = Arc::new(KafkaGate::new(parts));
        let (seen, counts) = (Arc::clone(&board), Arc::clone(&metrics));
        let app = App::new(gate, seen, hub.clone(), counts, http::Options::default(), stopping.clone());
        let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(tokio::spawn(http::serve(listener, app, stopping)));
        let client = Client::builder().no_proxy().build().unwrap();
        let name = name.to_owned();
        let follower = None;
        let mut node =
            Self { name, base, client, clients, routes, answers, picture, board, hub, metrics, clock, follower, stop };
        node.follow();
        node
    }

    fn follow(&mut self) {
        let herald = Herald::new(
            &self.name,
            self.routes.playbooks(),
            Arc::clone(&self.board),
            self.hub.clone(),
            Arc::new(self.answers.clone()),
            Arc::clone(&self.metrics),
        );
        let parts = FollowerParts {
            clients: Arc::clone(&self.clients),
            shards: self.clients.options().partitions,
            picture: self.picture.clone(),
            herald,
            routes: Arc::clone(&self.routes),
            limits: Limits::default(),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock.clone(),
        };
        self.follower = Some(Follower::start(parts).unwrap());
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn post(&self, path: &str, kind: &str, body: String) -> Response {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", kind);
        request.body(body).send().await.unwrap()
    }

    async fn event(&self, path: &str, event: &Value) -> (StatusCode, Value) {
        let response = self.post(path, "application/cloudevents+json", event.to_string()).await;
        (response.status(), response.json().await.unwrap())
    }

    async fn ready(&self) {
        until("ready", Duration::from_secs(30), async || self.get("/readyz").await.0 == StatusCode::OK).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        drop(self.follower.take());
    }
}

async fn until(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

const SOON: Duration = Duration::from_secs(10);

fn event(kind: &str, id: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "type": kind, "source": "110/desk-3", "id": id, "data": data })
}

fn report(id: &str, place: &str) -> Value {
    event("muster.report", id, &json!({ "text": "商场冒烟 有明火", "place": { "id": place } }))
}

fn made(cluster: &Cluster, prefix: &str) -> Options {
    let options = Options { partitions: 3, ..super::options(cluster, prefix) };
    // It waits on a runtime of its own.
    std::thread::scope(|scope| scope.spawn(|| topics::create(&options).unwrap()).join().unwrap());
    let shard = |area: &str| partition_of(area.as_bytes(), options.partitions);
    assert_ne!(shard("9900"), shard("8800"), "two command areas, two shards");
    options
}

fn quick() -> GateOptions {
    GateOptions { confirm_within: Millis(2_000), answer_within: Millis(2_500), ..GateOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_events_in_and_shows_what_the_owners_decided() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = made(cluster, "reads");
    let (a, b) = (Node::start(&options, "a", quick()).await, Node::start(&options, "b", quick()).await);
    a.ready().await;
    b.ready().await;
    let owner = Decider::start(&options, "x", playbooks());

    // To the shard that owns the place, whichever node took it; the answer carries the decision.
    let (status, home) = a.event("/v1/reports", &report("r1", "lotus-plaza")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{home}");
    assert_eq!(home["outcome"], "opened");
    let (_, east) = b.event("/v1/reports", &report("r1", "east-gate")).await;
    assert!(home["incident"].as_str().unwrap().starts_with("9900-"), "{home}");
    assert!(east["incident"].as_str().unwrap().starts_with("8800-"), "{east}");
    let (_, again) = b.event("/v1/reports", &report("r1", "lotus-plaza")).await;
    assert_eq!((&again["repeat"], &again["incident"]), (&json!(true), &home["incident"]), "{again}");

    // A batch, bare data, binary mode.
    let batch = json!([report("r2", "east-gate"), { "no": "event" }, report("r3", "lotus-plaza")]).to_string();
    let told: Value = a.post("/v1/reports", "application/cloudevents-batch+json", batch).await.json().await.unwrap();
    assert_eq!((&told[0]["status"], &told[1]["status"]), (&json!(202), &json!(400)), "{told}");
    assert_eq!((&told[0]["incident"], &told[2]["incident"]), (&east["incident"], &home["incident"]));
    let bare = a.post("/v1/reports", "application/json", r#"{"text":"有人晕倒"}"#.to_owned()).await;
    assert_eq!(bare.json::<Value>().await.unwrap()["outcome"], "opened");

    // Both show the whole city, with the story of each.
    let ids = [&home, &east].map(|told| told["incident"].as_str().unwrap().to_owned());
    for node in [&a, &b] {
        for id in &ids {
            until("shown", SOON, async || node.get(&format!("/v1/incidents/{id}")).await.0 == StatusCode::OK).await;
            let (_, timeline) = node.get(&format!("/v1/incidents/{id}/timeline")).await;
            assert_eq!((&timeline["items"][0]["what"], &timeline["cut"]), (&json!("opened"), &Value::Null));
        }
        let (_, posts) = node.get("/v1/posts?kind=standing").await;
        assert_eq!(posts["items"].as_array().unwrap().len(), 2, "{posts}");
        let (_, playbook) = node.get("/v1/playbook?area=8800").await;
        assert_eq!(playbook["head"]["command_area"], "8800");
    }

    // A post's word goes where its order is; what cannot be done is refused as ever.
    let order = east["orders"][0].as_str().unwrap();
    let signed = event("muster.act", "s1", &json!({ "order": order, "post": "T-1", "act": "signed" }));
    let (status, told) = a.event("/v1/acts", &signed).await;
    assert_eq!((status, &told["incident"]), (StatusCode::ACCEPTED, &east["incident"]), "{told}");
    let strange = event("muster.act", "s2", &json!({ "order": "8800-20200101-1-1", "post": "T-1", "act": "signed" }));
    let (status, told) = a.event("/v1/acts", &strange).await;
    assert_eq!((status, &told["type"]), (StatusCode::NOT_FOUND, &json!("urn:muster:problem:unknown-order")), "{told}");

    // A position is answered once the brokers have it, and every node shows it.
    let place =
        json!({ "post": "T-1", "position": { "lon": 102.61, "lat": 26.9 }, "fixed_at": "2026-11-23T08:00:00Z" });
    let (status, told) = a.event("/v1/positions", &event("muster.position", "p1", &place)).await;
    assert_eq!((status, &told["state"]), (StatusCode::ACCEPTED, &json!("waiting")), "{told}");
    let shown = async || b.get("/v1/posts?kind=standing").await.1.to_string().contains("102.61");
    until("position shown", SOON, shown).await;
    let see = told["see"].as_str().unwrap().to_owned();
    let past = async || b.get(&see).await.1["state"] == "decided";
    until("position decided", SOON, past).await;

    // An owner that takes its time: the answer says where to look, and any node answers there.
    owner.hold(true);
    let response = a.post("/v1/reports", "application/cloudevents+json", report("r9", "east-gate").to_string()).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let told: Value = response.json().await.unwrap();
    assert_eq!((&told["state"], &told["see"]), (&json!("waiting"), &json!(location)));
    assert_eq!(b.get(&location).await.1["state"], "waiting");
    owner.hold(false);
    until("decided", SOON, async || b.get(&location).await.1["state"] == "decided").await;
    let (_, told) = b.get(&location).await;
    assert_eq!((&told["incident"], &told["outcome"]), (&east["incident"], &json!("joined")), "{told}");
    assert_eq!(b.get("/v1/inputs/reports/99/0").await.0, StatusCode::NOT_FOUND);

    // A warm copy for whoever takes over; how old the picture is.
    let shard = partition_of(b"8800", options.partitions);
    let copy = a.picture.standby(shard).expect("it follows");
    assert!(copy.documents().count() > 3 && a.picture.known(shard) >= copy.stand().step);
    let response = a.client.get(format!("{}/v1/incidents", a.base)).send().await.unwrap();
    let age: u64 = response.headers()["muster-picture-age-ms"].to_str().unwrap().parse().unwrap();
    assert!(age < 2_000, "{age} ms");
    let (_, readiness) = a.get("/readyz").await;
    assert_eq!(readiness["phase"], "ready");
    assert_eq!(readiness["shards"][shard as usize]["owner"], json!(format!("x/{shard}")), "{readiness}");
    assert!(a.metrics.text().unwrap().contains("muster_gate_total{outcome=\"decided\"}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_of_all_shards_and_a_bookmark_of_another_node_reads_anew() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = made(cluster, "stream");
    let (a, b) = (Node::start(&options, "a", quick()).await, Node::start(&options, "b", quick()).await);
    a.ready().await;
    b.ready().await;
    let _owner = Decider::start(&options, "x", playbooks());
    let listen = async |node: &Node, last: &str| {
        let request = node.client.get(format!("{}/v1/stream", node.base)).header("last-event-id", last);
        request.send().await.unwrap()
    };
    let mut ear = a.client.get(format!("{}/v1/stream?type=order", a.base)).send().await.unwrap();
    for place in ["lotus-plaza", "east-gate"] {
        a.event("/v1/reports", &report(place, place)).await;
    }
    let mut heard = String::new();
    until("two areas", SOON, async || {
        if let Ok(Ok(Some(chunk))) = tokio::time::timeout(Duration::from_millis(100), ear.chunk()).await {
            heard += std::str::from_utf8(&chunk).unwrap();
        }
        heard.contains("\"incident\":\"9900-") && heard.contains("\"incident\":\"8800-")
    })
    .await;
    let last = heard.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap();
    assert!(last.ends_with("@a"), "{last}");
    let first = async |mut ear: Response| String::from_utf8(ear.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    let own = first(listen(&a, last).await).await;
    assert!(own.starts_with("event: muster.ready"), "{own}");
    let strange = first(listen(&b, last).await).await;
    assert!(strange.starts_with("event: muster.resync"), "{strange}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_brokers_are_away_the_door_says_so_and_the_picture_its_age() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let options = made(&cluster, "away");
    let node = Node::start(&options, "a", quick()).await;
    node.ready().await;
    let owner = Decider::start(&options, "x", playbooks());
    let (_, told) = node.event("/v1/reports", &report("r1", "lotus-plaza")).await;
    let incident = told["incident"].as_str().unwrap().to_owned();
    let shown = async || node.get(&format!("/v1/incidents/{incident}")).await.0 == StatusCode::OK;
    until("shown", SOON, shown).await;
    // It would find its own way back; here it is only in the way.
    drop(owner);

    cluster.kill(1);
    let began = Instant::now();
    let response =
        node.post("/v1/reports", "application/cloudevents+json", report("r2", "east-gate").to_string()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    until("away", SOON, async || node.get("/readyz").await.1["phase"] == "brokers-away").await;
    let response = node.client.get(format!("{}/v1/incidents/{incident}", node.base)).send().await.unwrap();
    let age: u64 = response.headers()["muster-picture-age-ms"].to_str().unwrap().parse().unwrap();
    assert_eq!(response.status(), StatusCode::OK, "what is known is shown");
    assert!(age >= 4_000, "{age} ms");

    cluster.restart(1);
    until("back", Duration::from_secs(60), async || node.get("/readyz").await.0 == StatusCode::OK).await;
    let _owner = Decider::start(&options, "y", playbooks());
    let (status, told) = node.event("/v1/reports", &report("r2", "east-gate")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    assert!(told["incident"].as_str().unwrap().starts_with("8800-"), "{told}");
    let incident = told["incident"].as_str().unwrap().to_owned();
    until("shown", SOON, async || node.get(&format!("/v1/incidents/{incident}")).await.0 == StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_for_nothing_is_not_shown_and_a_trimmed_journal_is_read_anew() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = made(cluster, "trimmed");
    let mut node = Node::start(&options, "a", quick()).await;
    node.ready().await;
    let owner = Decider::start(&options, "x", playbooks());
    let (_, told) = node.event("/v1/reports", &report("r1", "lotus-plaza")).await;
    let incident = told["incident"].as_str().unwrap().to_owned();
    let shard = partition_of(b"9900", options.partitions);
    until("read", SOON, async || node.picture.standby(shard).is_some_and(|fold| fold.stand().step > 0)).await;

    // An owner that lost goes on writing.
    let fold = node.picture.standby(shard).unwrap();
    let step = muster::journal::Step { number: fold.stand().step + 1, at: fold.stand().at, ..Default::default() };
    let lost = Record {
        epoch: 0,
        owner: OwnerName::new("lost"),
        shards: options.partitions,
        low: Low::default(),
        after: 0,
        emitted: 0,
        swept: Vec::new(),
        body: RecordBody::Step(Arc::new(step)),
    };
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    let bytes = lost.encode();
    let topic = options.topic(topics::Topic::Journal);
    let partition = i32::try_from(shard).unwrap();
    let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&topic).partition(partition).payload(&bytes);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(SOON).unwrap();
    let void = async || node.metrics.text().unwrap().contains("muster_journal_void_total{why=\"old-epoch\"} 1");
    until("void", SOON, void).await;
    drop(owner);

    // Nobody followed for a while, and the journal was trimmed above where we were.
    drop(node.follower.take());
    let owner = Decider::start(&options, "y", playbooks());
    let other = Node::start(&options, "b", quick()).await;
    other.ready().await;
    for n in 0..150 {
        let report =
            event("muster.report", &format!("f{n}"), &json!({ "text": "噪音扰民", "place": { "id": "lotus-plaza" } }));
        assert_eq!(other.event("/v1/reports", &report).await.0, StatusCode::ACCEPTED);
    }
    let fold = other.picture.standby(shard).unwrap();
    let low = fold.carried().unwrap().offset;
    assert!(low > 0, "the journal swept itself");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, partition, Offset::Offset(low.cast_signed())).unwrap();
    let admin = Clients::new(options.clone()).admin().unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();

    let late = Node::start(&options, "c", quick()).await;
    late.ready().await;
    let (status, told) = late.get(&format!("/v1/incidents/{incident}")).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let all = async |node: &Node| node.get("/v1/incidents?limit=1000").await.1["items"].clone();
    assert_eq!(all(&late).await, all(&other).await);
    // Who had read less than was trimmed reads anew, and misses nothing that counts.
    assert!(node.picture.standby(shard).unwrap().next() < low);
    node.follow();
    until("caught up", SOON, async || node.board.steps() == other.board.steps()).await;
    assert_eq!(all(&node).await, all(&other).await);
    assert!(node.metrics.text().unwrap().contains("muster_follower_events_total{event=\"trimmed\"} 1"));
    let (_, timeline) = late.get(&format!("/v1/incidents/{incident}/timeline")).await;
    assert_eq!(timeline["cut"], true, "what came before is in the topic only");
    assert_eq!(late.board.steps(), other.board.steps());
    drop(owner);
}
