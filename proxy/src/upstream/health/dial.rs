//! A connection for one check, made as the upstream's connections are.

use tokio::net::TcpStream;

use crate::config::{Endpoint, Protocol};
use crate::upstream::connect::Target;
use crate::upstream::members::Members;

/// A connection, and whether HTTP/2 is spoken on it.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) http2: bool,
}

/// Connects to an endpoint.
pub(super) async fn dial(members: &Members, place: &Endpoint) -> Result<Dialed, String> {
    let stream = Target::new(&place.authority).connect().await.map_err(|error| format!("no connection: {error}"))?;
    Ok(Dialed { stream, http2: members.config.protocol == Protocol::Http2 })
}
