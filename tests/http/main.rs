//! The doors over HTTP, on a real server at an ephemeral port with the smallest playbook.

#![cfg(feature = "service")]

mod binary;
mod errors;
mod kit;
mod limits;
mod reads;
mod reports;
mod stream;
mod webhook;
