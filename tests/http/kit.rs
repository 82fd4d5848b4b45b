//! A server in a folder of its own, and a client that talks to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster::cli::server::Server;
use muster::config::Config;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

/// A fire at the key site: bottom line, one standing post on the spot.
pub const FIRE: &str = "商场冒烟 有明火";

pub fn playbook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal")
}

pub struct Kit {
    pub server: Server,
    pub base: String,
    pub client: Client,
    config: Config,
    /// Removed with the kit.
    folder: tempfile::TempDir,
}

impl Kit {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.playbook.dir = playbook();
        config.journal.path = folder.path().join("data");
        config.http.listen = ([127, 0, 0, 1], 0).into();
        change(&mut config);
        Self::at(config, folder).await
    }

    async fn at(config: Config, folder: tempfile::TempDir) -> Self {
        let server = Server::start(config.clone()).await.unwrap();
        let base = format!("http://{}", server.address());
        server.handle().ready().await;
        Self { server, base, client: client(), config, folder }
    }

    /// The same folder, another process.
    pub async fn restart(self) -> Self {
        let Self { server, config, folder, .. } = self;
        server.stop().await.unwrap();
        Self::at(config, folder).await
    }

    /// The same folder, after a crash: nothing is ended in order.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        told(self.client.get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub async fn ok(&self, path: &str) -> Value {
        let (status, value) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }

    pub async fn event(&self, path: &str, event: &Value) -> (StatusCode, Value) {
        told(self.post(path, "application/cloudevents+json", event.to_string()).await).await
    }

    /// A fire at the key site.
    pub async fn fire(&self, id: &str) -> Value {
        let (status, told) = self.event("/v1/reports", &report(id, FIRE)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        told
    }

    pub async fn act(&self, id: &str, order: &Value, post: &str, act: &str) -> (StatusCode, Value) {
        let data = json!({ "order": order, "post": post, "act": act });
        self.event("/v1/acts", &envelope("muster.act", "terminal/x", id, &data)).await
    }

    pub async fn metric(&self, line: &str) -> bool {
        let text = self.client.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
        text.lines().any(|l| l == line)
    }
}

pub fn client() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub async fn told(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: no JSON: {text}"));
    (status, value)
}

pub fn envelope(kind: &str, source: &str, id: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "type": kind, "source": source, "id": id, "data": data })
}

pub fn report(id: &str, text: &str) -> Value {
    let data = json!({ "text": text, "place": { "id": "lotus-plaza" } });
    envelope("muster.report", "110/desk-3", id, &data)
}

/// Waits until it holds, for a few seconds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what}: not within five seconds");
}
