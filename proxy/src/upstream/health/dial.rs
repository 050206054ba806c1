//! A connection for one check, made as the upstream's connections are.

use std::sync::Arc;
use std::time::Instant;

use crate::config::{self, Alpn, Protocol};
use crate::net::Offer;
use crate::upstream::connect::{Connector, Trouble};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::members::Members;
use crate::upstream::wire::Wire;

/// Makes connections for checks of one endpoint.
pub(super) struct Dialer {
    connector: Connector,
    protocol: Protocol,
    /// The host and port that requests name.
    pub(super) authority: String,
}

/// A connection, and whether HTTP/2 is spoken on it.
pub(super) struct Dialed {
    pub(super) wire: Wire,
    pub(super) http2: bool,
}

impl Dialer {
    /// To an endpoint, or to another port of its host.
    pub(super) fn new(members: &Members, found: &config::Endpoint, port: Option<u16>) -> Self {
        let mut place = found.clone();
        if let Some(port) = port
            && let Ok(authority) = format!("{}:{port}", place.authority.host()).parse()
        {
            place.authority = authority;
        }
        let endpoint = Arc::new(Endpoint::new(&place, &members.config.sending, None::<Instant>, false));
        Self {
            connector: Connector::new(&endpoint, &members.config.sending, members.common.tls.clone()),
            protocol: members.config.protocol,
            authority: place.authority.to_string(),
        }
    }

    /// Connects.
    pub(super) async fn dial(&self) -> Result<Dialed, String> {
        let offer = match self.protocol {
            Protocol::Http1 => Offer::Http1,
            Protocol::Http2 => Offer::Http2,
            Protocol::Auto => Offer::Either,
        };
        match self.connector.connect(None, offer).await {
            Ok((wire, alpn)) => {
                let http2 = self.protocol == Protocol::Http2 || alpn == Some(Alpn::Http2);
                Ok(Dialed { wire, http2 })
            }
            Err(Trouble::Connect(error)) => Err(format!("no connection: {error}")),
            Err(Trouble::Tls(error)) => Err(format!("no TLS: {error}")),
        }
    }
}
