//! Who is told: the one address of `[webhook] url`, and those of a file of their own, checked as a whole before anything
//! starts.
//!
//! ```toml
//! [[target]]
//! name = "dongzhou"                      # in the log and in outcomes; letters, digits, - and _
//! url = "https://hook.example/muster"
//! posts = ["P-017", "P-018"]             # of the messages: to these posts only; likewise desks, areas, types
//! language = "zh"                        # of the text: zh or en
//! secret_files = ["secrets/dongzhou.key", "secrets/dongzhou.new.key"]
//! per_second = 20                        # its budget
//! ```
//! What a target leaves out is that of `[webhook]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hyper::Uri;
use ipnet::IpNet;
use serde::Deserialize;
use smol_str::SmolStr;
use url::Url;

use super::guard::check_literal;
use super::signature::{Secret, SecretError, read_all};
use super::{Error, Options};
use crate::deliver::hub::Filter;
use crate::model::{Desk, Millis};
use crate::playbook::Language;
use crate::wire::Kind;

/// Targets at most: each has a task and a queue.
pub const TARGETS_MAX: usize = 2_000;
/// Bytes of the file at most.
const FILE_BYTES_MAX: u64 = 4 << 20;
const NAME_BYTES_MAX: usize = 64;

/// Somebody who is told.
#[derive(Debug)]
pub struct Target {
    /// In the log, the route and the outcomes.
    pub name: SmolStr,
    /// Where to.
    pub url: Uri,
    /// What it hears.
    pub filter: Filter,
    /// In which language the text is.
    pub language: Language,
    /// What signs.
    pub secrets: Vec<Secret>,
    /// Whether it carries orders to their posts: then its failure counts. `false`: it only watches.
    pub carries: bool,
    /// Whether its `2xx` means that the post's device has the order.
    pub delivers: bool,
    /// Attempts a second, 0 without a bound.
    pub per_second: u32,
    /// One attempt may take so long.
    pub timeout: Millis,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Messages that wait.
    pub queue_max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    target: Vec<toml::Spanned<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: SmolStr,
    url: String,
    types: Option<Vec<Kind>>,
    #[serde(default)]
    posts: Vec<SmolStr>,
    #[serde(default)]
    desks: Vec<Desk>,
    #[serde(default)]
    areas: Vec<SmolStr>,
    language: Option<Language>,
    secret_files: Option<Vec<PathBuf>>,
    allow_private: Option<Vec<IpNet>>,
    #[serde(default = "yes")]
    carries: bool,
    #[serde(default)]
    delivers: bool,
    per_second: Option<u32>,
    timeout: Option<Millis>,
    requests_max: Option<usize>,
    queue_max: Option<usize>,
}

fn yes() -> bool {
    true
}

/// The targets, and what each of their hosts may reach beside the public Internet.
#[derive(Debug, Default)]
pub struct Targets {
    /// In the order in which they were written.
    pub list: Vec<Target>,
    /// Ranges by host.
    pub allowed: BTreeMap<String, Vec<IpNet>>,
}

impl Targets {
    /// Reads all of them.
    ///
    /// # Errors
    /// When the file, an address or a secret cannot be used, with its place.
    pub fn read(options: &Options) -> Result<Self, Error> {
        let mut targets = Self::default();
        if !options.url.is_empty() {
            let text = Text { name: "webhook".into(), url: options.url.clone(), ..Text::bare() };
            targets.add(text, options, "[webhook]")?;
        }
        if !options.targets.as_os_str().is_empty() {
            targets.file(&options.targets, options)?;
        }
        Ok(targets)
    }

    fn file(&mut self, path: &Path, options: &Options) -> Result<(), Error> {
        let name = path.display().to_string();
        let refuse = |line: Option<usize>, reason: String| Error {
            place: line.map_or_else(|| name.clone(), |line| format!("{name}:{line}")),
            reason,
        };
        let large = std::fs::metadata(path).map_err(|e| refuse(None, format!("cannot be read: {e}")))?.len();
        if large > FILE_BYTES_MAX {
            return Err(refuse(None, format!("{large} bytes; it has at most {FILE_BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| refuse(None, format!("cannot be read: {e}")))?;
        let line = |offset: usize| 1 + text.get(..offset).unwrap_or(&text).matches('\n').count();
        let file: File =
            toml::from_str(&text).map_err(|e| refuse(e.span().map(|span| line(span.start)), e.message().to_owned()))?;
        for entry in file.target {
            let place = format!("{name}:{}", line(entry.span().start));
            self.add(entry.into_inner(), options, &place)?;
        }
        if self.list.is_empty() {
            return Err(refuse(None, String::from("it names no [[target]]")));
        }
        Ok(())
    }

    fn add(&mut self, text: Text, options: &Options, place: &str) -> Result<(), Error> {
        let refuse = |reason: String| Error { place: format!("{place} (target {:?})", text.name), reason };
        if self.list.len() == TARGETS_MAX {
            return Err(refuse(format!("there are {TARGETS_MAX} targets already, the most that are served")));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.name.is_empty() || text.name.len() > NAME_BYTES_MAX || !text.name.chars().all(plain) {
            return Err(refuse(format!("a name is 1 to {NAME_BYTES_MAX} letters, digits, - and _")));
        }
        if self.list.iter().any(|target| target.name == text.name) {
            return Err(refuse(String::from("another target has this name; outcomes could not be told apart")));
        }
        let allowed = text.allow_private.clone().unwrap_or_else(|| options.allow_private.clone());
        let url = address(&text.url, &allowed).map_err(&refuse)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if self.allowed.get(&host).is_some_and(|others| *others != allowed) {
            return Err(refuse(format!(
                "another target at {host} has another allow_private; one host is allowed one thing"
            )));
        }
        self.allowed.insert(host, allowed);
        let url = url.as_str().parse().map_err(|e| refuse(format!("url = {:?}: {e}", text.url)))?;
        let files = text.secret_files.as_ref().unwrap_or(&options.secret_files);
        let secrets = read_all(files).map_err(|e: SecretError| refuse(e.to_string()))?;
        let kinds = text.types.clone().unwrap_or_else(|| options.types.clone());
        if kinds.is_empty() || kinds.contains(&Kind::Rejected) {
            return Err(refuse(String::from("types: name order, notice, call, agency, forward or timeline")));
        }
        let twice = |words: &[SmolStr]| words.iter().collect::<BTreeSet<_>>().len() < words.len();
        if twice(&text.posts) || twice(&text.areas) {
            return Err(refuse(String::from("posts or areas: one is named twice")));
        }
        self.list.push(Target {
            filter: Filter { kinds, posts: text.posts, desks: text.desks, areas: text.areas, ..Filter::default() },
            language: text.language.unwrap_or(options.language),
            carries: text.carries,
            delivers: text.delivers,
            per_second: text.per_second.unwrap_or(options.per_second),
            timeout: text.timeout.unwrap_or(options.timeout),
            requests_max: text.requests_max.unwrap_or(options.requests_max),
            queue_max: text.queue_max.unwrap_or(options.queue_max),
            name: text.name,
            url,
            secrets,
        });
        Ok(())
    }
}

impl Text {
    fn bare() -> Self {
        Self {
            name: SmolStr::default(),
            url: String::new(),
            types: None,
            posts: Vec::new(),
            desks: Vec::new(),
            areas: Vec::new(),
            language: None,
            secret_files: None,
            allow_private: None,
            carries: true,
            delivers: false,
            per_second: None,
            timeout: None,
            requests_max: None,
            queue_max: None,
        }
    }
}

/// An address that may be told: `http` or `https`, no password, no IP address unless it is allowed.
fn address(text: &str, allowed: &[IpNet]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("url = {text:?}: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url = {text:?}: `{}` is no scheme for this; write https://…", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(String::from("url: an address with a password ends up in logs; sign instead (secret_files)"));
    }
    check_literal(&url, allowed).map_err(|e| format!("url = {text:?}: {e}"))?;
    Ok(url)
}
