//! A gofe process, upstreams and clients, for tests that read as sentences.

mod client;
mod gofe;
mod upstream;

pub use client::{Answer, get, post, raw, request};
pub use gofe::{Check, Gofe, check, guest};
pub use upstream::Upstream;
