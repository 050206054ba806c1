//! Policies: keys with a name, which routes and upstreams take over.
//!
//! They are merged into the values before anything is read, so that nobody behind this knows of them. What is wrong with
//! a value is shown where it is written: in the policy.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::MAX_PROBLEMS;
use super::nearest;
use super::raw::{route_keys, upstream_keys};
use super::source::{Source, child};

/// What all that policies add may take, in bytes of JSON.
const BUDGET: usize = 32 << 20;

/// Keys that say what a route or an upstream is, and not how it treats requests.
const OWN: [&str; 17] = [
    "name",
    "listeners",
    "priority",
    "match",
    "chain",
    "upstream",
    "upstreams",
    "sticky",
    "respond",
    "redirect",
    "rewrite",
    "endpoints",
    "builtin",
    "component",
    "discovery",
    "policy",
    "zone",
];

/// The pointers of keys that came from a policy, and those of what they came from.
pub(super) type Links = BTreeMap<String, String>;

/// Where a policy is attached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Route,
    Upstream,
}

impl Place {
    const ALL: [Self; 2] = [Self::Route, Self::Upstream];

    fn keys(self) -> impl Iterator<Item = &'static str> {
        let keys = match self {
            Self::Route => route_keys(),
            Self::Upstream => upstream_keys(),
        };
        keys.iter().copied().filter(|key| !OWN.contains(key))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Upstream => "upstream",
        }
    }
}

/// Gives routes and upstreams the keys of their policies that they do not have themselves. Nothing where that is too
/// much.
pub(super) fn merge(value: &mut Value) -> Option<Links> {
    let mut links = Links::new();
    let Some(policies) = value.get("policies").and_then(Value::as_object).cloned() else { return Some(links) };
    let mut left = BUDGET;
    let sizes: BTreeMap<&String, usize> = policies.iter().map(|(name, keys)| (name, keys.to_string().len())).collect();
    for (place, at, target) in targets(value) {
        let Some(name) = target.get("policy").and_then(Value::as_str).map(str::to_owned) else { continue };
        let Some(policy) = policies.get(&name).and_then(Value::as_object) else { continue };
        left = left.checked_sub(sizes[&name])?;
        for key in place.keys() {
            if let Some(value) = policy.get(key)
                && !target.contains_key(key)
            {
                target.insert(key.to_owned(), value.clone());
                links.insert(child(&at, key), child(&child("/policies", &name), key));
            }
        }
    }
    Some(links)
}

/// Routes and upstreams with their pointers.
fn targets(value: &mut Value) -> Vec<(Place, String, &mut Map<String, Value>)> {
    let mut targets = Vec::new();
    let Some(root) = value.as_object_mut() else { return targets };
    for (key, value) in root {
        match (key.as_str(), value) {
            ("routes", Value::Array(routes)) => {
                let routes = routes.iter_mut().enumerate();
                targets.extend(
                    routes.filter_map(|(at, r)| Some((Place::Route, format!("/routes/{at}"), r.as_object_mut()?))),
                );
            }
            ("upstreams", Value::Object(upstreams)) => {
                targets.extend(upstreams.iter_mut().filter_map(|(name, upstream)| {
                    Some((Place::Upstream, child("/upstreams", name), upstream.as_object_mut()?))
                }));
            }
            _ => {}
        }
    }
    targets
}

/// What is wrong with the policies themselves: pointers to keys, messages, help.
pub(super) fn problems(source: &Source) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    let Some(policies) = source.value().get("policies").and_then(Value::as_object) else { return found };
    for (name, policy) in policies {
        let at = child("/policies", name);
        let Some(policy) = policy.as_object() else {
            found.push((at, "a policy is a map, as in `{ timeout: 1s }`".to_owned(), None));
            continue;
        };
        let attached: Vec<Place> = Place::ALL.into_iter().filter(|place| is_attached(source, *place, name)).collect();
        for key in policy.keys().take(MAX_PROBLEMS) {
            if let Some((message, help)) = wrong_key(key, name, &attached) {
                found.push((child(&at, key), message, help));
            }
        }
    }
    found
}

/// Whether any route or upstream has the policy.
fn is_attached(source: &Source, place: Place, name: &str) -> bool {
    let has = |value: &Value| value.get("policy").and_then(Value::as_str) == Some(name);
    match (place, source.value().get(format!("{}s", place.name()))) {
        (Place::Route, Some(Value::Array(routes))) => routes.iter().any(has),
        (Place::Upstream, Some(Value::Object(upstreams))) => upstreams.values().any(has),
        _ => false,
    }
}

fn wrong_key(key: &str, policy: &str, attached: &[Place]) -> Option<(String, Option<String>)> {
    let places: Vec<Place> = Place::ALL.into_iter().filter(|place| place.keys().any(|known| known == key)).collect();
    if places.is_empty() {
        if OWN.contains(&key) {
            let message = format!("`{key}` is of one route or upstream alone: it cannot be in a policy");
            return Some((message, None));
        }
        let known: Vec<&str> = Place::ALL.into_iter().flat_map(Place::keys).collect();
        let help = nearest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        return Some((format!("unknown key `{key}`"), help));
    }
    // A policy that nobody has is a warning of its own.
    if attached.is_empty() || places.iter().any(|place| attached.contains(place)) {
        return None;
    }
    let place = places[0].name();
    Some((format!("`{key}` has no effect: no {place} has the policy `{policy}`"), None))
}
