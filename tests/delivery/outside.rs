//! Targets as they are found in the field: those that answer, and those that are sick in one way or another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// One message as a target heard it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub at: Instant,
    /// `webhook-id`.
    pub id: String,
    pub timestamp: String,
    pub signature: Option<String>,
    pub body: Bytes,
}

/// How a target behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Answers 500.
    Broken,
    /// Takes the connection and never answers.
    Hangs,
    /// Takes the connection and resets it.
    Resets,
    /// Answers 302 to a loopback address that must never be reached.
    Redirects(SocketAddr),
}

/// A target at a port of its own.
#[derive(Clone)]
pub struct Outside {
    pub address: SocketAddr,
    pub heard: Arc<Mutex<Vec<Heard>>>,
    /// Answers still to give instead of that of its health.
    pub answers: Arc<Mutex<Vec<u16>>>,
    health: Health,
}

impl Outside {
    pub async fn listen(health: Health) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let outside = Self { address, heard: Arc::default(), answers: Arc::default(), health };
        match health {
            Health::Hangs | Health::Resets => drop(tokio::spawn(sick(listener, health))),
            _ => {
                let app = Router::new().fallback(post(hear)).with_state(outside.clone());
                tokio::spawn(axum::serve(listener, app).into_future());
            }
        }
        outside
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How often each id was heard.
    pub fn ids(&self) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        for heard in self.heard.lock().unwrap().iter() {
            *ids.entry(heard.id.clone()).or_default() += 1;
        }
        ids
    }
}

async fn hear(State(outside): State<Outside>, headers: HeaderMap, body: Bytes) -> Response {
    let value = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    outside.heard.lock().unwrap().push(Heard {
        at: Instant::now(),
        id: value("webhook-id").expect("every message has an id"),
        timestamp: value("webhook-timestamp").expect("and a time"),
        signature: value("webhook-signature"),
        body,
    });
    let next = outside.answers.lock().unwrap().pop();
    match (next, outside.health) {
        (Some(status), _) => StatusCode::from_u16(status).unwrap().into_response(),
        (None, Health::Well) => StatusCode::NO_CONTENT.into_response(),
        (None, Health::Redirects(to)) => {
            (StatusCode::FOUND, [(header::LOCATION, format!("http://{to}/"))]).into_response()
        }
        (None, _) => (StatusCode::INTERNAL_SERVER_ERROR, "x".repeat(100_000)).into_response(),
    }
}

async fn sick(listener: TcpListener, health: Health) {
    loop {
        let Ok((mut connection, _)) = listener.accept().await else { return };
        tokio::spawn(async move {
            let mut some = [0; 64];
            if health == Health::Resets {
                let _ = connection.read(&mut some).await;
                // With bytes unread, closing resets the connection.
                return;
            }
            while connection.read(&mut some).await.is_ok_and(|read| read > 0) {}
        });
    }
}

/// An address that nobody may reach; how many did.
pub async fn trap() -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, reached) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&reached);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            *count.lock().unwrap() += 1;
        }
    });
    (address, reached)
}

/// Waits until it holds, for a minute: on a loaded machine everything takes its time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(90), "{what}: not within ninety seconds");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The value at which so many of a thousand are not above.
pub fn percentile(sorted: &[Duration], of_1000: usize) -> Duration {
    sorted.get((sorted.len() * of_1000 / 1000).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
