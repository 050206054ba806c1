//! HTTP/3 on a listener.

use super::Check;
use crate::config::model::{Address, Http3};
use crate::config::raw::{RawHttp3, RawListener};
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn http3(&mut self, at: &str, raw: &RawListener, address: &Address) -> Option<Http3> {
        let RawHttp3 { advertised_port, off } = &raw.http3.as_ref()?.0;
        let own = match address {
            Address::Ip(address) => address.port(),
            Address::Unix(_) => 0,
        };
        let key = child(at, "http3");
        let default = u64::from(own).max(1);
        let port = self.count(&child(&key, "advertised-port"), *advertised_port, default, 1, 65_535);
        if *off {
            return None;
        }
        if !self.written(&child(at, "tls")) {
            self.key_error(&key, "`http3` needs `tls`: HTTP/3 is never spoken in cleartext");
        } else if matches!(address, Address::Unix(_)) {
            self.key_error(&key, "HTTP/3 needs an IP address: there is no UDP on a Unix socket");
        } else if raw.tcp.is_some() {
            self.key_error(&key, "`http3` and `tcp` exclude each other: what passes bytes speaks no HTTP");
        } else if raw.proxy_protocol.is_some() {
            self.key_error(&key, "`http3` and `proxy-protocol` exclude each other: QUIC has no such header");
        }
        // The system chooses the port only when it is bound: nothing can be said of it before.
        let known = own != 0 || advertised_port.is_some();
        Some(Http3 { advertised_port: known.then(|| u16::try_from(port).unwrap_or(443)) })
    }
}
