//! `muster token`: who has access. A token is shown once, when it is made; the file keeps its hash.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::access::{
    self, Entry, Held, ID_RULE, Keyring, Listed, Principal, Role, Secret, Token, TokenHash, Trail, edit, is_id,
};
use crate::config::Config;
use crate::model::{Millis, PostId, Timestamp};

/// Make, list, exchange or revoke tokens. A token belongs to a desk, a post or a producer, never to a person.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token for somebody new, and print it once.
    New(New),
    /// Who there is, and whether its tokens are good.
    List(Where),
    /// Make a new token for somebody; the old one stays good for a while, so that both sides can be changed in peace.
    Rotate(Rotate),
    /// Take all tokens of somebody back.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Where {
    /// The file of tokens, instead of `[access] tokens`.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration; default `config/muster.toml`, where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its name, such as `desk-fire-2`.
    id: SmolStr,
    /// producer, post, operator, supervisor, viewer or metrics.
    #[arg(long)]
    role: Role,
    /// A command area, a county or an assessed area; may be repeated; `*` is everywhere. For operator, supervisor, viewer.
    #[arg(long = "area", value_name = "AREA")]
    areas: Vec<SmolStr>,
    /// The post it acts as. For the role post; default its name.
    #[arg(long)]
    post: Option<SmolStr>,
    /// What the source of its events begins with. For a producer; a post has `terminal/<post>` where none is named.
    #[arg(long)]
    source: Option<SmolStr>,
    /// The token ends after this, such as 90d.
    #[arg(long, value_name = "SPAN")]
    expires: Option<Millis>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Whose.
    id: SmolStr,
    /// The old token stays good for so long.
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    overlap: Millis,
    /// The new token ends after this.
    #[arg(long, value_name = "SPAN")]
    expires: Option<Millis>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// Whose.
    id: SmolStr,
    #[command(flatten)]
    place: Where,
}

/// Does it.
///
/// # Errors
/// When the file cannot be read or written, or the change makes no sense.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now = access::now();
    match args.command {
        Command::New(new) => make(new, now),
        Command::List(place) => list(&place, now),
        Command::Rotate(rotate) => exchange(&rotate, now),
        Command::Revoke(revoke) => take_back(&revoke, now),
    }
}

/// Where the tokens are, and the trail that is told of every change.
struct Files {
    tokens: PathBuf,
    trail: Option<Trail>,
}

impl Where {
    fn files(&self) -> anyhow::Result<Files> {
        let options = Config::load(self.config.as_deref(), std::env::vars())?.config.access;
        let tokens = self.file.clone().unwrap_or(options.tokens);
        ensure!(!tokens.as_os_str().is_empty(), "which file? set [access] tokens, or name it with --file");
        let audit = Some(&options.audit).filter(|path| !path.as_os_str().is_empty());
        let trail = audit.map(|path| Trail::open(path, options.audit_bytes_max.get())).transpose()?;
        Ok(Files { tokens, trail })
    }
}

impl Files {
    /// A change and its line in the trail: the line first, so that no change is without one.
    fn change<T>(
        &self,
        action: &str,
        id: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Keyring) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let changed = edit(&self.tokens, |keyring| {
            let changed = change(keyring)?;
            if let Some(trail) = &self.trail {
                let target = access::target(id);
                trail.append(&Entry { at: now, principal: "local", action, target, outcome: "done", from: None });
                trail.flush();
                if trail.lost() > 0 {
                    return Err(String::from("the audit trail cannot be written, so nothing is changed"));
                }
            }
            Ok(changed)
        })?;
        if self.trail.is_none() {
            eprintln!("muster: [access] audit is not set: this change is in no trail");
        }
        Ok(changed)
    }
}

fn make(new: New, now: Timestamp) -> anyhow::Result<ExitCode> {
    ensure!(is_id(&new.id), "{:?} is no name for a token: it has {ID_RULE}", new.id);
    let post = (new.role == Role::Post).then(|| PostId::from(new.post.as_ref().unwrap_or(&new.id).as_str()));
    if new.post.is_some() && post.is_none() {
        bail!("--post belongs to --role post");
    }
    let own = || post.as_ref().map(|post| SmolStr::from(format!("terminal/{post}")));
    let everywhere = new.areas.is_empty() || new.areas.iter().any(|area| area == "*");
    ensure!(
        new.role.has_areas() != new.areas.is_empty(),
        if new.role.has_areas() {
            "where? name --area, or --area '*' for everywhere"
        } else {
            "this role has no --area"
        }
    );
    let principal = Principal {
        source: new.source.or_else(own),
        areas: (!everywhere).then(|| Arc::from(new.areas)),
        id: new.id.clone(),
        role: new.role,
        post,
    };
    let files = new.place.files()?;
    let (secret, held) = token(&new.id, new.expires, now)?;
    let shown = json!({ "principal": new.id, "role": new.role, "areas": principal.area_names(), "post": principal.post,
        "source": principal.source });
    files.change("token.new", &new.id, now, |keyring| keyring.add(principal, held.clone()))?;
    show(&new.place, &secret, &held, shown);
    Ok(super::good())
}

fn exchange(rotate: &Rotate, now: Timestamp) -> anyhow::Result<ExitCode> {
    let files = rotate.place.files()?;
    let (secret, held) = token(&rotate.id, rotate.expires, now)?;
    let until = now + rotate.overlap;
    files.change("token.rotate", &rotate.id, now, |keyring| keyring.rotate(&rotate.id, held.clone(), until))?;
    show(&rotate.place, &secret, &held, json!({ "principal": rotate.id, "old_until": until.to_rfc3339() }));
    Ok(super::good())
}

fn take_back(revoke: &Revoke, now: Timestamp) -> anyhow::Result<ExitCode> {
    revoke.place.files()?.change("token.revoke", &revoke.id, now, |keyring| keyring.revoke(&revoke.id, now))?;
    if revoke.place.json {
        println!("{}", json!({ "principal": revoke.id, "revoked_at": now.to_rfc3339() }));
    } else {
        println!("{}: revoked; a running service knows within [access] reload_every", revoke.id);
    }
    Ok(super::good())
}

fn list(place: &Where, now: Timestamp) -> anyhow::Result<ExitCode> {
    // No trail is opened: looking changes nothing.
    let options = Config::load(place.config.as_deref(), std::env::vars())?.config.access;
    let tokens = place.file.clone().unwrap_or(options.tokens);
    ensure!(!tokens.as_os_str().is_empty(), "which file? set [access] tokens, or name it with --file");
    let keyring = Keyring::read(&tokens)?;
    if place.json {
        let items: Vec<Value> = keyring.entries().map(|entry| told(entry, now)).collect();
        println!("{}", json!({ "file": tokens, "items": items }));
    } else {
        keyring.entries().for_each(|entry| println!("{}", line(entry, now)));
        println!("{} in {}", keyring.len(), tokens.display());
    }
    Ok(super::good())
}

fn token(id: &str, expires: Option<Millis>, now: Timestamp) -> anyhow::Result<(Secret, Held)> {
    let secret = Token::mint(id).context("the system has no randomness to give")?;
    let held = Held { sha256: TokenHash::of(secret.reveal()), made: now, expires: expires.map(|span| now + span) };
    Ok((secret, held))
}

/// The one place where a token is shown.
fn show(place: &Where, secret: &Secret, held: &Held, mut about: Value) {
    let ends = held.expires.map(Timestamp::to_rfc3339);
    if place.json {
        about["token"] = secret.reveal().into();
        about["expires_at"] = ends.into();
        println!("{about}");
        return;
    }
    println!("{}", secret.reveal());
    let ends = ends.map_or_else(|| String::from("has no end"), |ends| format!("is good until {ends}"));
    let old = about["old_until"].as_str().map(|until| format!("; the one before, until {until}")).unwrap_or_default();
    eprintln!("muster: this token {ends}{old}. It is shown once and stands nowhere: hand it over now.");
}

fn state(entry: &Listed, now: Timestamp) -> &'static str {
    match entry.tokens.iter().filter(|token| token.is_good(now)).count() {
        _ if entry.revoked.is_some() => "revoked",
        0 => "expired",
        1 => "good",
        _ => "rotating",
    }
}

fn told(entry: &Listed, now: Timestamp) -> Value {
    let p = &*entry.principal;
    let tokens = entry.tokens.iter().map(|t| {
        json!({ "made_at": t.made.to_rfc3339(), "expires_at": t.expires.map(Timestamp::to_rfc3339), "good": t.is_good(now) })
    });
    json!({
        "principal": p.id, "role": p.role, "areas": p.area_names(), "post": p.post, "source": p.source,
        "state": state(entry, now), "revoked_at": entry.revoked.map(Timestamp::to_rfc3339),
        "tokens": tokens.collect::<Vec<_>>(),
    })
}

fn line(entry: &Listed, now: Timestamp) -> String {
    let p = &*entry.principal;
    let place = match (&p.post, &p.source) {
        (Some(post), _) => format!("as {post}"),
        (None, Some(source)) => format!("from {source}"),
        (None, None) if p.role.has_areas() => format!("in {}", p.area_names().join(", ")),
        (None, None) => String::new(),
    };
    let newest = entry.tokens.last().and_then(|t| t.expires).map(|end| format!("  until {end}")).unwrap_or_default();
    format!("{:<24} {:<10} {:<8} {place}{newest}", p.id, p.role, state(entry, now))
}
