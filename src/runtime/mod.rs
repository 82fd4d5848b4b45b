//! The runtime: the shard's thread (consume → step → commit → hand out), the one real clock, start and drain.
