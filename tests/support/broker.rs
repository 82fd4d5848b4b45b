//! A real Apache Kafka for a test: one node or several as processes of this machine, which a test may kill, freeze, stop
//! and start again one by one.
//!
//! `dev/kafka` fetches Kafka once and says how a node is set up; here its processes are led. Every cluster has a folder
//! and ports of its own, so that tests run side by side. What ends it is a guard, a shell that waits for the test's
//! process to go away, in whatever way: then it kills the nodes and removes the folder. So nothing stays behind, also
//! after a test that was killed itself.
//!
//! Where Java or Maven is missing, or Maven reaches nothing, [`Cluster::start`] says `SKIPPED` and gives nothing. With
//! `CI` in the environment the latter is a failure instead.
#![allow(dead_code, reason = "each test that includes this file uses a part of it")]

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// A node that was killed is let in again when its session is over (2.5 s), on a busy machine some seconds later.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What `dev/kafka` ends with when Java or Maven is missing.
const NO_JAVA: i32 = 3;

/// What it ends with when Maven cannot fetch.
const NO_JARS: i32 = 4;

/// A broker or several, killed and removed when dropped.
pub struct Cluster {
    folder: PathBuf,
    nodes: Vec<Node>,
    guard: Child,
}

struct Node {
    /// The open door, the controller's, and of a secure node those for SASL and for certificates.
    ports: Vec<u16>,
    child: Option<Child>,
}

impl Node {
    fn with_ports(count: usize) -> Self {
        Self { ports: std::iter::repeat_with(free_port).take(count).collect(), child: None }
    }
}

impl Cluster {
    /// Starts so many nodes and waits until they take requests. `None`, and a line that says so, where there is no Kafka.
    pub fn start(nodes: usize) -> Option<Self> {
        Self::start_with(nodes, 2, &[])
    }

    /// As [`Cluster::start`], with the full speed of the virtual machine: for nodes that are measured against.
    pub fn start_for_bench(nodes: usize) -> Option<Self> {
        Self::start_with(nodes, 2, &["--bench"])
    }

    /// One node with doors for SASL and for certificates beside the open one.
    pub fn start_secure() -> Option<Self> {
        Self::start_with(1, 4, &[])
    }

    fn start_with(nodes: usize, ports: usize, options: &[&str]) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("muster-kafka-").tempdir().unwrap();
        let nodes: Vec<Node> = std::iter::repeat_with(|| Node::with_ports(ports)).take(nodes).collect();
        if !prepare(folder.path(), &nodes, options) {
            return None;
        }
        // From here on it is the guard's to remove.
        let folder = folder.keep();
        let mut cluster = Self { guard: guard(&folder), folder, nodes };
        for node in 1..=cluster.nodes.len() {
            cluster.launch(node);
        }
        cluster.await_ready();
        Some(cluster)
    }

    /// One broker for all tests of a process that do it no harm; told apart by the names of their topics. `None` as above.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Option<Cluster>> = LazyLock::new(|| Cluster::start(1));
        SHARED.as_ref()
    }

    /// Every node, as `bootstrap.servers` wants them.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports[0])).collect::<Vec<_>>().join(",")
    }

    /// The door for SASL within TLS, of a secure node.
    pub fn sasl(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].ports[2])
    }

    /// The door for certificates on both sides, of a secure node.
    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].ports[3])
    }

    /// How many nodes there are, alive or not. They are numbered from 1, as Kafka numbers them.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The cluster's folder: `N/data`, `N/log`, `N/server.properties` a node, and what was prepared for all of them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kill -9`: the node ends at once and in no order.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.node(node).child.take().expect("the node runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends a node in order: it gives its partitions away first.
    pub fn stop(&mut self, node: usize) {
        self.signal(node, "-TERM");
        self.node(node).child.take().expect("the node runs").wait().unwrap();
    }

    /// `SIGSTOP`: the node holds its connections and answers nothing.
    pub fn freeze(&mut self, node: usize) {
        self.signal(node, "-STOP");
    }

    /// `SIGCONT`: it goes on, and believes no time has passed.
    pub fn thaw(&mut self, node: usize) {
        self.signal(node, "-CONT");
    }

    /// Starts a node that was killed or stopped, with what it had on its disk. Does not wait.
    pub fn launch(&mut self, node: usize) {
        let run = self.folder.join(node.to_string()).join("run");
        let here = self.node(node);
        assert!(here.child.is_none(), "node {node} runs already");
        // A group of its own: who interrupts the tests interrupts them alone, and the guard does the rest.
        let child = Command::new(run).stdin(Stdio::null()).process_group(0).spawn().unwrap();
        here.child = Some(child);
    }

    /// Starts a node again and waits until all that run take requests.
    pub fn restart(&mut self, node: usize) {
        self.launch(node);
        self.await_ready();
    }

    /// Waits until every node that runs is known to the cluster.
    pub fn await_ready(&mut self) {
        let alive = self.nodes.iter().filter(|node| node.child.is_some()).count();
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.brokers()).create().unwrap();
        let began = Instant::now();
        loop {
            match client.fetch_metadata(None, Duration::from_secs(1)) {
                Ok(known) if known.brokers().len() == alive => return,
                _ if began.elapsed() < READY_WITHIN => std::thread::sleep(Duration::from_millis(20)),
                last => panic!("not ready after {READY_WITHIN:?}: {last:?}\n{}", self.logs()),
            }
            for (ix, node) in self.nodes.iter_mut().enumerate() {
                if let Some(ended) = node.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                    panic!("node {} ended by itself, {ended}\n{}", ix + 1, self.logs());
                }
            }
        }
    }

    /// The end of what each node wrote.
    pub fn logs(&self) -> String {
        let tail = |node: usize| {
            let log = fs::read_to_string(self.folder.join(node.to_string()).join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("\tat ")).collect();
            format!("node {node}:\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
        };
        (1..=self.nodes.len()).map(tail).collect()
    }

    /// The node that leads a partition, as one that answers knows it.
    pub fn leader(&self, topic: &str, partition: i32) -> usize {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.brokers()).create().unwrap();
        let began = Instant::now();
        loop {
            let known = client.fetch_metadata(Some(topic), Duration::from_secs(5));
            let led = known.as_ref().ok().and_then(|known| {
                let partition = known.topics().first()?.partitions().iter().find(|p| p.id() == partition)?;
                usize::try_from(partition.leader()).ok()
            });
            match led {
                Some(leader) => return leader,
                None if began.elapsed() < READY_WITHIN => std::thread::sleep(Duration::from_millis(50)),
                None => panic!("nobody leads partition {partition} of {topic}\n{}", self.logs()),
            }
        }
    }

    fn node(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node - 1]
    }

    fn signal(&mut self, node: usize, name: &str) {
        let pid = self.node(node).child.as_ref().expect("the node runs").id();
        assert!(Command::new("kill").arg(name).arg(pid.to_string()).status().unwrap().success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            let _ = child.wait();
        }
    }
}

/// Has the folder made by `dev/kafka`. False where there is no Kafka to be had.
fn prepare(folder: &Path, nodes: &[Node], options: &[&str]) -> bool {
    let ports = |node: &Node| node.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(":");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/kafka");
    let made = Command::new(script)
        .env("DEV_KAFKA_HOME", target.join("kafka"))
        .arg("prepare")
        .args(options)
        .arg(folder)
        .args(nodes.iter().map(ports))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    if made.status.success() {
        return true;
    }
    let code = made.status.code();
    let excused = code == Some(NO_JAVA) || code == Some(NO_JARS) && std::env::var_os("CI").is_none();
    assert!(excused, "dev/kafka: {}\n{said}", made.status);
    // Past the test's captured output: what was not tried must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: no Kafka to test with: {}", said.trim());
    false
}

/// Waits until its standard input ends, which is when the test's process does; then no node is left, and no folder.
fn guard(folder: &Path) -> Child {
    let end = r#"cat >/dev/null; for file in "$1"/*/pid; do kill -9 "$(cat "$file")"; done 2>/dev/null; rm -rf "$1""#;
    let mut guard = Command::new("sh");
    guard.args(["-c", end, "sh"]).arg(folder).stdin(Stdio::piped()).process_group(0);
    guard.spawn().unwrap()
}

/// A port of the loopback that nobody uses: below those that the system gives to outgoing connections, so that it is still
/// free when a killed node wants it back.
fn free_port() -> u16 {
    // Begins anywhere, so that several test processes rarely ask for the same one.
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(())));
    let mut candidates = std::iter::repeat_with(|| 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = candidates.by_ref().take(12_000).map(|port| u16::try_from(port).expect("below 32,000"));
    ports.find(free).expect("a free port between 20,000 and 32,000")
}
