//! An instance of our own to measure: the same program, as a process of its own, on a free port with a fresh store.
//!
//! A process of its own, so that what is measured is the product and not the driver beside it; what each of the two took of
//! the processor is told apart, where the system says so.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Serialize;

use super::roster;
use crate::config::playbook::load_dir;

/// A store that is made anew is open long before that, also where the machine is busy.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
/// What a folder of ours is called.
const PREFIX: &str = "muster-load";
/// So large a number means: no bound of the door's governor, which counts by source what here comes from one process.
const UNBOUNDED: &str = "4000000000";

/// How it is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The playbook's folder.
    pub playbook: PathBuf,
    /// So many times its mobile posts.
    pub roster: u32,
    /// Where the folder for store, playbook and log is made; default the system's for temporary files.
    pub data: Option<PathBuf>,
    /// Whether the door's governor is as shipped; otherwise it holds nothing back.
    pub governed: bool,
}

/// An instance at work; ended and removed when this is dropped.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    folder: PathBuf,
    kept: bool,
    /// Where it listens.
    pub url: String,
}

impl Instance {
    /// Starts one, and waits until it listens.
    ///
    /// # Errors
    /// When the playbook cannot be used, or it does not start.
    pub fn start(setup: &Setup) -> anyhow::Result<Self> {
        let (folder, kept) = folder(setup.data.as_deref())?;
        let playbook = if setup.roster > 1 {
            let to = folder.join("playbook");
            roster::scale(&load_dir(&setup.playbook, None)?, &setup.playbook, &to, setup.roster)?;
            to
        } else {
            setup.playbook.clone()
        };
        let log = folder.join("muster.log");
        let said = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(std::env::current_exe().context("where this program is")?);
        command.args(["run", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
        command.arg("--playbook").arg(&playbook).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said);
        if !setup.governed {
            for key in ["RATE_PER_SOURCE", "RATE_BURST", "RATE_TOTAL"] {
                command.env(format!("MUSTER_HTTP_{key}"), UNBOUNDED);
            }
        }
        // A driver that reads slowly for a moment shall not be let go.
        command.env("MUSTER_DELIVER_BUFFER", "1000000").env_remove("MUSTER_KAFKA_BROKERS");
        let child = command.spawn().context("the instance to measure")?;
        let mut instance = Self { child, folder, kept, url: String::new() };
        instance.url = instance.address(&log)?;
        Ok(instance)
    }

    /// What it says first: where it listens.
    fn address(&mut self, log: &Path) -> anyhow::Result<String> {
        let out = self.child.stdout.take().context("its output")?;
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let read = move || {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let url = lines.by_ref().find_map(|line| Some(line.split_once("listens on ")?.1.trim().to_owned()));
            // Nobody waits any more when it took too long.
            let _ = tell.send(url);
            // What else it says is read, so that it never waits for a reader.
            lines.for_each(drop);
        };
        std::thread::Builder::new().name("load-instance".to_owned()).spawn(read).context("a thread")?;
        match told.recv_timeout(STARTS_WITHIN) {
            Ok(Some(url)) => Ok(url),
            Ok(None) | Err(_) => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(anyhow!("the instance did not start: {}", said.trim()))
            }
        }
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has taken of the machine so far; `None` where the system does not say.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(&self.child.id().to_string())
    }

    /// Whether it is still at work.
    ///
    /// # Errors
    /// When it ended: then nothing it was asked counts.
    pub fn is_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the instance ended by itself: {status}; its log: {}", self.folder.join("muster.log").display());
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // What it holds is of no use to anybody; a store that was asked for is whole at any instant.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A folder that was named is kept; one of our own is removed.
fn folder(named: Option<&Path>) -> anyhow::Result<(PathBuf, bool)> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::temp_dir().join(format!("{PREFIX}-{}-{}", std::process::id(), super::clock::wall().0)),
    };
    let used = std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!used, "{} is not empty; a load begins with a fresh store: name a new folder", path.display());
    std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok((path, named.is_some()))
}

/// What a process has taken of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Processor time, in seconds.
    pub cpu_s: f64,
    /// Memory held now, in MiB.
    pub resident_mib: f64,
}

impl Usage {
    /// Of this process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of("self")
    }

    /// What was taken since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { cpu_s: self.cpu_s - before.cpu_s, ..self }
    }

    /// Linux: `/proc/<pid>/stat` counts in hundredths of a second (`USER_HZ`, fixed there), `statm` in pages of 4 KiB.
    #[cfg(target_os = "linux")]
    fn of(process: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in parentheses and may hold anything; counted from behind it, fields 14 and 15 are 11 and 12.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
        let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        let resident: f64 = pages.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { cpu_s: (ticks(11)? + ticks(12)?) / 100.0, resident_mib: resident * 4096.0 / 1_048_576.0 })
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_process: &str) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_knows_what_it_took() {
        let usage = Usage::own().unwrap();
        assert!(usage.resident_mib > 1.0 && usage.cpu_s >= 0.0, "{usage:?}");
    }

    #[test]
    fn a_folder_that_is_used_is_refused() {
        let used = tempfile::tempdir().unwrap();
        std::fs::write(used.path().join("x"), "x").unwrap();
        let why = folder(Some(used.path())).unwrap_err().to_string();
        assert!(why.contains("is not empty"), "{why}");
    }
}
