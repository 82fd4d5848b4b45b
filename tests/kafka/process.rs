//! `muster run` as a process on Kafka, which a test may kill, freeze and start again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::broker::Cluster;

/// A node as a process.
pub struct Process {
    member: String,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// Bytes of the log that earlier starts wrote.
    earlier: usize,
    child: Option<Child>,
}

impl Process {
    /// A node of this name on these brokers, not yet started. More settings as `MUSTER_…`.
    pub fn new(cluster: &Cluster, folder: &Path, member: &str, partitions: u32, more: &[(&str, &str)]) -> Self {
        let mut environment = vec![
            ("MUSTER_KAFKA_BROKERS".to_owned(), cluster.brokers()),
            ("MUSTER_KAFKA_DEVELOPMENT".to_owned(), (cluster.size() < 3).to_string()),
            ("MUSTER_KAFKA_PARTITIONS".to_owned(), partitions.to_string()),
            ("MUSTER_KAFKA_MEMBER".to_owned(), member.to_owned()),
            // What happens to each report and order is read on the topics; to log it costs more than to decide it.
            ("MUSTER_LOG_FILTER".to_owned(), "info,muster::telemetry::tally=off".to_owned()),
            ("MUSTER_HTTP_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("MUSTER_JOURNAL_PATH".to_owned(), folder.join(member).display().to_string()),
        ];
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self {
            member: member.to_owned(),
            environment,
            log: folder.join(format!("{member}.log")),
            earlier: 0,
            child: None,
        }
    }

    /// Starts it. Does not wait.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.member);
        self.earlier = self.log().len();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg("run")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end. How long that took.
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.signal("-TERM");
        let status = self.child.take().expect("it runs").wait().unwrap();
        assert!(status.success(), "{} ended with {status}; its log: {}", self.member, self.log());
        began.elapsed()
    }

    /// SIGSTOP.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it has said since it was last started.
    pub fn log_now(&self) -> String {
        self.log().split_off(self.earlier)
    }

    /// How often it has said this.
    pub fn said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// Memory that it holds, in bytes; 0 where the system does not say so.
    pub fn resident_bytes(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("== the last lines of {}", self.member);
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Makes the topics. A cluster that has just come up may not have all of its brokers at hand yet; what is there already stays.
pub fn topics(cluster: &Cluster, partitions: u32) {
    let began = Instant::now();
    loop {
        let made = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["topics", "create"])
            .env("MUSTER_KAFKA_BROKERS", cluster.brokers())
            .env("MUSTER_KAFKA_DEVELOPMENT", (cluster.size() < 3).to_string())
            .env("MUSTER_KAFKA_PARTITIONS", partitions.to_string())
            .output()
            .unwrap();
        if made.status.success() {
            return;
        }
        let said = [made.stdout, made.stderr].concat();
        assert!(began.elapsed() < Duration::from_secs(60), "{}: {}", made.status, String::from_utf8_lossy(&said));
        std::thread::sleep(Duration::from_millis(500));
    }
}
