//! One connection to the door: HTTP/1.1, kept open, one request at a time.
//!
//! The driver shares its machine with what it measures, so it holds itself to little: no pool, no redirects, no proxy.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A connection that takes longer is none.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A read that is told to come again does so, this often.
const READ_TRIES_MAX: u32 = 60;

/// Where the instance is, and how to be let in.
#[derive(Clone, Debug)]
pub struct Target {
    host: String,
    port: u16,
    authority: HeaderValue,
    bearer: Option<HeaderValue>,
}

/// What went wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address that can be used.
    #[error("`{0}` is no address to drive; write http://host:port (TLS is for whoever stands before the service)")]
    Address(String),
    /// A token that is no header.
    #[error("the token file holds what cannot stand in a header; it shall hold one token and nothing else")]
    Token,
    /// Nobody answers.
    #[error("{0} does not answer: {1}")]
    Silent(String, String),
    /// An answer that the driver cannot use.
    #[error("{path} answered {status}: {body}")]
    Odd {
        /// What was asked.
        path: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
}

impl Target {
    /// The instance at this address, such as `http://127.0.0.1:8080`, with a token where it asks for one.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn at(address: &str, token: Option<&str>) -> Result<Self, Error> {
        let wrong = || Error::Address(address.to_owned());
        let url = Url::parse(address).map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| url.scheme() == "http").ok_or_else(wrong)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let authority = HeaderValue::from_str(&format!("{host}:{port}")).map_err(|_| wrong())?;
        let bearer = token.map(|token| HeaderValue::from_str(&format!("Bearer {}", token.trim())));
        let mut bearer = bearer.transpose().map_err(|_| Error::Token)?;
        if let Some(secret) = &mut bearer {
            secret.set_sensitive(true);
        }
        Ok(Self { host, port, authority, bearer })
    }

    /// Its address, for people.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

/// A connection; opened when it is first used, and again when it broke.
#[derive(Debug)]
pub struct Client {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// What is sent to the four doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One event.
    One,
    /// A batch of events.
    Batch,
}

impl Form {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::One => "application/cloudevents+json",
            Self::Batch => "application/cloudevents-batch+json",
        })
    }
}

impl Client {
    /// One that will speak to this target.
    #[must_use]
    pub fn to(target: &Target) -> Self {
        Self { target: target.clone(), sender: None }
    }

    /// Opens the connection, so that its price is not part of a measured answer.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn open(&mut self) -> Result<(), Error> {
        self.ready().await.map(|_| ())
    }

    /// Sends events.
    ///
    /// # Errors
    /// When nobody answers; whether they arrived is then not known.
    pub async fn post(&mut self, path: &str, form: Form, body: Bytes) -> Result<Reply, Error> {
        let request = self.request("POST", path).header(CONTENT_TYPE, form.content_type());
        self.ask(path, request, body).await
    }

    /// Reads something as the bytes it came as.
    ///
    /// # Errors
    /// When nobody answers, or not with 200.
    pub async fn get(&mut self, path: &str) -> Result<Bytes, Error> {
        let mut tries = 0;
        loop {
            let request = self.request("GET", path);
            let reply = self.ask(path, request, Bytes::new()).await?;
            match reply.status {
                StatusCode::OK => return Ok(reply.body),
                // A reader has a rate of its own; nothing is measured by reads.
                StatusCode::TOO_MANY_REQUESTS if tries < READ_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                _ => return Err(odd(path, &reply)),
            }
        }
    }

    /// Opens a stream; its body is read by the caller.
    ///
    /// # Errors
    /// When nobody answers, or not with 200.
    pub async fn stream(&mut self, path: &str) -> Result<Incoming, Error> {
        let request = self.request("GET", path);
        let answer = self.send(path, request, Bytes::new()).await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let (status, body) = (answer.status(), answer.into_body().collect().await);
        let body = body.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
        Err(odd(path, &Reply { status, body }))
    }

    fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.target.authority);
        match &self.target.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }

    async fn ask(&mut self, path: &str, request: hyper::http::request::Builder, body: Bytes) -> Result<Reply, Error> {
        let answered = timeout(ANSWER_WITHIN, async {
            let answer = self.send(path, request, body).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|e| Error::Silent(path.to_owned(), e.to_string()))?;
            Ok(Reply { status, body: body.to_bytes() })
        })
        .await;
        let answered = answered.unwrap_or_else(|_| Err(Error::Silent(path.to_owned(), "took too long".to_owned())));
        if answered.is_err() {
            // What is still under way on it would be taken for the answer to the next request.
            self.sender = None;
        }
        answered
    }

    async fn send(
        &mut self,
        path: &str,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let silent = |e: String| Error::Silent(path.to_owned(), e);
        let request = request.body(Full::new(body)).map_err(|e| silent(e.to_string()))?;
        let sender = self.ready().await?;
        sender.send_request(request).await.map_err(|e| silent(e.to_string()))
    }

    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Error> {
        let open = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match open {
            Some(sender) => sender,
            None => connect(&self.target).await?,
        };
        Ok(self.sender.insert(sender))
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, Error> {
    let silent = |e: String| Error::Silent(target.address(), e);
    let stream = timeout(CONNECT_WITHIN, TcpStream::connect((target.host.as_str(), target.port))).await;
    let stream = stream.map_err(|_| silent("no connection in time".to_owned()))?.map_err(|e| silent(e.to_string()))?;
    stream.set_nodelay(true).map_err(|e| silent(e.to_string()))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| silent(e.to_string()))?;
    // It ends with the sender; an error of it is told to whoever waits for an answer.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(sender)
}

fn odd(path: &str, reply: &Reply) -> Error {
    const SHOWN: usize = 300;
    let body = String::from_utf8_lossy(&reply.body[..reply.body.len().min(SHOWN)]).into_owned();
    Error::Odd { path: path.to_owned(), status: reply.status.as_u16(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_a_host() {
        assert_eq!(Target::at("http://127.0.0.1:8080", None).unwrap().address(), "http://127.0.0.1:8080");
        for wrong in ["https://example.com", "127.0.0.1:8080", "http://", "file:///tmp"] {
            assert!(matches!(Target::at(wrong, None), Err(Error::Address(_))), "{wrong}");
        }
        assert!(matches!(Target::at("http://a:1", Some("x\ny")), Err(Error::Token)));
        let shown = format!("{:?}", Target::at("http://a:1", Some("secret")).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
