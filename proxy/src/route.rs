//! Which route takes a request: pure tables, built once for a configuration, read without allocating.
//!
//! The most specific route wins. In this order:
//!
//! 1. an exact host, then the longer suffix (`*.example.com`), then any host;
//! 2. an exact path, then the longer prefix (`/a/b/**` before `/a/**`);
//! 3. more conditions (methods count as one, each header field as one);
//! 4. the earlier place in the file.
//!
//! A route whose method or header conditions fail leaves the request to the next in this order.
//!
//! Hosts are compared without case, port and a dot at the end. Paths are compared in the form of [`normalized`],
//! with case, and without the query. What is forwarded is the path as it came.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;

use http::header::{HOST, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method};

pub use crate::config::normalized_path as normalized;
use crate::config::{HeaderMatch, HostPattern, Match, PathPattern, Route};

/// The longest host name (RFC 1035, section 2.3.4), with room for a dot at its end and brackets.
const MAX_HOST: usize = 256;

/// A path that must be refused with 400, because servers disagree on what it names; see [`normalized`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path has a segment `.` or `..`")]
pub struct Ambiguous;

/// Finds the route of a request. Lookup costs the same for ten routes and for ten thousand, save for routes that
/// share host and path: those are tried one after the other.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Paths>,
    suffixes: HashMap<String, Paths>,
    any: Paths,
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<String, Vec<Candidate>>,
    prefixes: HashMap<String, Vec<Candidate>>,
    /// Slashes in the deepest prefix: longer paths are not searched below it.
    depth: usize,
}

/// One route under one host and path.
#[derive(Debug, Clone)]
struct Candidate {
    route: usize,
    methods: Vec<Method>,
    headers: Vec<HeaderMatch>,
}

impl Table {
    /// Builds the table; [`Table::find`] answers with indices of `routes`.
    pub fn build(routes: &[Route]) -> Self {
        Self::build_where(routes, |_| true)
    }

    /// The same with those routes only that `serves` says yes to: a table for each set of listeners.
    pub fn build_where(routes: &[Route], serves: impl Fn(&Route) -> bool) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).filter(|index| serves(&routes[*index])).collect();
        order.sort_by_key(|index| Reverse(routes[*index].matches.conditions()));
        let mut table = Self::default();
        for index in order {
            let matches = &routes[index].matches;
            if matches.hosts.is_empty() {
                table.any.insert(index, matches);
            }
            for host in &matches.hosts {
                let (map, host) = match host {
                    HostPattern::Exact(host) => (&mut table.exact, host),
                    HostPattern::Suffix(suffix) => (&mut table.suffixes, suffix),
                };
                map.entry(host.clone()).or_default().insert(index, matches);
            }
        }
        table
    }

    /// The index of the route that takes a request; nothing when none does.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] when the path must be refused.
    pub fn find_request(&self, parts: &Parts) -> Result<Option<usize>, Ambiguous> {
        // RFC 9112, section 3.2.2: an authority in the target goes before the Host field.
        let host = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
        };
        let path = normalized(parts.uri.path()).ok_or(Ambiguous)?;
        Ok(self.find(host, &path, &parts.method, &parts.headers))
    }

    /// The same from a request's parts: `host` with a port or without, `path` as [`normalized`] gives it.
    pub fn find(&self, host: &str, path: &str, method: &Method, headers: &HeaderMap) -> Option<usize> {
        let holds = |candidate: &Candidate| candidate.holds(method, headers);
        let mut buffer = [0; MAX_HOST];
        let host = comparable(host, &mut buffer).unwrap_or_default();
        if let Some(route) = self.exact.get(host).and_then(|paths| paths.find(path, &holds)) {
            return Some(route);
        }
        if !self.suffixes.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(route) = self.suffixes.get(parent).and_then(|paths| paths.find(path, &holds)) {
                    return Some(route);
                }
                rest = parent;
            }
        }
        self.any.find(path, &holds)
    }
}

impl Paths {
    fn insert(&mut self, route: usize, matches: &Match) {
        let (map, path) = match &matches.path {
            PathPattern::Exact(path) => (&mut self.exact, path),
            PathPattern::Prefix(prefix) => {
                self.depth = self.depth.max(slashes(prefix));
                (&mut self.prefixes, prefix)
            }
        };
        let candidate = Candidate { route, methods: matches.methods.clone(), headers: matches.headers.clone() };
        map.entry(path.clone()).or_default().push(candidate);
    }

    fn find(&self, path: &str, holds: &impl Fn(&Candidate) -> bool) -> Option<usize> {
        let first = |candidates: &Vec<Candidate>| candidates.iter().find(|c| holds(c)).map(|candidate| candidate.route);
        if let Some(route) = self.exact.get(path).and_then(first) {
            return Some(route);
        }
        if self.prefixes.is_empty() {
            return None;
        }
        // A client may send a path of any depth: the part that no prefix reaches is cut off first.
        let end = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(self.depth);
        let mut prefix = &path[..end.map_or(path.len(), |(end, _)| end)];
        loop {
            if let Some(route) = self.prefixes.get(prefix).and_then(first) {
                return Some(route);
            }
            prefix = match prefix.rfind('/') {
                Some(end) => &prefix[..end],
                // A target that is no path, as in `OPTIONS *`.
                None if !prefix.is_empty() => "",
                None => return None,
            };
        }
    }
}

impl Candidate {
    fn holds(&self, method: &Method, headers: &HeaderMap) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && self.headers.iter().all(|wanted| has(headers, wanted))
    }
}

fn has(headers: &HeaderMap, wanted: &HeaderMatch) -> bool {
    let equal = |value: &HeaderValue| headers.get_all(&wanted.name).iter().any(|found| found == value);
    wanted.value.as_ref().map_or_else(|| headers.contains_key(&wanted.name), equal)
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
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
