//! Filters of bytes: what a plugin of a listener that passes bytes looks like to it.

use std::sync::Arc;

use bytes::BytesMut;

use super::{Client, Fault};

/// A connection that bytes pass through, as its filters know it.
#[derive(Debug, Clone)]
pub struct Passenger {
    /// The client's side.
    pub client: Arc<Client>,
    /// The upstream's name.
    pub upstream: Arc<str>,
}

/// Whom bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The client.
    Downstream = 0,
    /// The upstream.
    Upstream = 1,
}

/// What became of bytes that a filter has seen.
#[derive(Debug)]
pub enum Passing {
    /// These go on, none where it holds them back. True where the end of what they come from is behind them.
    On(BytesMut, bool),
    /// It closed the connection.
    Close,
    /// It failed. What it held back, with the end behind it or not, is for the case that it is left out from now on.
    Fault(Fault, BytesMut, bool),
}
