//! What all endpoints of an upstream share, in all workers.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connect::Tls;
use crate::config;
use crate::net::ClientTls;

/// What all endpoints of an upstream share, in all workers.
pub(super) struct Common {
    /// How connections are secured.
    pub(super) tls: Option<Tls>,
}

impl Common {
    pub(super) fn new(_upstream: &str, _config: &config::Upstream, tls: Option<ClientTls>) -> Self {
        Self { tls: tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls))) }
    }

    /// Takes TLS whose files have changed.
    pub(super) fn renew(&self, tls: Option<ClientTls>) {
        if let (Some(running), Some(tls)) = (&self.tls, tls)
            && !running.load().same_files(&tls)
        {
            running.store(Arc::new(tls));
        }
    }
}
