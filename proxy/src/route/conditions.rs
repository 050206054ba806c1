//! What a request must be besides host and path.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{COOKIE, HeaderMap};
use http::request::Parts;

use super::{MAX_HOST, comparable};
use crate::config::Match;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The server name that the client asked for (SNI), on a TLS connection.
    pub server_name: Option<&'a str>,
}

/// One route under one host and path.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) route: usize,
    /// The route's conditions, where it has any.
    conditions: Option<Arc<Match>>,
}

impl Candidate {
    pub(super) fn new(route: usize, matches: &Match) -> Self {
        Self { route, conditions: (matches.conditions() > 0).then(|| Arc::new(matches.clone())) }
    }

    pub(super) fn holds(&self, parts: &Parts, origin: Origin<'_>) -> bool {
        self.conditions.as_ref().is_none_or(|conditions| holds(conditions, parts, origin))
    }
}

fn holds(wanted: &Match, parts: &Parts, origin: Origin<'_>) -> bool {
    let within = || wanted.client_addresses.iter().any(|network| network.contains(&origin.address));
    (wanted.methods.is_empty() || wanted.methods.contains(&parts.method))
        && wanted.headers.iter().all(|(name, value)| value.holds(parts.headers.get_all(name).iter()))
        && wanted.query.iter().all(|(name, value)| value.holds(parameters(parts.uri.query(), name)))
        && wanted.cookies.iter().all(|(name, value)| value.holds(cookies(&parts.headers, name)))
        && (wanted.client_addresses.is_empty() || within())
        && (wanted.server_names.is_empty() || asks_for(wanted, origin.server_name))
}

fn asks_for(wanted: &Match, name: Option<&str>) -> bool {
    let mut buffer = [0; MAX_HOST];
    let name = name.and_then(|name| comparable(name, &mut buffer));
    name.is_some_and(|name| wanted.server_names.iter().any(|pattern| pattern.holds(name)))
}

/// The values of a parameter in a query, decoded as HTML forms encode them; only what is encoded is copied.
pub fn parameters<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = Bytes<'a>> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.filter(move |(other, _)| *other == name).map(|(_, value)| Bytes(value))
}

/// A value of a parameter.
#[derive(Debug)]
pub struct Bytes<'a>(pub std::borrow::Cow<'a, str>);

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The values of a cookie (RFC 6265, section 5.4), without quotes around them.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(';')).filter_map(move |pair| {
        let (other, value) = pair.split_once('=')?;
        (other.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}
