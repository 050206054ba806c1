//! Names of routes that have none, and what nothing refers to.

use std::collections::{HashMap, HashSet};

use http::Method;
use http::uri::Authority;
use serde_json::Value;

use super::Check;
use crate::config::model::{Action, Config, FallbackAnswer, Match, Route, Tcp};
use crate::config::policy;
use crate::config::raw::Raw;
use crate::config::source::child;

/// Gives each route without a name one of its own: its path, with host and methods when those tell it apart.
pub(super) fn route_names(routes: &mut [Route]) {
    let given: HashSet<String> = routes.iter().map(|route| route.name.clone()).collect();
    let candidates: Vec<[String; 3]> = routes.iter().map(|route| spellings(&route.matches)).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for (candidates, _) in candidates.iter().zip(&*routes).filter(|(_, route)| route.name.is_empty()) {
        // Two of one route's spellings may be the same.
        for name in candidates.iter().collect::<HashSet<_>>() {
            *uses.entry(name).or_default() += 1;
        }
    }
    for (index, (route, candidates)) in routes.iter_mut().zip(&candidates).enumerate() {
        if route.name.is_empty() {
            let own = candidates.iter().find(|name| uses[name.as_str()] == 1 && !given.contains(*name));
            route.name = own.cloned().unwrap_or_else(|| format!("{} #{index}", candidates[2]));
        }
    }
}

/// A match in words, ever longer.
fn spellings(matches: &Match) -> [String; 3] {
    let path = matches.path.to_string();
    let hosts: Vec<String> = matches.hosts.iter().map(ToString::to_string).collect();
    let with_host = format!("{}{path}", hosts.join(","));
    let methods: Vec<&str> = matches.methods.iter().map(Method::as_str).collect();
    let with_methods = format!("{} {with_host}", methods.join(",")).trim_start().to_owned();
    [path, with_host, with_methods]
}

impl Check<'_> {
    /// Warns of what is declared and never used.
    pub(super) fn unused(&mut self, config: &Config) {
        let mut chains: HashSet<&str> = config.routes.iter().filter_map(|route| route.chain.as_deref()).collect();
        let mut upstreams: HashSet<&str> = HashSet::new();
        config.routes.iter().for_each(|route| named(route, &mut chains, &mut upstreams));
        let passing = || config.listeners.iter().filter_map(|listener| listener.tcp.as_ref());
        chains.extend(passing().filter_map(|tcp| tcp.chain.as_deref()));
        self.report_unused("chain", "/chains", "route has it", &chains);
        let plugins = config.chains.values().flatten().map(String::as_str).collect();
        self.report_unused("plugin", "/plugins", "chain has it", &plugins);
        upstreams.extend(passing().flat_map(Tcp::upstreams));
        // A plugin may choose an upstream, and then its configuration names it.
        config.plugins.values().for_each(|plugin| words(&plugin.config, &mut upstreams));
        // So may one that sends requests there.
        let components = config.upstreams.values().filter_map(|upstream| upstream.backend.component());
        let granted = config.plugins.values().chain(components.map(|component| &component.code));
        upstreams.extend(granted.flat_map(|plugin| plugin.allow.http.iter().map(Authority::host)));
        self.report_unused("upstream", "/upstreams", "route leads to it", &upstreams);
        let mut secrets: HashSet<&str> = HashSet::new();
        config.plugins.values().for_each(|plugin| secrets.extend(plugin.allow.secrets.iter().map(String::as_str)));
        self.report_unused("secret", "/secrets", "plugin may read it", &secrets);
    }

    /// What is wrong with policies themselves, and those that nobody has.
    pub(super) fn policies(&mut self, raw: &Raw) {
        for name in raw.policies.keys() {
            self.name(&child("/policies", name), name);
        }
        for (at, message, help) in policy::problems(self.source) {
            self.report(|source| {
                let error = source.key_error(&at, message);
                match help {
                    Some(help) => error.with_help(help),
                    None => error,
                }
            });
        }
        let of_routes = raw.routes.iter().flatten().filter_map(|route| route.policy.as_deref());
        let used = of_routes.chain(raw.upstreams.values().filter_map(|upstream| upstream.policy.as_deref())).collect();
        self.report_unused("policy", "/policies", "route or upstream has it", &used);
    }

    fn report_unused(&mut self, what: &str, map: &str, why: &str, used: &HashSet<&str>) {
        let unused: Vec<String> =
            self.keys(map).into_iter().filter(|name| !used.contains(name)).map(Into::into).collect();
        for name in unused {
            let message = format!("the {what} `{name}` is not used: no {why}");
            self.report(|source| source.key_error(&child(map, &name), message).as_warning());
        }
    }
}

/// The chains and upstreams that a route names, besides its own chain.
fn named<'a>(route: &'a Route, chains: &mut HashSet<&'a str>, upstreams: &mut HashSet<&'a str>) {
    match &route.action {
        Action::Upstream(name) => _ = upstreams.insert(name),
        Action::Split(split) => upstreams.extend(split.choices.iter().map(|choice| choice.upstream.as_str())),
        Action::Respond(_) | Action::Redirect(_) => {}
    }
    upstreams.extend(route.treatment.mirror.as_ref().map(|mirror| mirror.upstream.as_str()));
    match route.treatment.fallback.as_ref().map(|fallback| &fallback.answer) {
        Some(FallbackAnswer::Upstream(name)) => _ = upstreams.insert(name),
        Some(FallbackAnswer::Chain(name)) => _ = chains.insert(name),
        Some(FallbackAnswer::Fixed(_)) | None => {}
    }
}

/// All strings in a value, keys among them.
fn words<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
    match value {
        Value::String(text) => _ = found.insert(text),
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key);
                words(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
