//! Bytes → `Event` or a rejection that names the field: CloudEvents JSON, structured, binary and batch.
