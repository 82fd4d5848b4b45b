//! `muster check DIR`: whether a playbook may go live, and what it holds.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::playbook::{Error, load_dir};
use crate::playbook::Census;

/// Check a playbook: prints what it holds, or everything that is wrong with it, by file and line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The playbook's folder.
    #[arg(value_name = "DIR", default_value = "config/playbooks/hengyang")]
    dir: PathBuf,
    /// Check it with this set of marks in force instead of the one it names.
    #[arg(long)]
    set: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads and checks the playbook.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match load_dir(&args.dir, args.set.as_deref()) {
        Ok(playbook) => {
            let census = playbook.census();
            if args.json {
                println!("{}", json!({ "good": true, "problems": [], "census": census }));
            } else {
                print!("{}", page(&census));
            }
            Ok(super::good())
        }
        Err(Error::Refused(problems)) => {
            if args.json {
                println!("{}", json!({ "good": false, "problems": problems, "census": Value::Null }));
            } else {
                for problem in &problems {
                    println!("{problem}");
                }
                println!("{} problem{} found", problems.len(), if problems.len() == 1 { "" } else { "s" });
            }
            Ok(super::finding())
        }
        Err(unreadable) => Err(unreadable.into()),
    }
}

/// The counts as a page: one line a table of the playbook.
fn page(c: &Census) -> String {
    let by = |counts: &std::collections::BTreeMap<String, usize>, between: &str| {
        counts.iter().map(|(key, n)| format!("{n}{between}{key}")).collect::<Vec<_>>().join(", ")
    };
    let townships: Vec<String> = c.townships.iter().map(|(vintage, n)| format!("{n} in {vintage}")).collect();
    let sets: Vec<&str> = c.sets.iter().map(AsRef::as_ref).collect();
    let lines = [
        ("playbook", format!("{} {}, hash {}", c.name, c.version, c.hash)),
        ("sets", format!("{} in force of {}", c.set, sets.join(", "))),
        (
            "taxonomy",
            format!("{} domains, {} classes, {} items, {} kinds of risk", c.domains, c.classes, c.items, c.risk_kinds),
        ),
        ("", format!("{} items trigger at once, {} are mediation", c.trigger_at_once, c.mediation_items)),
        ("rules", format!("{} rules, {} modifiers", c.rules, c.modifiers)),
        ("keywords", format!("{} groups, {} words, {} negations", c.keyword_groups, c.words, c.negations)),
        ("plans", format!("{} plans in force, {} marks", c.plans, c.marks)),
        ("counties", c.counties.to_string()),
        ("townships", townships.join(", ")),
        ("areas", format!("{}: {}", c.areas, by(&c.areas_by_class, " of class "))),
        ("places", format!("{} key sites, {} zones, {} neighbours", c.sites, c.zones, c.neighbours)),
        ("posts", format!("{}: {}", c.posts, by(&c.posts_by_kind, " "))),
        ("teams", c.teams.to_string()),
        (
            "others",
            format!(
                "{} agencies, {} subscriptions, {} dispositions, {} sources",
                c.agencies, c.subscriptions, c.dispositions, c.sources
            ),
        ),
    ];
    let lines = lines.iter().map(|(what, held)| format!("{what:<10} {held}\n"));
    lines.chain(["good\n".to_owned()]).collect()
}
