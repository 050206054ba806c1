//! Listeners that pass bytes.

use std::time::Duration;

use super::{Check, DAY, MILLISECOND};
use crate::config::model::{HostPattern, Tcp};
use crate::config::raw::RawTcp;
use crate::config::source::child;

/// What only a listener for HTTP has.
const HTTP_ONLY: [&str; 3] = ["redirect-to-https", "hsts", "trusted-proxies"];

impl Check<'_> {
    pub(super) fn tcp(&mut self, listener: &str, raw: &RawTcp) -> Tcp {
        let at = child(listener, "tcp");
        for key in HTTP_ONLY {
            let key_at = child(listener, key);
            if self.written(&key_at) {
                self.key_error(&key_at, format!("a listener with `tcp` knows nothing of HTTP and has no `{key}`"));
            }
        }
        let (upstream, names) = (child(&at, "upstream"), child(&at, "server-names"));
        if !self.written(&upstream) && !self.written(&names) {
            self.error_with_help(&at, "the listener leads nowhere", "add `upstream: NAME`");
        }
        if let Some(name) = &raw.upstream {
            self.reference(&upstream, "upstream", "/upstreams", name);
            self.passes_bytes(&upstream, name);
        }
        if let Some(chain) = &raw.chain {
            self.reference(&child(&at, "chain"), "chain", "/chains", chain);
        }
        let idle = Duration::from_secs(600);
        Tcp {
            upstream: raw.upstream.clone(),
            names: self.server_names(&names, raw),
            chain: raw.chain.clone(),
            idle_timeout: self.time(&child(&at, "idle-timeout"), raw.idle_timeout.as_ref(), idle, MILLISECOND, DAY),
        }
    }

    fn server_names(&mut self, at: &str, raw: &RawTcp) -> Vec<(HostPattern, String)> {
        let mut names: Vec<(HostPattern, String)> = Vec::new();
        for (index, entry) in raw.server_names.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let at = child(at, &index.to_string());
            self.reference(&child(&at, "upstream"), "upstream", "/upstreams", &entry.upstream);
            self.passes_bytes(&child(&at, "upstream"), &entry.upstream);
            if entry.names.is_empty() {
                self.error(&child(&at, "names"), "there is no name");
            }
            for (place, name) in entry.names.iter().enumerate() {
                let Some(name) = name.as_ref().map(|name| name.0.clone()) else { continue };
                if names.iter().any(|(known, _)| *known == name) {
                    self.error(&format!("{at}/names/{place}"), "this name is here twice");
                } else {
                    names.push((name, entry.upstream.clone()));
                }
            }
        }
        names
    }

    /// The demo server and components speak HTTP only.
    fn passes_bytes(&mut self, at: &str, upstream: &str) {
        let upstream = child("/upstreams", upstream);
        for (key, what) in [("builtin", "a built-in upstream"), ("component", "a component")] {
            if self.written(&child(&upstream, key)) {
                self.error(at, format!("{what} speaks HTTP only"));
            }
        }
    }
}
