//! Balancing as clients see it.

use super::*;

const ROUTES: &str = "routes: [{ upstream: u }]\n";

fn start(balance: &str, upstreams: &[&Upstream]) -> Gofe {
    let list: Vec<_> = upstreams.iter().map(|upstream| format!("'{}'", upstream.address)).collect();
    Gofe::start(&format!(
        "workers: 1\n{ROUTES}upstreams: {{ u: {{ endpoints: [{}], balance: {balance} }} }}\n",
        list.join(", ")
    ))
}

#[test]
fn weights_are_heeded_turn_by_turn() {
    let (a, b) = (named("a"), named("b"));
    let gofe = Gofe::start(&format!(
        "workers: 1\n{ROUTES}upstreams: {{ u: {{ endpoints: [{{ address: '{}', weight: 3 }}, '{}'] }} }}\n",
        a.address, b.address
    ));
    let answers = answers(&gofe, 8, "/", &[]);
    assert_eq!(shares(answers.clone())["a"], 6);
    assert!(!answers.concat().contains("bb"), "{answers:?}");
    let shown = endpoints(&gofe);
    assert_eq!(
        (&shown[0]["weight"], &shown[0]["total"], &shown[0]["health"]),
        (&3.into(), &6.into(), &"healthy".into())
    );
}

#[test]
fn every_policy_serves_from_all_endpoints() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    for policy in ["random", "least-request", "peak-ewma", "round-robin"] {
        let gofe = start(policy, &[&a, &b, &c]);
        let shares = shares(answers(&gofe, 90, "/", &[]));
        assert_eq!(shares.values().sum::<usize>(), 90);
        assert!(shares.len() == 3, "{policy}: {shares:?}");
        assert_eq!(gofe.ask("/upstreams").json()[0]["balance"], policy);
    }
}

#[test]
fn a_key_stays_with_its_endpoint() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    for policy in ["ring-hash", "maglev"] {
        let gofe = start(&format!("{{ policy: {policy}, key: {{ header: x-user }} }}"), &[&a, &b, &c]);
        let mut seen = Vec::new();
        for user in 0..20 {
            let shares = shares(answers(&gofe, 3, "/", &[("x-user", &user.to_string())]));
            assert_eq!(shares.len(), 1, "{policy}: {shares:?}");
            seen.extend(shares.into_keys());
        }
        assert_eq!(shares(seen).len(), 3);
        // Without a key any endpoint will do.
        assert!(shares(answers(&gofe, 60, "/", &[])).len() > 1);
    }
}

#[test]
fn a_key_moves_to_another_endpoint_when_its_own_is_lost() {
    let (a, b) = (named("a"), named("b"));
    let gofe = start("{ policy: maglev, key: { query: id } }", &[&a, &b]);
    let path = (0..).map(|id| format!("/?id={id}")).find(|path| answers(&gofe, 1, path, &[]) == ["a"]).unwrap();
    drop(a);
    // The end of the server's thread closes its socket; until then it may still answer.
    while answers(&gofe, 1, &path, &[]) != ["b"] {}
    assert_eq!(shares(answers(&gofe, 5, &path, &[]))["b"], 5);
}

#[test]
fn a_client_gets_a_cookie_and_stays() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let cookie = "{ policy: ring-hash, key: { cookie: { name: server, max-age: 1h, same-site: lax } } }";
    let gofe = start(cookie, &[&a, &b, &c]);
    let mut seen = Vec::new();
    for _ in 0..20 {
        let first = KeepAlive::connect(gofe.address).get("/", &[]);
        let set = first.header("set-cookie").unwrap().to_owned();
        assert!(set.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"), "{set}");
        let pair = set.split(';').next().unwrap();
        let again = KeepAlive::connect(gofe.address).get("/", &[("cookie", pair)]);
        assert_eq!((again.body.as_str(), again.header("set-cookie")), (first.body.as_str(), None));
        seen.push(first.body);
    }
    assert!(shares(seen).len() > 1);
}

#[test]
fn the_own_zone_goes_first_and_spills_over() {
    let (here, there) = (named("here"), named("there"));
    let sick = failing(500);
    let yaml = |health: &str| {
        format!(
            "workers: 1\nzone: a\n{ROUTES}upstreams:\n  u:\n    balance: {{ prefer-zone: true }}\n    endpoints:\n\
             \x20     - {{ address: '{}', labels: {{ zone: a }} }}\n      - {{ address: '{}', labels: {{ zone: a }} }}\n\
             \x20     - {{ address: '{}', labels: {{ zone: b }} }}\n{health}",
            here.address, sick.address, there.address
        )
    };
    let gofe = Gofe::start(&yaml(""));
    let without = shares(answers(&gofe, 20, "/", &[]));
    assert_eq!(without, BTreeMap::from([("here".to_owned(), 10), ("failed".to_owned(), 10)]));
    // Half of the zone bears 70 % of its requests; the rest goes to the other zone.
    let gofe = Gofe::start(&yaml("    health: { http: /, interval: 20ms, unhealthy-after: 1 }\n"));
    gofe.logged("an endpoint is unhealthy");
    let with = shares(answers(&gofe, 200, "/", &[]));
    assert!(with["here"] > 100 && with["there"] > 20 && !with.contains_key("failed"), "{with:?}");
}

#[test]
fn a_spare_endpoint_waits_for_its_time() {
    let (first, spare) = (failing(503), named("spare"));
    let gofe = Gofe::start(&format!(
        "{ROUTES}upstreams:\n  u:\n    endpoints: ['{}', {{ address: '{}', priority: 1 }}]\n    \
         health: {{ http: {{ path: /, status: [200] }}, interval: 20ms, unhealthy-after: 2 }}\n",
        first.address, spare.address
    ));
    gofe.logged("an endpoint is unhealthy");
    assert_eq!(shares(answers(&gofe, 10, "/", &[]))["spare"], 10);
}
