//! The bounds of the door, each with a name.

/// How large an event and its parts may be. The defaults are those of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One event, in bytes of JSON.
    pub element_bytes_max: usize,
    /// Events of one batch.
    pub batch_events_max: usize,
    /// Objects and lists within each other.
    pub depth_max: u32,
    /// Ids, codes and names, in bytes.
    pub id_bytes_max: usize,
    /// A report's words, a reason, a note, in bytes.
    pub text_bytes_max: usize,
    /// The opaque call-back reference, in bytes.
    pub callback_bytes_max: usize,
    /// Numeric readings of one report.
    pub attributes_max: usize,
    /// Earlier reports one report may speak of.
    pub references_max: usize,
    /// All that one event says once it is decoded, in bytes: what the engine keeps of it has to fit one document.
    pub content_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            element_bytes_max: 64 * 1024,
            batch_events_max: 4096,
            depth_max: 64,
            id_bytes_max: 256,
            text_bytes_max: 8 * 1024,
            callback_bytes_max: 256,
            attributes_max: 64,
            references_max: 16,
            content_bytes_max: 12 * 1024,
        }
    }
}
