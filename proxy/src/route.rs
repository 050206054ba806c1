//! Which route takes a request: pure tables, built once for a configuration, read without allocating.
//!
//! The most specific route wins. In this order:
//!
//! 1. the higher priority;
//! 2. an exact host, then the longer suffix (`*.example.com`), then any host;
//! 3. an exact path; then segment by segment from the left: a literal one, a regular expression, a capture, the rest of
//!    the path (`{rest...}`), and everything below (`/**`);
//! 4. more conditions (methods count as one, each header field, parameter and cookie as one, client addresses as one,
//!    server names as one);
//! 5. the earlier place in the file.
//!
//! A route whose conditions fail leaves the request to the next in this order.
//!
//! Hosts are compared without case, port and a dot at the end. Paths are compared in the form of [`normalized`],
//! with case, and without the query. What is forwarded is the path as it came.

pub mod chance;
mod conditions;
mod paths;
mod split;
#[cfg(test)]
mod tests;
mod text;

use std::cmp::Reverse;
use std::collections::HashMap;

use http::header::HOST;
use http::request::Parts;

use self::conditions::Candidate;
pub use self::conditions::{Origin, cookies, parameters};
use self::paths::Paths;
pub use self::split::{Shares, point};
pub use self::text::Facts;
pub use crate::config::normalized_path as normalized;
use crate::config::{HostPattern, Route};

/// The longest host name (RFC 1035, section 2.3.4), with room for a dot at its end and brackets.
const MAX_HOST: usize = 256;

/// A path that must be refused with 400, because servers disagree on what it names; see [`normalized`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path has a segment `.` or `..`")]
pub struct Ambiguous;

/// Finds the route of a request. Lookup costs the same for ten routes and for ten thousand, save for routes that
/// share host and path, and for regular expressions that begin with the same folders: those are tried one after the
/// other.
#[derive(Debug, Default)]
pub struct Table {
    /// One for each priority, the highest first.
    tiers: Vec<Tier>,
    names_hosts: bool,
}

/// The routes of one priority.
#[derive(Debug, Default)]
struct Tier {
    exact: HashMap<String, Paths>,
    suffixes: HashMap<String, Paths>,
    any: Paths,
}

impl Table {
    /// Builds the table; [`Table::find`] answers with indices of `routes`.
    pub fn build(routes: &[Route]) -> Self {
        Self::build_where(routes, |_| true)
    }

    /// The same with those routes only that `serves` says yes to: a table for each set of listeners.
    pub fn build_where(routes: &[Route], serves: impl Fn(&Route) -> bool) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).filter(|index| serves(&routes[*index])).collect();
        order.sort_by_key(|index| Reverse((routes[*index].priority, routes[*index].matches.conditions())));
        let tiers = order.chunk_by(|a, b| routes[*a].priority == routes[*b].priority);
        let tiers = tiers.map(|order| Tier::build(order, routes)).collect();
        Self { tiers, names_hosts: order.iter().any(|index| !routes[*index].matches.hosts.is_empty()) }
    }

    /// The index of the route that takes a request; nothing when none does.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] when the path must be refused.
    pub fn find_request(&self, parts: &Parts, origin: Origin<'_>) -> Result<Option<usize>, Ambiguous> {
        // RFC 9112, section 3.2.2: an authority in the target goes before the Host field.
        let host = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
        };
        let path = normalized(parts.uri.path()).ok_or(Ambiguous)?;
        Ok(self.find(host, &path, parts, origin))
    }

    /// The same for a `host` with a port or without, and a `path` as [`normalized`] gives it.
    fn find(&self, host: &str, path: &str, parts: &Parts, origin: Origin<'_>) -> Option<usize> {
        let holds = |candidate: &Candidate| candidate.holds(parts, origin);
        let mut buffer = [0; MAX_HOST];
        // Where no route names a host, none is compared.
        let host = if self.names_hosts { comparable(host, &mut buffer).unwrap_or_default() } else { "" };
        self.tiers.iter().find_map(|tier| tier.find(host, path, &holds))
    }
}

impl Tier {
    fn build(order: &[usize], routes: &[Route]) -> Self {
        let mut tier = Self::default();
        for index in order {
            let matches = &routes[*index].matches;
            let candidate = Candidate::new(*index, matches);
            for host in &matches.hosts {
                let (map, host) = match host {
                    HostPattern::Exact(host) => (&mut tier.exact, host),
                    HostPattern::Suffix(suffix) => (&mut tier.suffixes, suffix),
                };
                map.entry(host.clone()).or_default().insert(candidate.clone(), matches);
            }
            if matches.hosts.is_empty() {
                tier.any.insert(candidate, matches);
            }
        }
        tier
    }

    fn find(&self, host: &str, path: &str, holds: &impl Fn(&Candidate) -> bool) -> Option<usize> {
        if let Some(route) = self.exact.get(host).and_then(|paths| paths.find(path, holds)) {
            return Some(route);
        }
        if !self.suffixes.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(route) = self.suffixes.get(parent).and_then(|paths| paths.find(path, holds)) {
                    return Some(route);
                }
                rest = parent;
            }
        }
        self.any.find(path, holds)
    }
}

/// A host in lower case without user, port and a dot at its end; nothing when it is longer than any host.
fn comparable<'a>(host: &str, buffer: &'a mut [u8; MAX_HOST]) -> Option<&'a str> {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    // The last colon of an IPv6 address without a port is inside its brackets.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let out = buffer.get_mut(..name.len())?;
    out.copy_from_slice(name.as_bytes());
    out.make_ascii_lowercase();
    std::str::from_utf8(out).ok()
}
