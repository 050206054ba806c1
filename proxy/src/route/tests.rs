use std::time::Duration;

use http::{HeaderName, Request, StatusCode};

use super::*;
use crate::config::Action;

fn route(matches: Match) -> Route {
    Route {
        name: String::new(),
        matches,
        chain: None,
        action: Action::Respond { status: StatusCode::OK, body: String::new() },
        timeout: Duration::from_secs(1),
        body_size: None,
        sending: crate::config::RouteSending::default(),
    }
}

fn path(pattern: &str) -> PathPattern {
    match pattern.strip_suffix("/**") {
        Some(prefix) => PathPattern::Prefix(prefix.to_owned()),
        None => PathPattern::Exact(pattern.to_owned()),
    }
}

fn host(pattern: &str) -> HostPattern {
    match pattern.strip_prefix("*.") {
        Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
        None => HostPattern::Exact(pattern.to_owned()),
    }
}

fn to(hosts: &[&str], pattern: &str) -> Route {
    let hosts = hosts.iter().map(|pattern| host(pattern)).collect();
    route(Match { hosts, path: path(pattern), methods: Vec::new(), headers: Vec::new() })
}

fn wanted(name: &'static str, value: Option<&'static str>) -> HeaderMatch {
    HeaderMatch { name: HeaderName::from_static(name), value: value.map(HeaderValue::from_static) }
}

fn get(table: &Table, host: &str, path: &str) -> Option<usize> {
    table.find(host, path, &Method::GET, &HeaderMap::new())
}

#[test]
fn an_exact_host_goes_before_a_suffix_and_a_suffix_before_any() {
    let table = Table::build(&[
        to(&[], "/**"),
        to(&["*.com"], "/**"),
        to(&["*.example.com"], "/**"),
        to(&["a.example.com"], "/**"),
    ]);
    assert_eq!(get(&table, "a.example.com", "/"), Some(3));
    assert_eq!(get(&table, "b.example.com", "/"), Some(2));
    assert_eq!(get(&table, "a.b.example.com", "/"), Some(2));
    assert_eq!(get(&table, "example.com", "/"), Some(1));
    assert_eq!(get(&table, "com", "/"), Some(0));
    assert_eq!(get(&table, "", "/"), Some(0));
}

#[test]
fn a_host_is_compared_without_case_port_and_last_dot() {
    let table = Table::build(&[to(&["example.com"], "/**"), to(&["[::1]"], "/**"), to(&["10.0.0.1"], "/**")]);
    for spelling in ["example.com", "EXAMPLE.com:8080", "example.com.", "Example.Com.:80"] {
        assert_eq!(get(&table, spelling, "/"), Some(0), "{spelling}");
    }
    assert_eq!(get(&table, "[::1]", "/"), Some(1));
    assert_eq!(get(&table, "[::1]:8080", "/"), Some(1));
    assert_eq!(get(&table, "10.0.0.1:8080", "/"), Some(2));
    assert_eq!(get(&table, "notexample.com", "/"), None);
    assert_eq!(get(&table, &"a".repeat(100_000), "/"), None);
}

#[test]
fn an_exact_path_goes_before_a_prefix_and_a_longer_prefix_before_a_shorter() {
    let table = Table::build(&[to(&[], "/**"), to(&[], "/a/**"), to(&[], "/a/b/**"), to(&[], "/a/b")]);
    assert_eq!(get(&table, "", "/a/b"), Some(3));
    assert_eq!(get(&table, "", "/a/b/"), Some(2));
    assert_eq!(get(&table, "", "/a/b/c/d/e"), Some(2));
    assert_eq!(get(&table, "", "/a"), Some(1));
    assert_eq!(get(&table, "", "/a/"), Some(1));
    assert_eq!(get(&table, "", "/ab"), Some(0));
    assert_eq!(get(&table, "", "/"), Some(0));
    assert_eq!(get(&table, "", "*"), Some(0));
    assert_eq!(get(&table, "", ""), Some(0));
}

#[test]
fn a_host_without_a_matching_path_leaves_the_request_to_a_wider_one() {
    let table = Table::build(&[to(&["a.example.com"], "/a"), to(&["*.example.com"], "/b"), to(&[], "/c")]);
    assert_eq!(get(&table, "a.example.com", "/a"), Some(0));
    assert_eq!(get(&table, "a.example.com", "/b"), Some(1));
    assert_eq!(get(&table, "a.example.com", "/c"), Some(2));
    assert_eq!(get(&table, "a.example.com", "/d"), None);
}

#[test]
fn more_conditions_go_first_and_failing_ones_fall_through() {
    let with = |methods: &[Method], headers: &[HeaderMatch], pattern: &str| {
        route(Match { hosts: Vec::new(), path: path(pattern), methods: methods.to_vec(), headers: headers.to_vec() })
    };
    let table = Table::build(&[
        with(&[], &[], "/a"),
        with(&[Method::POST], &[], "/a"),
        with(&[Method::POST], &[wanted("x-a", Some("1"))], "/a"),
        with(&[], &[wanted("x-b", None)], "/a"),
        with(&[Method::DELETE], &[], "/b"),
        with(&[], &[], "/**"),
    ]);
    let find = |method: Method, fields: &[(&'static str, &'static str)], path: &str| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        table.find("", path, &method, &headers)
    };
    assert_eq!(find(Method::GET, &[], "/a"), Some(0));
    assert_eq!(find(Method::POST, &[], "/a"), Some(1));
    assert_eq!(find(Method::POST, &[("x-a", "0"), ("x-a", "1")], "/a"), Some(2));
    assert_eq!(find(Method::POST, &[("x-a", "2")], "/a"), Some(1));
    assert_eq!(find(Method::GET, &[("x-b", "")], "/a"), Some(3));
    assert_eq!(find(Method::GET, &[], "/b"), Some(5));
}

#[test]
fn spellings_of_one_path_do_not_reach_different_routes() {
    let table = Table::build(&[to(&[], "/admin/**"), to(&[], "/**")]);
    let find = |path: &str| {
        let (parts, ()) = Request::builder().uri(path).body(()).expect("a request").into_parts();
        table.find_request(&parts)
    };
    for spelling in ["/admin", "/admin/", "/%61dmin/x", "//admin/x", "/admin//x", "/%61%64min?a=/../b", "/admin/..."] {
        assert_eq!(find(spelling), Ok(Some(0)), "{spelling}");
    }
    for spelling in ["/Admin", "/x%2Fadmin", "/administrator", "/.well-known/x", "/a..b", "/%zz", "/%2", "/%"] {
        assert_eq!(find(spelling), Ok(Some(1)), "{spelling}");
    }
    for spelling in [
        "/x/../admin",
        "/./admin",
        "/x/%2e%2E/admin",
        "/x/.%2e",
        "/..",
        "/x%2f..%2fadmin",
        "/x/..%5cadmin",
        "/x\\..\\a",
        "/x/..;a=b/admin",
    ] {
        assert_eq!(find(spelling), Err(Ambiguous), "{spelling}");
    }
}

#[test]
fn the_target_goes_before_the_host_field() {
    let table = Table::build(&[to(&["a"], "/**"), to(&["b"], "/**")]);
    let find =
        |request: http::request::Builder| table.find_request(&request.body(()).expect("a request").into_parts().0);
    assert_eq!(find(Request::builder().uri("/").header(HOST, "b:80")), Ok(Some(1)));
    assert_eq!(find(Request::builder().uri("http://a:80/").header(HOST, "b")), Ok(Some(0)));
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap_or_default()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

const HOSTS: [&str; 6] = ["a.test", "b.a.test", "c.b.a.test", "*.test", "*.a.test", "*.b.a.test"];
const PATHS: [&str; 9] = ["/**", "/a/**", "/a/b/**", "/a/b/c/**", "/b/**", "/a", "/a/b", "/", "/a/"];
const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::PUT];

fn any_route(numbers: &mut Numbers) -> Route {
    let hosts: Vec<&str> = (0..numbers.below(3)).map(|_| numbers.pick(&HOSTS)).collect();
    let mut route = to(&hosts, numbers.pick(&PATHS));
    route.matches.methods = METHODS.iter().filter(|_| numbers.below(4) == 0).cloned().collect();
    let headers = [("x-a", Some("1")), ("x-a", None), ("x-b", Some("1"))];
    let headers = headers.iter().filter(|_| numbers.below(4) == 0).map(|(name, value)| wanted(name, *value));
    route.matches.headers = headers.collect();
    route
}

/// How specific a route is for a request; nothing when it does not take it. Written from the documentation.
fn rank(matches: &Match, host: &str, path: &str, method: &Method, headers: &HeaderMap) -> Option<[usize; 4]> {
    let host_rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
        HostPattern::Suffix(suffix) => host.strip_suffix(suffix)?.ends_with('.').then_some(suffix.len()),
    };
    let host_rank = match matches.hosts.is_empty() {
        true => 0,
        false => matches.hosts.iter().filter_map(host_rank).max()?,
    };
    let path_rank = match &matches.path {
        PathPattern::Exact(exact) => (exact == path).then_some(usize::MAX)?,
        PathPattern::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())?
        }
    };
    let method_holds = matches.methods.is_empty() || matches.methods.contains(method);
    let holds = |wanted: &HeaderMatch| match &wanted.value {
        Some(value) => headers.get(&wanted.name) == Some(value),
        None => headers.get(&wanted.name).is_some(),
    };
    let conditions = usize::from(!matches.methods.is_empty()) + matches.headers.len();
    (method_holds && matches.headers.iter().all(holds)).then_some([host_rank, path_rank, conditions, 0])
}

#[test]
fn the_table_finds_what_the_documented_order_says() {
    let mut numbers = Numbers(7);
    for _ in 0..300 {
        let routes: Vec<Route> = (0..numbers.below(30)).map(|_| any_route(&mut numbers)).collect();
        let table = Table::build(&routes);
        for _ in 0..100 {
            let host = numbers.pick(&["a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "test", "x"]);
            let path = numbers.pick(&["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c/d", "/ab", "/b/x", "/c"]);
            let method = &METHODS[numbers.below(3)];
            let mut headers = HeaderMap::new();
            for name in ["x-a", "x-b"] {
                if numbers.below(2) == 0 {
                    headers.insert(name, HeaderValue::from_static(numbers.pick(&["1", "2"])));
                }
            }
            let ranked = routes.iter().enumerate().filter_map(|(index, route)| {
                let mut rank = rank(&route.matches, host, path, method, &headers)?;
                rank[3] = usize::MAX - index;
                Some((rank, index))
            });
            let expected = ranked.max().map(|(_, index)| index);
            let found = table.find(host, path, method, &headers);
            assert_eq!(found, expected, "{host} {path} {method} {headers:?} in {routes:#?}");
        }
    }
}
