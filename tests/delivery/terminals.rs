//! Show 3: two thousand terminals listen at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::cli::server::Server;
use muster::config::Config;
use muster::model::Millis;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;

use crate::outside::{percentile, until};

async fn server(folder: &Path, change: impl FnOnce(&mut Config)) -> (Server, String) {
    let mut config = Config::default();
    config.playbook.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    config.journal.path = folder.join("data");
    config.http.listen = ([127, 0, 0, 1], 0).into();
    change(&mut config);
    let server = Server::start(config).await.unwrap();
    server.handle().ready().await;
    let base = format!("http://{}", server.address());
    (server, base)
}

async fn listen(base: &str, query: &str, receive_buffer: Option<u32>) -> TcpStream {
    let address = base.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /v1/stream{query} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn report(client: &Client, base: &str, id: &str) -> Value {
    let event = json!({ "specversion": "1.0", "type": "muster.report", "source": "110/desk", "id": id,
        "data": { "text": "商场冒烟 有明火", "place": { "id": "lotus-plaza" } } });
    let request = client.post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents+json");
    let answer = request.body(event.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Whether that many sockets may be open: two for each terminal, both ends being ours.
fn sockets_allowed() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_terminals_see_an_order_and_do_not_hold_up_the_end() {
    let wanted = 2_000;
    let terminals = wanted.min((sockets_allowed().saturating_sub(300)) / 2);
    if terminals < wanted {
        eprintln!("SKIPPED: {} of {wanted} terminals, since so few sockets may be open here", wanted - terminals);
    }
    let folder = tempfile::tempdir().unwrap();
    let before = resident_mib();
    let (server, base) = server(folder.path(), |c| c.http.stream_clients_max = 4_096).await;
    let ready = Arc::new(Barrier::new(terminals + 1));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..terminals {
        let (base, ready) = (base.clone(), Arc::clone(&ready));
        // A few terminals of each post; most watch all orders, as a county's screens do.
        let query = if n % 10 == 0 { "?post=S-1&type=order" } else { "?type=order" };
        all.spawn(async move {
            let mut lines = BufReader::new(listen(&base, query, None).await).lines();
            let (mut seen, mut name) = (None, String::new());
            let mut waits = true;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                    if name == "muster.ready" && waits {
                        waits = false;
                        ready.wait().await;
                    }
                    if name == "muster.order" {
                        seen.get_or_insert(Instant::now());
                    }
                }
            }
            // The stream ended: how, does not matter to whoever has its order.
            seen
        });
    }
    ready.wait().await;
    let (client, open) = (Client::builder().no_proxy().build().unwrap(), resident_mib());
    // The reporter's connection stands, so that only the order's own way is measured.
    client.get(format!("{base}/livez")).send().await.unwrap();
    let issued = Instant::now();
    report(&client, &base, "f1").await;
    let told = Instant::now();
    let expected = u64::try_from(terminals).unwrap();
    until("the stream counts its listeners", async || {
        let text = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().any(|line| line == format!("muster_stream_clients {expected}"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begin = Instant::now();
    server.stop().await.unwrap();
    let end = begin.elapsed();
    let seen: Vec<Option<Instant>> = all.join_all().await;
    let mut took: Vec<Duration> = seen.iter().flatten().map(|at| at.saturating_duration_since(issued)).collect();
    took.sort();
    let spread = took.last().unwrap().saturating_sub(took[0]);
    eprintln!(
        "{terminals} terminals: from the first to the last that saw it {spread:?}; order visible p50 {:?} p99 {:?} max {:?} after it was reported (answered after {:?}); \
         memory {before} → {open} MiB with all of them; the end took {end:?}",
        percentile(&took, 500),
        percentile(&took, 990),
        took.last().unwrap(),
        told - issued,
    );
    assert_eq!(took.len(), terminals, "every terminal saw the order");
    // What is meant is a quarter of a second, of an optimized build at full length; in a debug build, both ends of two thousand
    // connections in one process beside other work, only what is far beyond it says anything.
    let long = std::env::var_os("MUSTER_LONG").is_some() && !cfg!(debug_assertions);
    let bound = if long { Duration::from_millis(250) } else { Duration::from_secs(10) };
    assert!(percentile(&took, 990) < bound, "beyond {bound:?}");
    assert!(open - before < 512, "a terminal costs no more than 256 KiB, both ends counted");
    assert!(end < Duration::from_secs(20), "the drain is 10 s; it took {end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_terminal_is_told_to_read_anew_and_let_go_and_costs_no_other_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (server, base) = server(folder.path(), |c| {
        c.deliver.buffer = 512;
        c.http.rate_per_source = std::num::NonZeroU32::new(1_000_000).unwrap();
        c.http.rate_burst = std::num::NonZeroU32::new(1_000_000).unwrap();
        c.http.rate_total = std::num::NonZeroU32::new(1_000_000).unwrap();
        c.http.stream_heartbeat = Millis::from_secs(1);
        // It reads now and then, however long the machine makes that: it is slow, not deaf.
        c.http.send_timeout = Millis::from_mins(10);
    })
    .await;
    let client = Client::builder().no_proxy().build().unwrap();
    let mut slow = listen(&base, "", Some(4_096)).await;
    let mut well = BufReader::new(listen(&base, "?type=order", None).await).lines();
    let mut dropped = false;
    for n in 0..400 {
        report(&client, &base, &format!("s{n}")).await;
        let batch: Vec<Value> = (0..100)
            .map(|k| {
                json!({ "specversion": "1.0", "type": "muster.report", "source": "app/x", "id": format!("b{n}-{k}"),
                    "data": { "text": "噪音扰民", "place": { "position": { "lon": 112.60, "lat": 26.9 } } } })
            })
            .collect();
        let request =
            client.post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents-batch+json");
        assert_eq!(request.body(Value::from(batch).to_string()).send().await.unwrap().status(), 202);
        // Whoever is not read from is found out when it reads again, or when the next message finds no room.
        let lagging = muster_dropped(&client, &base).await;
        if lagging > 0 {
            dropped = true;
            break;
        }
        if n % 20 == 19 {
            // It reads a little, far less than comes.
            let mut some = vec![0; 65_536];
            let _ = tokio::time::timeout(Duration::from_millis(50), slow.read(&mut some)).await;
        }
    }
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), slow.read_to_end(&mut rest)).await;
    let told = String::from_utf8_lossy(&rest);
    assert!(read.is_ok(), "it is let go: the stream ends");
    assert!(told.contains("muster.resync"), "and it was told to read anew");
    assert!(dropped || muster_dropped(&client, &base).await == 1);
    // The other one is still there, and hears the next order.
    let mut orders = 0;
    while orders == 0 {
        let line =
            tokio::time::timeout(Duration::from_secs(60), well.next_line()).await.unwrap().unwrap().expect("goes on");
        orders += usize::from(line == "event: muster.order");
    }
    server.stop().await.unwrap();
}

async fn muster_dropped(client: &Client, base: &str) -> u64 {
    let text = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("muster_stream_dropped_total "));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Two hundred reports in one batch, each with its lines in the timeline.
async fn noise(client: &Client, base: &str, n: usize) {
    let batch: Vec<Value> = (0..200)
        .map(|k| {
            json!({ "specversion": "1.0", "type": "muster.report", "source": "app/x", "id": format!("n{n}-{k}"),
                "data": { "text": "噪音扰民", "place": { "position": { "lon": 112.60, "lat": 26.9 } } } })
        })
        .collect();
    let request =
        client.post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents-batch+json");
    assert_eq!(request.body(Value::from(batch).to_string()).send().await.unwrap().status(), 202);
}

async fn metric(client: &Client, base: &str, name: &str) -> u64 {
    let text = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn unlimited(config: &mut Config) {
    for rate in [&mut config.http.rate_per_source, &mut config.http.rate_burst, &mut config.http.rate_total] {
        *rate = std::num::NonZeroU32::new(1_000_000).unwrap();
    }
}

/// Terminals that never read anything, until their connections stand: what the server could not write any more.
async fn deaf(client: &Client, base: &str, count: usize, stand: impl AsyncFn(usize) -> bool) -> Vec<TcpStream> {
    let mut deaf = Vec::new();
    for _ in 0..count {
        deaf.push(listen(base, "", Some(4_096)).await);
    }
    let expected = u64::try_from(count + 1).unwrap();
    until("all of them listen", async || metric(client, base, "muster_stream_clients").await == expected).await;
    for n in 0..400 {
        noise(client, base, n).await;
        if stand(n).await {
            return deaf;
        }
    }
    panic!("nobody stood still, whatever was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_that_never_read_are_let_go_and_delay_nobody() {
    const DEAF: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let (server, base) = server(folder.path(), |c| {
        unlimited(c);
        c.http.send_timeout = Millis::from_secs(1);
    })
    .await;
    let client = Client::builder().no_proxy().build().unwrap();
    let mut well = BufReader::new(listen(&base, "?type=order", None).await).lines();
    let let_go = async || metric(&client, &base, "muster_http_stalled_total").await;
    let wanted = u64::try_from(DEAF).unwrap();
    let _held_open = deaf(&client, &base, DEAF, async |_| let_go().await == wanted).await;
    until("their places are free", async || metric(&client, &base, "muster_stream_clients").await == 1).await;
    let memory = resident_mib();

    // The one that reads hears an order while others stand.
    let _others = deaf(&client, &base, 4, async |n| n > 2).await;
    let begin = Instant::now();
    report(&client, &base, "o1").await;
    let heard =
        async { while well.next_line().await.unwrap().expect("the stream goes on") != "event: muster.order" {} };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("it hears its order");
    eprintln!("{DEAF} that never read were let go; the order took {:?}; {memory} MiB resident", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_not_held_up_by_terminals_that_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let (server, base) = server(folder.path(), |c| {
        unlimited(c);
        c.deliver.buffer = 1 << 16;
        c.http.send_timeout = Millis::from_mins(10);
    })
    .await;
    let client = Client::builder().no_proxy().build().unwrap();
    let _well = listen(&base, "?type=order", None).await;
    // Enough for any buffer of the system: the ring of those who lag is larger still, so that none of them is let go.
    let _held_open = deaf(&client, &base, 10, async |n| n == 60).await;
    assert_eq!(metric(&client, &base, "muster_http_stalled_total").await, 0);
    let begin = Instant::now();
    server.stop().await.unwrap();
    let took = begin.elapsed();
    eprintln!("the end took {took:?} with ten that never read");
    assert!(took < Duration::from_secs(4), "they were cut off, not waited for: {took:?}");
}
