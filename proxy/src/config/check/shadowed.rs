//! Routes that can never match, because others leave them nothing.

use std::collections::HashMap;

use super::Check;
use crate::config::model::{HostPattern, Match, PathPattern, Route, Segment, ValueMatch};

/// A route that never matches for a host, and the one that takes its requests.
type Pair = (usize, usize, Option<String>);

impl Check<'_> {
    /// Routes that another leaves nothing to: `route` prefers a higher priority, then, for one host and path, more
    /// conditions, then the order of the file.
    pub(super) fn shadowed(&mut self, routes: &[Route], places: &[String]) {
        // A condition that was wrong is missing here: the route is less general than it looks.
        let right = |index: &usize| {
            let at = format!("{}/match", places[*index]);
            !self.problems.iter().any(|problem| problem.pointer.starts_with(&at))
        };
        let index = Index::new(routes, (0..routes.len()).filter(right));
        let mut pairs = index.covered();
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

/// A path with nothing in it that does not decide: names of captures are left out.
type Key = PathPattern;

/// Routes by host and path.
struct Index<'a> {
    routes: &'a [Route],
    groups: HashMap<(Option<&'a HostPattern>, Key), Vec<usize>>,
    /// Templates that have a higher priority than others.
    templates: Vec<usize>,
}

impl<'a> Index<'a> {
    fn new(routes: &'a [Route], indices: impl Iterator<Item = usize>) -> Self {
        let lowest = routes.iter().map(|route| route.priority).min().unwrap_or_default();
        let mut index = Self { routes, groups: HashMap::new(), templates: Vec::new() };
        for at in indices {
            let route = &routes[at];
            for host in hosts(&route.matches) {
                index.groups.entry((host, key(&route.matches.path))).or_default().push(at);
            }
            if route.priority > lowest && matches!(route.matches.path, PathPattern::Template(_)) {
                index.templates.push(at);
            }
        }
        index
    }

    fn covered(&self) -> Vec<Pair> {
        let priorities: Vec<i16> = self.routes.iter().map(|route| route.priority).collect();
        let several = priorities.iter().any(|priority| *priority != priorities[0]);
        let mut pairs = Vec::new();
        for ((host, path), group) in &self.groups {
            for (place, later) in group.iter().enumerate() {
                // Those of the same host and path, whatever their place where the priority differs.
                let earlier = |first: &usize| self.before(*first, *later, group[..place].contains(first));
                let same =
                    group.iter().filter(|_| several).chain(&group[..place]).copied().find(|first| earlier(first));
                let first = same.or_else(|| several.then(|| self.wider(*host, path, *later)).flatten());
                pairs.extend(first.map(|first| (*later, first, host.map(ToString::to_string))));
            }
        }
        pairs
    }

    /// Whether `first`, of the same host and path, goes before `later` and takes all its requests.
    fn before(&self, first: usize, later: usize, is_earlier: bool) -> bool {
        let (a, b) = (&self.routes[first], &self.routes[later]);
        let specific = is_earlier && a.matches.conditions() >= b.matches.conditions();
        (a.priority > b.priority || (a.priority == b.priority && specific)) && takes_all(a, b)
    }

    /// A route of a higher priority whose host and path are wider and that takes all of `later`'s requests.
    fn wider(&self, host: Option<&HostPattern>, path: &Key, later: usize) -> Option<usize> {
        let higher = |first: &usize| self.routes[*first].priority > self.routes[later].priority;
        let takes = |first: &usize| takes_all(&self.routes[*first], &self.routes[later]);
        let (paths, hosts) = (wider_paths(path), wider_hosts(host));
        for path in paths {
            for host in &hosts {
                let group = self.groups.get(&(host.as_ref(), path.clone()));
                if let Some(first) = group.into_iter().flatten().copied().find(|first| higher(first) && takes(first)) {
                    return Some(first);
                }
            }
        }
        let of_host = |first: &usize| {
            let theirs = self::hosts(&self.routes[*first].matches);
            theirs.iter().any(|theirs| hosts.iter().any(|host| host.as_ref() == *theirs))
        };
        let of_path = |first: &usize| template_covers(&self.routes[*first].matches.path, path);
        self.templates.iter().copied().find(|first| higher(first) && of_path(first) && of_host(first) && takes(first))
    }
}

/// The hosts of a match, each by itself; nothing stands for any host.
fn hosts(matches: &Match) -> Vec<Option<&HostPattern>> {
    match matches.hosts.as_slice() {
        [] => vec![None],
        hosts => hosts.iter().map(Some).collect(),
    }
}

fn key(path: &PathPattern) -> Key {
    let PathPattern::Template(segments) = path else { return path.clone() };
    let nameless = |segment: &Segment| match segment {
        Segment::Literal(text) => Segment::Literal(text.clone()),
        Segment::Capture(_) => Segment::Capture(String::new()),
        Segment::Rest(_) => Segment::Rest(String::new()),
    };
    PathPattern::Template(segments.iter().map(nameless).collect())
}

/// The host itself, the suffixes that it is below, and any.
fn wider_hosts(host: Option<&HostPattern>) -> Vec<Option<HostPattern>> {
    let mut wider = vec![None];
    if let Some(host) = host {
        wider.push(Some(host.clone()));
        let (HostPattern::Exact(name) | HostPattern::Suffix(name)) = host;
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            wider.push(Some(HostPattern::Suffix(parent.to_owned())));
            rest = parent;
        }
    }
    wider
}

/// The path itself, and the prefixes that it is below.
fn wider_paths(path: &Key) -> Vec<Key> {
    let mut wider = vec![path.clone()];
    let literal = match path {
        PathPattern::Exact(text) | PathPattern::Prefix(text) => text.clone(),
        PathPattern::Template(segments) => {
            let literal = segments.iter().map_while(|s| if let Segment::Literal(text) = s { Some(text) } else { None });
            literal.flat_map(|text| ["/", text]).collect()
        }
        // Which paths an expression takes is not looked into, but none is outside of `/**`.
        PathPattern::Regex(_) => String::new(),
    };
    let mut rest = literal.as_str();
    wider.push(PathPattern::Prefix(rest.to_owned()));
    while let Some((parent, _)) = rest.rsplit_once('/') {
        wider.push(PathPattern::Prefix(parent.to_owned()));
        rest = parent;
    }
    wider
}

/// Whether a template takes every path that another pattern takes.
fn template_covers(template: &PathPattern, path: &Key) -> bool {
    let PathPattern::Template(wide) = template else { return false };
    let owned: Vec<Segment>;
    let (narrow, open) = match path {
        PathPattern::Exact(text) | PathPattern::Prefix(text) => {
            owned = text.split('/').skip(1).map(|segment| Segment::Literal(segment.to_owned())).collect();
            (&owned, matches!(path, PathPattern::Prefix(_)))
        }
        PathPattern::Template(segments) => (segments, false),
        PathPattern::Regex(_) => return false,
    };
    let mut narrow = narrow.iter();
    for segment in wide {
        let covered = match (segment, narrow.next()) {
            (Segment::Rest(_), Some(_)) => return true,
            (Segment::Literal(a), Some(Segment::Literal(b))) => a == b,
            (Segment::Capture(_), Some(Segment::Literal(text))) => !text.is_empty(),
            (Segment::Capture(_), Some(Segment::Capture(_))) => true,
            _ => false,
        };
        if !covered {
            return false;
        }
    }
    narrow.next().is_none() && !open
}

/// Whether `first` takes every request that `later` takes, host and path aside, on every listener that `later` serves on.
fn takes_all(first: &Route, later: &Route) -> bool {
    let named = |name: &String| first.listeners.contains(name);
    let everywhere = first.listeners.is_empty() || (!later.listeners.is_empty() && later.listeners.iter().all(named));
    everywhere && covers(&first.matches, &later.matches)
}

/// Whether `first` takes every request that `later` takes, host, path and listeners aside.
fn covers(first: &Match, later: &Match) -> bool {
    fn all_in<T: PartialEq>(first: &[T], later: &[T], within: impl Fn(&T, &T) -> bool) -> bool {
        first.is_empty() || (!later.is_empty() && later.iter().all(|l| first.iter().any(|f| within(f, l))))
    }
    fn implied<N: PartialEq>(first: &[(N, ValueMatch)], later: &[(N, ValueMatch)]) -> bool {
        first.iter().all(|(name, wide)| later.iter().any(|(other, narrow)| name == other && wide.covers(narrow)))
    }
    let name_in = |wide: &HostPattern, narrow: &HostPattern| {
        wide == narrow
            || match narrow {
                HostPattern::Exact(name) | HostPattern::Suffix(name) => wide.holds(name),
            }
    };
    all_in(&first.methods, &later.methods, |wide, narrow| wide == narrow)
        && all_in(&first.client_addresses, &later.client_addresses, |wide, narrow| wide.contains(narrow))
        && all_in(&first.server_names, &later.server_names, name_in)
        && implied(&first.headers, &later.headers)
        && implied(&first.query, &later.query)
        && implied(&first.cookies, &later.cookies)
}
