//! State as documents: what a step changed, whole; what a restore reads back.
//!
//! A document is a key and a JSON text of at most 16 KiB that carries its version. What grows is split: an incident, each
//! of its orders, each of its reports, each minute of digests and each stretch of an all-call are documents of their own.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The newest version of one piece of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `<kind>/<id>`: `head`, `incident/4304-20261123-1`, `order/…`, `report/…/1`, `post/P-017`, `digests/<minute>`, `call/…`.
    pub key: SmolStr,
    /// JSON; `None` when the document is gone.
    pub body: Option<Box<str>>,
}

/// A document must not be larger than this, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024;
