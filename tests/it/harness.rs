//! A gofe process, upstreams and clients, for tests that read as sentences.

mod client;
pub mod frames;
mod gofe;
mod keep_alive;
mod peer;
mod python;
pub mod quic;
pub mod tls;
mod upstream;
mod wire;

pub use client::{Answer, get, post, raw, request};
pub use gofe::{Check, Gofe, check, foreign_guest, guest, refused_start};
pub use keep_alive::KeepAlive;
pub use peer::{Feed, Peer, fed, text};
pub use python::{Script, python, ran};
pub use upstream::{Body, Upstream, full};
pub use wire::{RawUpstream, Wire, nobody};
