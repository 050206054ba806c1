//! Routes, and those that can never match.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::names::route_names;
use super::{Check, DAY, MILLISECOND};
use crate::config::model::{Action, HeaderMatch, HostPattern, Match, PathPattern, Route};
use crate::config::raw::{List, RawMatch, RawRespond, RawRoute};
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn routes(&mut self, raw: &List<RawRoute>) -> Vec<Route> {
        let mut routes = Vec::new();
        let mut places = Vec::new();
        for (index, raw) in raw.iter().enumerate() {
            let Some(raw) = raw else { continue };
            let at = format!("/routes/{index}");
            routes.push(self.route(&at, raw));
            places.push(at);
        }
        self.route_names(&mut routes, &places);
        self.shadowed(&routes, &places);
        routes
    }

    fn route(&mut self, at: &str, raw: &RawRoute) -> Route {
        if let Some(chain) = &raw.chain {
            self.reference(&child(at, "chain"), "chain", "/chains", chain);
        }
        let most = 1 << 40;
        Route {
            name: raw.name.clone().unwrap_or_default(),
            matches: self.matches(&child(at, "match"), &raw.matches),
            chain: raw.chain.clone(),
            action: self.action(at, raw),
            timeout: self.time(&child(at, "timeout"), raw.timeout.as_ref(), Duration::from_secs(60), MILLISECOND, DAY),
            sending: self.route_sending(at, raw),
            body_size: raw.body_size.as_ref().map(|size| self.size(&child(at, "body-size"), Some(size), 0, 0, most)),
        }
    }

    fn action(&mut self, at: &str, raw: &RawRoute) -> Action {
        let (upstream, respond) = (child(at, "upstream"), child(at, "respond"));
        match (self.written(&upstream), self.written(&respond)) {
            (true, true) => self.error(&respond, "`upstream` and `respond` exclude each other"),
            (false, false) => {
                self.error_with_help(at, "the route leads nowhere", "add `upstream: NAME` or `respond: { status: … }`");
            }
            _ => {}
        }
        if let Some(name) = &raw.upstream {
            self.reference(&upstream, "upstream", "/upstreams", name);
        }
        match &raw.respond {
            Some(raw) => self.respond(&respond, raw),
            None => Action::Upstream(raw.upstream.clone().unwrap_or_default()),
        }
    }

    fn respond(&mut self, at: &str, raw: &RawRespond) -> Action {
        let status = raw.status.as_ref().map_or(StatusCode::OK, |status| status.0.0);
        let body = raw.body.clone().unwrap_or_default();
        // RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
        if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
            self.error(&child(at, "body"), format!("an answer with status {} has no body", status.as_u16()));
        }
        Action::Respond { status, body }
    }

    fn matches(&mut self, at: &str, raw: &RawMatch) -> Match {
        for key in ["hosts", "methods"] {
            let list = self.source.value().pointer(&child(at, key)).and_then(|value| value.as_array());
            if list.is_some_and(Vec::is_empty) {
                self.error(&child(at, key), format!("the list is empty: leave `{key}` out to take all"));
            }
        }
        if raw.host.is_some() && self.written(&child(at, "hosts")) {
            self.error(&child(at, "host"), "`host` and `hosts` exclude each other");
        }
        let mut hosts: Vec<_> = raw.host.iter().chain(raw.hosts.iter().flatten()).map(|host| host.0.clone()).collect();
        hosts.sort();
        hosts.dedup();
        let mut methods: Vec<_> = raw.methods.iter().flatten().map(|method| method.0.clone()).collect();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        let path = raw.path.as_ref().map_or(PathPattern::Prefix(String::new()), |path| path.0.clone());
        Match { hosts, path, methods, headers: self.header_matches(&child(at, "headers"), raw) }
    }

    fn header_matches(&mut self, at: &str, raw: &RawMatch) -> Vec<HeaderMatch> {
        let mut headers: Vec<HeaderMatch> = Vec::new();
        for (text, wanted) in &raw.headers {
            let at = child(at, text);
            match HeaderName::from_bytes(text.as_bytes()) {
                Ok(name) if headers.iter().any(|header| header.name == name) => {
                    self.key_error(&at, format!("`{name}` is here twice"));
                }
                Ok(name) => headers.push(HeaderMatch { name, value: wanted.0.0.clone() }),
                Err(_) => self.key_error(&at, "no header field has this name"),
            }
        }
        headers
    }

    fn route_names(&mut self, routes: &mut [Route], places: &[String]) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (route, at) in routes.iter().zip(places) {
            let at_name = child(at, "name");
            if !self.written(&at_name) {
                continue;
            }
            if route.name.is_empty() || route.name.len() > 200 || route.name.chars().any(char::is_control) {
                self.error(&at_name, "a route's name has 1 to 200 characters, none of them a control character");
            } else if let Some(first) = seen.get(&route.name) {
                let first = self.source.locate(&child(first, "name"));
                self.error(&at_name, format!("`{}` is the name of the route at {first}", route.name));
            } else {
                seen.insert(route.name.clone(), at);
            }
        }
        route_names(routes);
    }

    /// Routes that an earlier one leaves nothing to: `route` prefers more conditions, then the order of the file.
    fn shadowed(&mut self, routes: &[Route], places: &[String]) {
        let mut groups: HashMap<(Option<&HostPattern>, &PathPattern), Vec<usize>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            // A condition that was wrong is missing here: the route is less general than it looks.
            if self.problems.iter().any(|problem| problem.pointer.starts_with(&format!("{}/match", places[index]))) {
                continue;
            }
            for host in hosts(&route.matches) {
                groups.entry((host, &route.matches.path)).or_default().push(index);
            }
        }
        let mut pairs: Vec<_> = groups.into_iter().flat_map(|(key, group)| covered(routes, key.0, &group)).collect();
        pairs.sort_unstable();
        pairs.dedup_by_key(|(later, _, _)| *later);
        for (later, first, host) in pairs {
            if self.is_full() {
                return;
            }
            let place = self.source.locate(&places[first]);
            let at = &places[later];
            let whole = routes[later].matches.hosts.len() <= 1;
            let part = host.filter(|_| !whole).map(|host| format!(" for host {host}")).unwrap_or_default();
            let message =
                format!("never matches{part}: the route at {}:{} takes all its requests", place.line, place.column);
            let help = "remove one of the two, or let `match` tell them apart";
            self.error_with_help(at, message, help);
        }
    }
}

/// The hosts of a match, each by itself; nothing stands for any host.
fn hosts(matches: &Match) -> Vec<Option<&HostPattern>> {
    match matches.hosts.as_slice() {
        [] => vec![None],
        hosts => hosts.iter().map(Some).collect(),
    }
}

/// Of routes with one host and one path: those that can never match, each with the one before it.
fn covered(routes: &[Route], host: Option<&HostPattern>, group: &[usize]) -> Vec<(usize, usize, Option<String>)> {
    let mut pairs = Vec::new();
    for (place, later) in group.iter().enumerate() {
        let first = group[..place].iter().find(|first| covers(&routes[**first].matches, &routes[*later].matches));
        pairs.extend(first.map(|first| (*later, *first, host.map(ToString::to_string))));
    }
    pairs
}

/// Whether `first` goes before `later` and takes every request that `later` would take.
fn covers(first: &Match, later: &Match) -> bool {
    let methods = first.methods.is_empty()
        || (!later.methods.is_empty() && later.methods.iter().all(|m| first.methods.contains(m)));
    let implied = |wanted: &HeaderMatch| {
        later.headers.iter().any(|h| h.name == wanted.name && (wanted.value.is_none() || wanted.value == h.value))
    };
    first.conditions() >= later.conditions() && methods && first.headers.iter().all(implied)
}
