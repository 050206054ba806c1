//! Listeners that pass bytes: which upstream a connection is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Step, Upstream};
use crate::config::{HostPattern, Tcp};

/// What a listener does that passes bytes.
pub struct Passage {
    /// A connection on which no byte moves.
    pub idle_timeout: Duration,
    /// Who sees the bytes, the first of them the first that sees the client's.
    pub filters: Box<[Arc<Step>]>,
    /// Names as they are, and below `*.` without it.
    exact: HashMap<String, Upstream>,
    below: HashMap<String, Upstream>,
    other: Option<Upstream>,
}

impl Passage {
    /// Finds the upstreams by their names, which the configuration has.
    pub(super) fn new(config: &Tcp, filters: Box<[Arc<Step>]>, upstream: impl Fn(&str) -> Upstream) -> Self {
        let (mut exact, mut below) = (HashMap::new(), HashMap::new());
        for (name, leads_to) in &config.names {
            let (map, name) = match name {
                HostPattern::Exact(name) => (&mut exact, name),
                HostPattern::Suffix(name) => (&mut below, name),
            };
            map.insert(name.clone(), upstream(leads_to));
        }
        let other = config.upstream.as_deref().map(upstream);
        Self { idle_timeout: config.idle_timeout, filters, exact, below, other }
    }

    /// Whether the server name of a client decides.
    pub fn reads_names(&self) -> bool {
        !self.exact.is_empty() || !self.below.is_empty()
    }

    /// The upstream for a server name in lower case: an exact name, then the longest that it is below, then the one for all
    /// others.
    pub fn upstream(&self, server_name: Option<&str>) -> Option<&Upstream> {
        let name = server_name.unwrap_or_default();
        let mut rest = name;
        let below = std::iter::from_fn(|| {
            rest = rest.split_once('.')?.1;
            Some(rest)
        });
        let mut below = below.filter_map(|parent| self.below.get(parent));
        self.exact.get(name).or_else(|| below.next()).or(self.other.as_ref())
    }
}
