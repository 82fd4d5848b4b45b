//! The door itself: where it stands, TLS, how many may stand in it, and how long they may take to say what they want.
//!
//! Beyond this machine it opens only with access control, and with TLS of its own or a proxy that has it (`behind_proxy`).
//! Certificates are read again when their files change; connections that stand go on with what they began with. A file that
//! cannot be read changes nothing and is said in the log.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info};

use super::permit::Peer;
use super::stall::{Patient, Stalls};
use super::{App, BindError, Options, router};

/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// After the system refused a connection (no more files, say), the next is awaited after so long.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// A door that can be stood in.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

impl Door {
    /// Takes the address, and reads the certificates.
    ///
    /// # Errors
    /// When it may not stand there, a certificate cannot be used, or the system refuses.
    pub async fn open(options: &Options, has_access_control: bool) -> Result<Self, BindError> {
        let listen = options.listen;
        if !listen.ip().is_loopback() {
            if !has_access_control {
                return Err(BindError::NotLoopback(listen));
            }
            if !options.is_encrypted() {
                return Err(BindError::InTheClear(listen));
            }
        }
        let tls = Tls::of(options)?;
        let listener = TcpListener::bind(listen).await.map_err(|reason| BindError::System { at: listen, reason })?;
        Ok(Self { listener, tls })
    }

    /// Where it stands.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Certificates, as they are now.
#[derive(Debug)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
    seen: Mutex<[Seen; 2]>,
}

/// When a file was last changed, and how long it is.
type Seen = Option<(std::time::SystemTime, u64)>;

impl Tls {
    fn of(o: &Options) -> Result<Option<Arc<Self>>, BindError> {
        let named = |path: &Path| !path.as_os_str().is_empty();
        match (named(&o.tls_certificate), named(&o.tls_key)) {
            (false, false) => return Ok(None),
            (true, true) => {}
            _ => {
                return Err(BindError::Tls("tls_certificate and tls_key belong together: name both or neither".into()));
            }
        }
        let (certificate, key) = (o.tls_certificate.clone(), o.tls_key.clone());
        let seen = Mutex::new([seen(&certificate), seen(&key)]);
        let config = load(&certificate, &key).map_err(BindError::Tls)?;
        Ok(Some(Arc::new(Self { certificate, key, config: ArcSwap::from(config), seen })))
    }

    /// Reads the files again where one of them changed. Blocks.
    fn refresh(&self) {
        let mut before = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = [seen(&self.certificate), seen(&self.key)];
        if *before == now {
            return;
        }
        match load(&self.certificate, &self.key) {
            Ok(config) => {
                self.config.store(config);
                info!(certificate = %self.certificate.display(), "tls.reloaded");
                *before = now;
            }
            // Of two files one may be newer for a moment: it is tried again until they fit.
            Err(why) => error!(why, "tls.unread: the certificate read before stays in use"),
        }
    }
}

fn seen(path: &Path) -> Seen {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// TLS 1.2 or 1.3, a chain and its key in PEM.
fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let wrong = |path: &Path, why: String| format!("{}: {why}", path.display());
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|e| wrong(certificate, format!("is no certificate in PEM: {e}")))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "holds no certificate; it must be PEM, the server's own first".into()));
    }
    // The library's own words name no part of the key.
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, format!("is no key in PEM: {e}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let config =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).map_err(|e| e.to_string())?;
    let config = config.with_no_client_auth().with_single_cert(chain, private);
    let mut config = config.map_err(|e| wrong(certificate, format!("does not go with {}: {e}", key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves until `shutdown` says so and what was under way is answered.
///
/// # Errors
/// None today; the door stays open whatever a single connection does.
pub async fn serve(door: impl Into<Door>, app: App, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let Door { listener, tls } = door.into();
    let max = app.options.connections_max.get();
    let seats = Arc::new(Semaphore::new(max));
    app.metrics.queue_limit.with_label_values(&["connections"]).set(i64::try_from(max).unwrap_or(i64::MAX));
    let ticking = tokio::spawn(tick(app.clone(), tls.clone(), Arc::clone(&seats), max));
    let threshold = Threshold {
        http: protocol(&app.options),
        router: TowerToHyperService::new(router(app.clone())),
        tls,
        stalls: Stalls {
            limit: Duration::from_millis(app.options.send_timeout.0.max(100)),
            let_go: app.metrics.http_stalled.clone(),
        },
        shutdown: shutdown.clone(),
    };
    let graceful = GracefulShutdown::new();
    let coming = async {
        loop {
            // Who finds no seat waits outside, in the system's own bounded queue.
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers and events leave at once; where the system refuses that, they come all the same.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(threshold.clone().receive(stream, peer, seat, graceful.watcher()));
                }
                Err(why) if is_of_one(&why) => {}
                Err(why) => {
                    error!(%why, "door.refused: the system takes no connection");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        // The sender going away is a shutdown too.
        _ = shutdown.wait_for(|down| *down) => {}
        () = coming => {}
    }
    drop(listener);
    graceful.shutdown().await;
    ticking.abort();
    let (access, now) = (app.access.clone(), app.gate.now());
    let _ = tokio::task::spawn_blocking(move || access.tick(now)).await;
    Ok(())
}

fn protocol(options: &Options) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(Duration::from_millis(options.header_timeout.0.max(100)));
    http.max_headers(HEADERS_MAX);
    http
}

/// What every connection passes.
#[derive(Clone)]
struct Threshold {
    http: http1::Builder,
    router: TowerToHyperService<axum::Router>,
    tls: Option<Arc<Tls>>,
    stalls: Stalls,
    shutdown: watch::Receiver<bool>,
}

impl Threshold {
    async fn receive(self, stream: TcpStream, peer: SocketAddr, seat: OwnedSemaphorePermit, watcher: Watcher) {
        match self.tls.clone() {
            None => self.talk(stream, peer, watcher).await,
            Some(tls) => {
                let shaking = TlsAcceptor::from(tls.config.load_full()).accept(stream);
                // As long as for a head: whoever only opens connections holds none for long.
                match tokio::time::timeout(HANDSHAKE_WITHIN, shaking).await {
                    Ok(Ok(stream)) => self.talk(stream, peer, watcher).await,
                    Ok(Err(why)) => debug!(%why, "tls.failed"),
                    Err(_) => debug!("tls.failed: no handshake in time"),
                }
            }
        }
        drop(seat);
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, peer: SocketAddr, watcher: Watcher) {
        let (router, stream) = (self.router, Patient::new(stream, self.stalls));
        let cut_off = stream.stands_at_the_end(self.shutdown, CLOSES_WITHIN);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.call(request)
        });
        let connection = watcher.watch(self.http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection => {
                if let Err(why) = ended {
                    debug!(%why, "door.broken");
                }
            }
            () = cut_off => debug!("door.cut_off: what was left for it was not taken"),
        }
    }
}

/// After the end began, who takes nothing of what is left for it is looked for this often and cut off. Below what the server
/// waits for its parts, so that the audit trail is still written to its end.
const CLOSES_WITHIN: Duration = Duration::from_millis(1_500);

/// A handshake takes no longer.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A connection that was gone before we took it says nothing about the next.
fn is_of_one(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Now and then: tokens and certificates anew, what is over ends, the trail goes to disk, levels are measured.
async fn tick(app: App, tls: Option<Arc<Tls>>, seats: Arc<Semaphore>, seats_max: usize) {
    let o = app.access.options();
    let every = o.reload_every.0.min(o.audit_flush_every.0).clamp(50, 60_000);
    let mut times = tokio::time::interval(Duration::from_millis(every));
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        times.tick().await;
        let (access, tls, now) = (app.access.clone(), tls.clone(), app.gate.now());
        let work = move || {
            access.tick(now);
            if let Some(tls) = tls {
                tls.refresh();
            }
        };
        if let Err(why) = tokio::task::spawn_blocking(work).await {
            error!(%why, "door.tick");
        }
        app.measure(seats_max - seats.available_permits());
    }
}
