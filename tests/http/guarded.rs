//! A server with access control: a token for each role, and the trail to look into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster::access::{Head, Held, Line, Principal, Role, Token, TokenHash, edit, now, verify};
use muster::config::Config;
use muster::model::{Millis, Timestamp};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::kit::{Kit, client, report, told};

pub struct Guarded {
    pub kit: Kit,
    pub tokens: BTreeMap<String, String>,
    pub client: Client,
    folder: tempfile::TempDir,
}

/// Somebody of this role; the areas of the quay's county for `county` roles.
pub fn principal(id: &str, role: Role) -> Principal {
    let post = (role == Role::Post).then(|| id.into());
    let source = match role {
        Role::Producer => Some("110/desk-3".into()),
        Role::Post => Some(format!("terminal/{id}").into()),
        _ => None,
    };
    Principal { id: id.into(), role, areas: None, post, source }
}

/// A token and what is kept of it.
pub fn token(id: &str, expires: Option<Timestamp>) -> (String, Held) {
    let text = Token::mint(id).unwrap().reveal().to_owned();
    let held = Held { sha256: TokenHash::of(&text), made: now(), expires };
    (text, held)
}

impl Guarded {
    /// With one of each role, called after it; a post is `S-1`; `near` and `far` are operators of one county each.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, audit) = (folder.path().join("tokens.toml"), folder.path().join("audit.jsonl"));
        let mut tokens = BTreeMap::new();
        let mut add = |principal: Principal| {
            let (text, held) = token(&principal.id, None);
            tokens.insert(principal.id.to_string(), text);
            edit(&file, |keyring| keyring.add(principal, held)).unwrap();
        };
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Post) {
            add(principal(role.as_str(), role));
        }
        for post in ["S-1", "P-1", "P-5"] {
            add(principal(post, Role::Post));
        }
        for (id, county) in [("near", "990001"), ("far", "990002")] {
            add(Principal { areas: Some([county.into()].into()), ..principal(id, Role::Operator) });
        }
        let kit = Kit::with(|config| {
            config.access.tokens.clone_from(&file);
            config.access.audit.clone_from(&audit);
            config.access.reload_every = Millis(50);
            // The tests look at refusals one by one.
            config.access.failures_per_minute = 100_000.try_into().unwrap();
            change(config);
        })
        .await;
        Self { kit, tokens, client: client(), folder }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    pub fn audit(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    /// A request with this token.
    pub fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.kit.base)).bearer_auth(token)
    }

    /// A read as this principal.
    pub async fn get(&self, who: &str, path: &str) -> (StatusCode, Value) {
        told(self.ask(Method::GET, path, &self.tokens[who]).send().await.unwrap()).await
    }

    /// How many entries a list has for this principal.
    pub async fn count(&self, who: &str, path: &str) -> usize {
        let (status, list) = self.get(who, path).await;
        assert_eq!(status, StatusCode::OK, "{who} {path}: {list}");
        list["items"].as_array().unwrap().len()
    }

    pub async fn send(&self, who: &str, path: &str, event: &Value) -> (StatusCode, Value) {
        let request = self.ask(Method::POST, path, &self.tokens[who]);
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        told(request.send().await.unwrap()).await
    }

    /// A command of this principal.
    pub async fn command(&self, who: &str, id: &str, mut data: Value) -> (StatusCode, Value) {
        data["by"] = "command/seat-2".into();
        let event =
            json!({ "specversion": "1.0", "type": "muster.command", "source": "console", "id": id, "data": data });
        self.send(who, "/v1/commands", &event).await
    }

    /// Something burns at the quay, which is in the county of `near`.
    pub async fn fire(&self, id: &str) -> Value {
        let (status, told) = self.send("producer", "/v1/reports", &report(id, crate::kit::FIRE)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        told
    }

    /// The whole trail, which must be one.
    pub fn lines(&self) -> Vec<Line> {
        let (lines, _) = read(&self.audit());
        lines
    }

    /// The lines of the trail that say so.
    pub fn said(&self, holds: impl Fn(&Line) -> bool) -> Vec<Line> {
        self.lines().into_iter().filter(holds).collect()
    }
}

pub fn read(path: &Path) -> (Vec<Line>, Head) {
    let mut lines = Vec::new();
    let report = verify(&[path.to_owned()], None, |line| lines.push(line.clone())).unwrap();
    assert_eq!(report.findings, [], "the trail is whole");
    (lines, report.head.unwrap())
}

/// Whether it says that somebody was not let in.
pub fn is_refusal(line: &Line) -> bool {
    ["401 ", "403 ", "404 scope"].iter().any(|status| line.outcome.starts_with(status))
}
