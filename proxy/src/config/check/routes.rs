//! Routes.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;

use super::names::route_names;
use super::{Check, DAY, MILLISECOND};
use crate::config::model::{Action, Route};
use crate::config::raw::{List, RawRespond, RawRoute};
use crate::config::source::child;

/// Each priority is a table of its own that may have to be looked at, so there are not many.
const MAX_PRIORITY: i64 = 100;

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
            listeners: self.route_listeners(&child(at, "listeners"), &raw.listeners),
            priority: self.priority(&child(at, "priority"), raw.priority),
            matches: self.matches(&child(at, "match"), &raw.matches),
            chain: raw.chain.clone(),
            action: self.action(at, raw),
            timeout: self.time(&child(at, "timeout"), raw.timeout.as_ref(), Duration::from_secs(60), MILLISECOND, DAY),
            sending: self.route_sending(at, raw),
            body_size: raw.body_size.as_ref().map(|size| self.size(&child(at, "body-size"), Some(size), 0, 0, most)),
            upgrades: self.upgrades(&child(at, "upgrades"), &raw.upgrades),
            grpc_web: self.grpc_web(at, raw),
        }
    }

    fn priority(&mut self, at: &str, raw: Option<i64>) -> i16 {
        i16::try_from(self.within(at, raw, 0, -MAX_PRIORITY, MAX_PRIORITY)).unwrap_or_default()
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
}
