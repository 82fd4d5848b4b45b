//! The door over HTTP: reports, acts, positions and commands in; reads, the stream and metrics out.
//!
//! *In* (`intake`): bytes → decode → governor → the runtime's handle; the answer comes after the commit, so a `202` means
//! that it is kept. *Look* (`reads`, `cards`, `archive`, `areas`, `views`): the board
//! and the playbook only, never the engine. *Out* (`stream`): server-sent events from
//! the hub. Every error is a [`Problem`]. What holds for all requests stands in `guard`: whom we serve, how long, how
//! large, and what a panic becomes.
//!
//! # Whom we serve
//! Every route stands in one table with the permission it asks for (`routes`), and nothing else leads to a handler; who
//! comes is checked before (`permit`), what is asked or said is cut to what the caller may see and do (`scope`). Without
//! access control the door binds to this machine's loopback only and refuses to start elsewhere; with it, it asks for TLS of
//! its own or a proxy's (`door`). A page of another site is not let in: the `Host` must be one of ours (no DNS rebinding), a
//! body must say that it is JSON (so that a browser has to ask first), no cross-origin answer is given, and a session's
//! cookie counts for a change only with the header that our own page knows.
//!
//! # The end
//! The shutdown token ends every stream; requests under way get their answer; who does not take it is
//! cut off, and the rest is bounded by the drain. Before the end, too, who takes nothing of what we send is let go (`stall`).
mod app;
mod archive;
mod areas;
mod cards;
mod door;
mod governor;
mod guard;
mod intake;
mod noted;
mod params;
mod permit;
mod problem;
mod reads;
mod routes;
mod scope;
mod session;
mod silences;
mod stall;
mod stream;
mod unit;
mod views;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub use app::{App, router};
pub use door::{Door, serve};
pub use problem::Problem;
pub use routes::{ROUTES, Route};

use crate::model::Millis;

/// `[http]`: the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where to listen. Loopback only, unless there is access control and TLS or a proxy that has it.
    pub listen: SocketAddr,
    /// The certificate chain (PEM), the server's own first. Empty: no TLS. Read again when it changes.
    pub tls_certificate: PathBuf,
    /// Its key (PEM).
    pub tls_key: PathBuf,
    /// A proxy stands before the door: it alone reaches us, speaks TLS with the outside, and names the caller's address last in
    /// `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// A request's head, and the pause before it, take no longer.
    pub header_timeout: Millis,
    /// Who takes nothing of what we send for so long is let go, a stream's listener above all.
    pub send_timeout: Millis,
    /// Connections at once. Beyond it, whoever comes waits outside.
    pub connections_max: NonZeroUsize,
    /// Names in `Host` that are served beside `localhost`, `127.0.0.1` and `[::1]`.
    pub hosts: Vec<String>,
    /// Bytes of one body.
    pub body_bytes_max: NonZeroUsize,
    /// Bytes of one event.
    pub element_bytes_max: NonZeroUsize,
    /// Events of one batch.
    pub batch_max: NonZeroUsize,
    /// A request is answered within this.
    pub request_timeout: Millis,
    /// Ordinary reports a second from one source; beyond it, 429.
    pub rate_per_source: NonZeroU32,
    /// So many at once from one source that was quiet.
    pub rate_burst: NonZeroU32,
    /// Reports a second in all; ordinary ones may take four fifths of it, bottom-line ones are never held back.
    pub rate_total: NonZeroU32,
    /// Sources told apart by the governor.
    pub rate_sources_max: usize,
    /// Entries of a list where the reader names no limit.
    pub page_default: NonZeroUsize,
    /// Entries of a list at most.
    pub page_max: NonZeroUsize,
    /// Who may listen to the stream at once.
    pub stream_clients_max: usize,
    /// A sign of life on a quiet stream.
    pub stream_heartbeat: Millis,
    /// At the end: what is under way may take so long.
    pub drain: Millis,
}

impl Default for Options {
    fn default() -> Self {
        fn size(n: usize) -> NonZeroUsize {
            NonZeroUsize::new(n).expect("a constant above zero")
        }
        fn rate(n: u32) -> NonZeroU32 {
            NonZeroU32::new(n).expect("a constant above zero")
        }
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            behind_proxy: false,
            header_timeout: Millis::from_secs(30),
            send_timeout: Millis::from_secs(10),
            connections_max: size(4_096),
            hosts: Vec::new(),
            body_bytes_max: size(1024 * 1024),
            element_bytes_max: size(64 * 1024),
            batch_max: size(4096),
            request_timeout: Millis::from_secs(10),
            rate_per_source: rate(200),
            rate_burst: rate(400),
            rate_total: rate(5_000),
            rate_sources_max: 10_000,
            page_default: size(100),
            page_max: size(1_000),
            stream_clients_max: 4_096,
            stream_heartbeat: Millis::from_secs(15),
            drain: Millis::from_secs(10),
        }
    }
}

impl Options {
    /// Whether what goes to the outside is encrypted, by us or by the proxy before us.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.behind_proxy || !self.tls_certificate.as_os_str().is_empty()
    }
}

/// Why the door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Not here.
    #[error(
        "[http] listen = \"{0}\" is refused: there is no access control, and whoever reaches the door can order posts \
         about; set [access] tokens (see `muster token new --help`), or listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// Not without TLS.
    #[error(
        "[http] listen = \"{0}\" is refused: tokens would cross the network in the clear; set [http] tls_certificate and \
         tls_key, or behind_proxy = true where a proxy that speaks TLS is the only one to reach this address"
    )]
    InTheClear(SocketAddr),
    /// TLS cannot be spoken.
    #[error("[http] tls: {0}")]
    Tls(String),
    /// The system refuses.
    #[error("[http] listen = \"{at}\": {reason}")]
    System {
        /// Where.
        at: SocketAddr,
        /// Why.
        reason: std::io::Error,
    },
}

/// Takes an address of this machine alone, for a door without access control.
///
/// # Errors
/// When it is not loopback, or the system refuses.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    if !listen.ip().is_loopback() {
        return Err(BindError::NotLoopback(listen));
    }
    TcpListener::bind(listen).await.map_err(|reason| BindError::System { at: listen, reason })
}
