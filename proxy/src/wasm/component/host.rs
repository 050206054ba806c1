//! The host interfaces of `wit/`, one file each.
//!
//! They are linked by hand and not by generated traits, so that strings and lists are read in the guest's memory
//! and not copied before anybody looks at them. A guest that imports a function with another type than the contract's is
//! refused when it is linked.

mod attributes;
mod body;
mod clock;
mod connection;
mod fields;
mod key_value;
mod limiter;
mod log;
mod metrics;
pub(super) mod outbound;
mod output;
mod random;
mod reply;
mod report;
mod request;
mod response;
pub(super) mod routing;
mod secrets;

use super::abi::{Cx, Interface, Octets, Stored, Text, stored_enum, stored_record};
use super::guest::Guest;
pub(super) use fields::Names;
pub(super) use log::LogLevel;

type Link = fn(&mut Interface<'_>) -> wasmtime::Result<()>;

/// Every interface. What a plugin may not use says so when it is called.
pub(super) const INTERFACES: [(&str, Link); 16] = [
    ("attributes", attributes::link),
    ("body", body::link),
    ("clock", clock::link),
    ("connection", connection::link),
    ("key-value", key_value::link),
    ("limiter", limiter::link),
    ("log", log::link),
    ("metrics", metrics::link),
    ("outbound", outbound::link),
    ("output", output::link),
    ("random", random::link),
    ("reply", reply::link),
    ("request", request::link),
    ("response", response::link),
    ("routing", routing::link),
    ("secrets", secrets::link),
];
