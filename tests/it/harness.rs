//! A gofe process, upstreams and clients, for tests that read as sentences.

mod client;
mod gofe;
mod keep_alive;
mod upstream;

pub use client::{Answer, get, post, raw, request};
pub use gofe::{Check, Gofe, check, guest, refused_start};
pub use keep_alive::KeepAlive;
pub use upstream::{Upstream, full};
