//! The one client that all targets share: hyper over the guarded resolver, with TLS by rustls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::guard::Guard;
use super::{Error, Options};

/// A connection is made within this, or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) type Client = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector<Guard>>, Full<Bytes>>;

/// A client that connects to what the guard lets through.
///
/// # Errors
/// When the certificates cannot be read.
pub(super) fn open(options: &Options, guard: Guard) -> Result<Client, Error> {
    let mut http = HttpConnector::new_with_resolver(guard);
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_WITHIN));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the versions of TLS that are in use")
        .with_root_certificates(trusted(options)?)
        .with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.requests_max)
        .build(https))
}

/// The system's certificates, and those of `tls_ca`.
fn trusted(options: &Options) -> Result<RootCertStore, Error> {
    let file = options.tls_ca.display();
    let refuse = |reason: String| Error { place: format!("[webhook] tls_ca = \"{file}\""), reason };
    let mut roots = RootCertStore::empty();
    // A machine without any still tells targets over http, and those that tls_ca vouches for.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if !options.tls_ca.as_os_str().is_empty() {
        let found = CertificateDer::pem_file_iter(&options.tls_ca).map_err(|e| refuse(e.to_string()))?;
        for certificate in found {
            roots.add(certificate.map_err(|e| refuse(e.to_string()))?).map_err(|e| refuse(e.to_string()))?;
        }
    }
    Ok(roots)
}
