//! HTTP: the door, the reads, the stream.
