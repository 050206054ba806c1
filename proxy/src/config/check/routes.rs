//! Routes.

use std::collections::HashMap;
use std::time::Duration;

use super::names::route_names;
use super::{Check, DAY, MILLISECOND};
use crate::config::model::Route;
use crate::config::raw::{List, RawRoute};
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
        if let Some(policy) = &raw.policy {
            self.reference(&child(at, "policy"), "policy", "/policies", policy);
        }
        let most = 1 << 40;
        let matches = self.matches(&child(at, "match"), &raw.matches);
        Route {
            name: raw.name.clone().unwrap_or_default(),
            listeners: self.route_listeners(&child(at, "listeners"), &raw.listeners),
            priority: self.priority(&child(at, "priority"), raw.priority),
            chain: raw.chain.clone(),
            action: self.action(at, raw, &matches.path),
            treatment: self.treatment(at, raw, &matches.path),
            matches,
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
