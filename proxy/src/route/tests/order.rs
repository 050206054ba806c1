//! The table against a model that is written from the documentation: rank all routes and take the first.

use http::HeaderName;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::config::Segment;
use crate::route::paths::literal_folder;

const HOSTS: [&str; 6] = ["a.test", "b.a.test", "c.b.a.test", "*.test", "*.a.test", "*.b.a.test"];
const PATHS: [&str; 17] = [
    "/**",
    "/a/**",
    "/a/b/**",
    "/a/b/c/**",
    "/b/**",
    "/a",
    "/a/b",
    "/",
    "/a/",
    "/{x}",
    "/a/{x}",
    "/{x}/b",
    "/{x}/{y}/c",
    "/a/{rest...}",
    "/a/{x}/{rest...}",
    "/{x}/",
    "/{rest...}",
];
const EXPRESSIONS: [&str; 6] = ["/a/.*", "/a/b?", "/[ab]/b", ".*b", "/a|/b", "/a/b/c+"];
const CONDITIONS: [&str; 4] = ["methods: [GET]", "headers: { x-a: '1' }", "query: { q: true }", "cookies: { c: '2' }"];

fn any_route() -> impl Strategy<Value = Route> {
    let path = prop_oneof![
        4 => select(&PATHS[..]).prop_map(|path| format!("path: '{path}'")),
        1 => select(&EXPRESSIONS[..]).prop_map(|text| format!("path: {{ regex: '{text}' }}")),
    ];
    let hosts = subsequence(HOSTS.to_vec(), 0..3).prop_map(|hosts| {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("'{host}'")).collect();
        if hosts.is_empty() { None } else { Some(format!("hosts: [{}]", hosts.join(","))) }
    });
    let conditions = subsequence(CONDITIONS.to_vec(), 0..3);
    let priority = prop_oneof![8 => Just(0i16), 1 => Just(1), 1 => Just(-1)];
    (hosts, path, conditions, priority).prop_map(|(hosts, path, conditions, priority)| {
        let texts: Vec<&str> = hosts.iter().map(String::as_str).chain([&*path]).chain(conditions).collect();
        let mut route = route(matches(&texts.join(", ")));
        route.priority = priority;
        route
    })
}

#[derive(Debug)]
struct Asked {
    host: &'static str,
    path: &'static str,
    method: Method,
    header: Option<&'static str>,
    query: bool,
    cookie: Option<&'static str>,
}

fn any_request() -> impl Strategy<Value = Asked> {
    let hosts = ["a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "test", "x"].as_slice();
    let paths = [
        "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/cc", "/a/b/c/d", "/ab", "/b/x", "/c", "/b/b", "/x/y/c", "//",
    ]
    .as_slice();
    let value = || proptest::option::of(select(["1", "2"].as_slice()));
    let method = select(vec![Method::GET, Method::POST]);
    (select(hosts), select(paths), method, value(), any::<bool>(), value())
        .prop_map(|(host, path, method, header, query, cookie)| Asked { host, path, method, header, query, cookie })
}

impl Asked {
    fn parts(&self) -> Parts {
        let mut parts = head(if self.query { "/?q=1" } else { "/" });
        parts.method = self.method.clone();
        if let Some(value) = self.header {
            parts.headers.insert(HeaderName::from_static("x-a"), HeaderValue::from_static(value));
        }
        if let Some(value) = self.cookie {
            parts.headers.insert("cookie", HeaderValue::try_from(format!("c={value}")).expect("a value"));
        }
        parts
    }

    fn holds(&self, matches: &Match) -> bool {
        let value = |wanted: &ValueMatch, value: Option<&str>| match wanted {
            ValueMatch::Present => value.is_some(),
            ValueMatch::Exact(text) => value == Some(text),
            other => panic!("no route of this test has {other:?}"),
        };
        (matches.methods.is_empty() || matches.methods.contains(&self.method))
            && matches.headers.iter().all(|(_, wanted)| value(wanted, self.header))
            && matches.query.iter().all(|(_, wanted)| value(wanted, self.query.then_some("1")))
            && matches.cookies.iter().all(|(_, wanted)| value(wanted, self.cookie))
    }

    /// How specific a route is for the request, the higher the more; nothing when it does not take it.
    fn rank(&self, route: &Route) -> Option<(i16, usize, Vec<u8>, usize)> {
        let matches = &route.matches;
        let host = match matches.hosts.is_empty() {
            true => 0,
            false => matches.hosts.iter().filter(|host| host.holds(self.host)).map(specific).max()?,
        };
        let path = path_rank(&matches.path, self.path)?;
        self.holds(matches).then(|| (route.priority, host, path, matches.conditions()))
    }
}

fn specific(host: &HostPattern) -> usize {
    match host {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Suffix(suffix) => suffix.len(),
    }
}

/// One number for each segment: 5 literal, 4 an expression, 3 a capture, 2 the rest, 1 what is below; 9 for an exact
/// path.
fn path_rank(pattern: &PathPattern, path: &str) -> Option<Vec<u8>> {
    let literal = |path: &str| vec![5; path.split('/').skip(1).count()];
    match pattern {
        PathPattern::Exact(exact) => (exact == path).then(|| vec![9]),
        PathPattern::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| [literal(prefix), vec![1]].concat())
        }
        PathPattern::Regex(pattern) => {
            pattern.regex().is_match(path).then(|| [literal(literal_folder(pattern.text())), vec![4]].concat())
        }
        PathPattern::Template(segments) => {
            let mut rank = Vec::new();
            let mut parts = path.split('/').skip(1);
            for segment in segments {
                let part = parts.next()?;
                rank.push(match segment {
                    Segment::Literal(text) => (text == part).then_some(5)?,
                    Segment::Capture(_) => (!part.is_empty()).then_some(3)?,
                    Segment::Rest(_) => return Some([rank, vec![2]].concat()),
                });
            }
            parts.next().is_none().then_some(rank)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn the_table_finds_what_the_documented_order_says(
        routes in proptest::collection::vec(any_route(), 0..12),
        requests in proptest::collection::vec(any_request(), 30),
    ) {
        let table = Table::build(&routes);
        for asked in requests {
            let ranked = routes.iter().enumerate().filter_map(|(index, route)| Some((asked.rank(route)?, index)));
            let expected = ranked.max_by_key(|(rank, index)| (rank.clone(), Reverse(*index))).map(|(_, index)| index);
            let found = table.find(asked.host, asked.path, &asked.parts(), ORIGIN);
            prop_assert_eq!(found, expected, "{:?} in {:#?}", asked, routes);
        }
    }

    /// What an expression's text says of its folder holds for all that it matches.
    #[test]
    fn a_path_that_an_expression_matches_is_in_its_folder(path in "(/[ab]{0,2}){1,4}") {
        for text in EXPRESSIONS.into_iter().chain(["/a/?b", "/a/b/*", "^/a/b", r"/a\.b/c", "/a/(b|a)", "(?i)/A/B", "/a{0}/b"]) {
            let PathPattern::Regex(pattern) = &matches(&format!("path: {{ regex: '{text}' }}")).path else { unreachable!() };
            let folder = format!("{}/", literal_folder(text));
            prop_assert!(!pattern.regex().is_match(&path) || path.starts_with(&folder), "{} {}", text, path);
        }
    }
}
