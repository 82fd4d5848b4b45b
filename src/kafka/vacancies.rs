//! Shards that nobody owns: their last owner has released them, and the group has not said yet who comes next.
//!
//! A node that ends tells the group nothing (its members are static, so that a restart moves no shard), and the group
//! finds out only when its session is over. The release stands in the journal, though, and every node reads it: so a shard
//! that has been free for a moment is claimed by whoever is first, and kept until the group says otherwise. Nodes wait for
//! different moments, so that mostly one claims; where two do, the log decides.
//!
//! A node from which a shard was just taken leaves it to the others for a while: the group has somebody in mind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::node::Node;
use super::picture::Picture;

/// The picture is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A shard must have been free in so many looks; each node adds up to as many of its own.
const LOOKS: u32 = 4;

/// The thread that looks; dropped, it ends.
#[derive(Debug)]
pub struct Vacancies {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Vacancies {
    /// Begins to look.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn watch(picture: Picture, shards: u32, node: Arc<Node>) -> std::io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let work = move || {
            let mut free: BTreeMap<u32, u32> = BTreeMap::new();
            while !told.load(Ordering::Acquire) {
                std::thread::sleep(LOOK_EVERY);
                for shard in 0..shards {
                    look(&picture, &node, shard, &mut free);
                }
            }
        };
        let thread = std::thread::Builder::new().name("vacancies".to_owned()).spawn(work)?;
        Ok(Self { ends, thread: Some(thread) })
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

impl Drop for Vacancies {
    fn drop(&mut self) {
        self.end();
    }
}

fn look(picture: &Picture, node: &Node, shard: u32, free: &mut BTreeMap<u32, u32>) {
    if !picture.is_free(shard) || !node.may_borrow(shard) {
        free.remove(&shard);
        return;
    }
    let looks = free.entry(shard).or_default();
    *looks += 1;
    if *looks >= LOOKS + node.patience(shard) % LOOKS {
        free.remove(&shard);
        node.free(shard);
    }
}
