//! A roster many times the size: a copy of a playbook with more posts, so that ten thousand open incidents find somebody.
//!
//! For each group of like posts in an area (patrols, bases, peak posts; not those that stand at one site) a block of
//! further ones is written into a file of its own, spread over the area. Nothing else changes: the copy is a playbook
//! that `muster check` accepts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::config::playbook::read_dir;
use crate::model::{AreaId, Kind, PostSpec};
use crate::playbook::Playbook;

/// The file that holds the further posts; it sorts behind the playbook's own.
const FILE: &str = "zz-load-roster.toml";
/// Further posts stand so far from the middle of their area, or within its reach where that is less.
const SPREAD_M: f64 = 6_000.0;
/// Posts of one block at most, as the playbook's text has it.
const BLOCK_MAX: u32 = 65_535;
/// A number at the end of a call sign and one that a flood of people would share: no roster is larger.
pub const TIMES_MAX: u32 = 1_000;

/// Posts that differ in nothing but their place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Like {
    area: AreaId,
    kind: Kind,
    hours: String,
    strength: u16,
    capabilities: Vec<String>,
}

/// Writes a copy of the playbook in `from` into the new folder `to`, with so many times its mobile posts.
///
/// # Errors
/// When a file cannot be read or written.
pub fn scale(playbook: &Playbook, from: &Path, to: &Path, times: u32) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    let mut files = read_dir(from)?;
    files.push((FILE.to_owned(), further(playbook, times)));
    for (name, text) in files {
        let path = to.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// The blocks of further posts, as text.
fn further(playbook: &Playbook, times: u32) -> String {
    let mut groups: BTreeMap<Like, u32> = BTreeMap::new();
    for post in playbook.posts.values().filter(|p| p.kind != Kind::Standing) {
        *groups.entry(like(post)).or_default() += 1;
    }
    let mut text = String::from("# Further posts for a load; made by `muster load --roster`.\n");
    for (n, (like, count)) in groups.iter().enumerate() {
        let count = (count * times.saturating_sub(1)).min(BLOCK_MAX);
        let reach = playbook.areas.areas.get(&like.area).map_or(SPREAD_M, |area| area.reach_m);
        if count > 0 {
            block(&mut text, n, like, count, reach.min(SPREAD_M));
        }
    }
    text
}

fn like(post: &PostSpec) -> Like {
    Like {
        area: post.area.clone(),
        kind: post.kind,
        hours: post.hours.to_string(),
        strength: post.strength,
        capabilities: post.capabilities.iter().map(ToString::to_string).collect(),
    }
}

fn block(text: &mut String, n: usize, like: &Like, count: u32, radius_m: f64) {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let capabilities: Vec<String> = like.capabilities.iter().map(|c| quoted(c)).collect();
    let _ = write!(
        text,
        "\n[[post_block]]\nprefix = {}\nkind = {}\narea = {}\ncount = {count}\nradius_m = {radius_m:.1}\nhours = {}\n\
         strength = {}\ncapabilities = [{}]\n",
        quoted(&format!("L{n}")),
        quoted(&like.kind.to_string()),
        quoted(like.area.as_str()),
        quoted(&like.hours),
        like.strength,
        capabilities.join(", "),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::playbook::load_dir;

    #[test]
    fn a_scaled_roster_is_a_playbook_that_is_accepted() {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
        let (folder, own) = (tempfile::tempdir().unwrap(), load_dir(&from, None).unwrap());
        let to = folder.path().join("playbook");
        scale(&own, &from, &to, 5).unwrap();
        let scaled = load_dir(&to, None).unwrap();
        let mobile = |p: &Playbook| p.posts.values().filter(|p| p.kind != Kind::Standing).count();
        assert_eq!(mobile(&scaled), mobile(&own) * 5);
        assert_eq!(scaled.posts.len() - mobile(&scaled), own.posts.len() - mobile(&own));
        let can = |p: &Playbook, c: &str| p.posts.values().filter(|p| p.capabilities.iter().any(|x| x == c)).count();
        assert!(can(&scaled, "drone") > can(&own, "drone"), "special capabilities are scaled as well");
    }
}
