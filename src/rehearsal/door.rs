//! The public doors, as the rehearsal uses them: HTTP requests and the stream, nothing else.

use std::time::Duration;

use serde_json::{Value, json};

/// A client of a running instance.
#[derive(Clone, Debug)]
pub struct Door {
    client: reqwest::Client,
    base: String,
}

/// What went wrong at the door.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers.
    #[error("{0} does not answer: {1}")]
    Silent(String, reqwest::Error),
    /// An answer that the rehearsal cannot read.
    #[error("{0} answered {1}: {2}")]
    Odd(String, u16, String),
}

/// An answer: its status and its body.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// Whether it was done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Door {
    /// The instance at this address, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn to(base: &str) -> Result<Self, Error> {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        let client = client.map_err(|e| Error::Silent(base.to_owned(), e))?;
        Ok(Self { client, base: base.to_owned() })
    }

    /// Sends an event to one of the doors.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn send(&self, path: &str, event: &Value) -> Result<Reply, Error> {
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        let silent = |e| Error::Silent(path.to_owned(), e);
        let answer = request.timeout(Duration::from_secs(30)).send().await.map_err(silent)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(silent)?;
        Ok(Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// Sends a batch of events to one of the doors.
    ///
    /// # Errors
    /// When nobody answers, or the batch is not taken.
    pub async fn send_batch(&self, path: &str, events: Vec<Value>) -> Result<(), Error> {
        let request = self.client.post(format!("{}{path}", self.base)).timeout(Duration::from_secs(30));
        let request = request.header("content-type", "application/cloudevents-batch+json");
        let silent = |e| Error::Silent(path.to_owned(), e);
        let answer = request.body(Value::Array(events).to_string()).send().await.map_err(silent)?;
        match answer.status().as_u16() {
            status @ 200..300 => {
                answer.bytes().await.map(|_| ()).map_err(|e| Error::Odd(path.to_owned(), status, e.to_string()))
            }
            status => Err(Error::Odd(path.to_owned(), status, answer.text().await.unwrap_or_default())),
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// When nobody answers, or not as expected.
    pub async fn read(&self, path: &str) -> Result<Value, Error> {
        let silent = |e| Error::Silent(path.to_owned(), e);
        let request = self.client.get(format!("{}{path}", self.base)).timeout(Duration::from_secs(30));
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(silent)?;
        let odd = |why: String| Error::Odd(path.to_owned(), status, why);
        if status != 200 {
            return Err(odd(text));
        }
        serde_json::from_str(&text).map_err(|e| odd(e.to_string()))
    }

    /// The items of a list, all pages of it.
    ///
    /// # Errors
    /// As [`Door::read`].
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = self.read(&format!("{path}{joint}limit=1000{cursor}")).await?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Opens the stream.
    ///
    /// # Errors
    /// As [`Door::read`].
    pub async fn stream(&self) -> Result<reqwest::Response, Error> {
        let path = "/v1/stream";
        let answer = self.client.get(format!("{}{path}", self.base)).send().await;
        let answer = answer.map_err(|e| Error::Silent(path.to_owned(), e))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            status => Err(Error::Odd(path.to_owned(), status, answer.text().await.unwrap_or_default())),
        }
    }
}

/// A CloudEvent of a type other than a report.
#[must_use]
pub fn event(kind: &str, source: &str, id: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "type": kind, "source": source, "id": id,
        "datacontenttype": "application/json", "data": data,
    })
}
