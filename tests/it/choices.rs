//! How a request is sent, where a plugin chooses.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::channel;

use hyper::Response;
use tokio::sync::Semaphore;

use crate::harness::{Answer, Gofe, Upstream, full, get, guest, nobody, request};

/// gofe with the guest `probe` in front of an upstream `u`; more keys of the route, and those of the upstream.
fn start(route: &str, upstream: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("probe"), folder.path().join("probe.wasm")).unwrap();
    let yaml = format!(
        "workers: 1\nplugins: {{ p: {{ source: file:probe.wasm }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ chain: c, upstream: u{route} }}]\nupstreams: {{ u: {{ {upstream} }} }}\n"
    );
    Gofe::start_in(folder, &yaml)
}

/// A request for which the guest makes these choices.
fn choosing(gofe: &Gofe, method: &str, choices: &str) -> Answer {
    request(gofe.address, method, "/", &[("x-probe", &format!("routing {choices}"))], "")
}

/// Whether the guest says that a choice is none.
fn is_refused(answer: &Answer) -> bool {
    answer.body.contains("\"invalid\"")
}

fn failing() -> Upstream {
    Upstream::start(|_| async { Response::builder().status(503).body(full("")).unwrap() })
}

/// An endpoint that never answers.
fn silent() -> Upstream {
    Upstream::start(|_| pending())
}

#[test]
fn a_hash_key_keeps_requests_with_one_endpoint() {
    let endpoints = ["a", "b", "c"].map(Upstream::text);
    let list: Vec<_> = endpoints.iter().map(|endpoint| format!("'{}'", endpoint.address)).collect();
    for policy in ["ring-hash", "maglev"] {
        let balance = format!("balance: {{ policy: {policy}, key: {{ header: x-user }} }}");
        let gofe = start("", &format!("endpoints: [{}], {balance}", list.join(", ")));
        let mut seen = Vec::new();
        for key in 0..20 {
            // What the configuration hashes is another for each request.
            let choices = format!("routing hash-key {key}");
            let ask = |user: usize| get(gofe.address, "/", &[("x-probe", &choices), ("x-user", &user.to_string())]);
            let mut answers: Vec<_> = (0..4).map(|user| ask(user).body).collect();
            answers.dedup();
            assert_eq!(answers.len(), 1, "{policy}: {answers:?}");
            seen.extend(answers);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, ["a", "b", "c"], "{policy}");
    }
}

#[test]
fn a_timeout_can_be_shorter_and_longer_than_the_routes() {
    let (silent, good) = (silent(), Upstream::text("good"));
    // The route would wait for an hour, which no test does.
    let gofe = start(", timeout: 1h", &format!("endpoints: ['{}']", silent.address));
    assert_eq!(choosing(&gofe, "GET", "timeout 50").status, 504);
    // A request that outlasts another, which began later and had the route's time.
    let gate = Arc::new(Semaphore::new(0));
    let (permits, (saw, seen)) = (gate.clone(), channel());
    let held = Upstream::start(move |_| {
        saw.send(()).unwrap();
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    });
    let gofe = start(", timeout: 200ms", &format!("endpoints: ['{}']", held.address));
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| choosing(&gofe, "GET", "timeout 60000"));
        seen.recv().unwrap();
        assert_eq!(get(gofe.address, "/", &[]).status, 504);
        gate.add_permits(2);
        waiting.join().unwrap()
    });
    assert_eq!((answer.status, &*answer.body), (200, "at last"));
    // A time that holds is not noticed, and one that is none is refused.
    let gofe = start("", &format!("endpoints: ['{}']", good.address));
    assert_eq!(choosing(&gofe, "GET", "timeout 50000").body, "good");
    assert!(is_refused(&choosing(&gofe, "GET", "timeout 0")));
    assert_eq!(choosing(&gofe, "GET", "timeout 86400000").body, "good");
    assert!(is_refused(&choosing(&gofe, "GET", "timeout 86400001")));
}

#[test]
fn a_retry_can_be_allowed_and_forbidden() {
    let (bad, good) = (failing(), Upstream::text("good"));
    let endpoints = format!("endpoints: ['{}', '{}'], retry-budget: {{ share: 1000% }}", bad.address, good.address);
    let statuses = |gofe: &Gofe, method, choices| {
        let mut statuses = [(); 2].map(|()| choosing(gofe, method, choices).status);
        statuses.sort_unstable();
        statuses
    };
    let gofe = start("", &format!("{endpoints}, retry: {{ on: [503], backoff: {{ base: 1ms }} }}"));
    assert_eq!(statuses(&gofe, "POST", ""), [200, 503], "a POST is not repeated");
    assert_eq!(statuses(&gofe, "POST", "retry 2 none all"), [200, 200], "the plugin allows it");
    assert_eq!(statuses(&gofe, "GET", ""), [200, 200], "the upstream repeats a GET");
    assert_eq!(statuses(&gofe, "GET", "no-retry"), [200, 503], "the plugin forbids it");
    assert_eq!(statuses(&gofe, "GET", "retry 1 none idempotent"), [200, 503], "one try is one try");
    for refused in ["retry 0 none all", "retry 11 none all", "retry 2 0 all", "retry 2 86400001 all"] {
        assert!(is_refused(&choosing(&gofe, "GET", refused)), "{refused}");
    }
}

#[test]
fn a_plugin_gives_a_route_without_retry_one() {
    let (silent, good) = (silent(), Upstream::text("good"));
    let gofe = start("", &format!("endpoints: ['{}', '{}']", silent.address, good.address));
    for _ in 0..2 {
        let answer = choosing(&gofe, "GET", "retry 2 50 idempotent");
        assert_eq!((answer.status, &*answer.body), (200, "good"));
    }
    // The budget holds whatever a plugin chooses.
    let endpoints = format!("endpoints: ['{}', '{}']", silent.address, good.address);
    let gofe = start("", &format!("{endpoints}, retry-budget: {{ share: 0%, minimum: 0 }}"));
    let mut statuses = [(); 2].map(|()| choosing(&gofe, "GET", "retry 2 50 idempotent").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
}

#[test]
fn what_the_configuration_says_can_be_read() {
    let upstream = format!("endpoints: ['{}'], retry: {{ attempts: 4 }}", nobody());
    let gofe = start(", timeout: 7s", &upstream);
    assert_eq!(
        choosing(&gofe, "GET", "read").body,
        "Some(\"u\") 7s Some(RetryPolicy { attempts: 4, per_try_timeout: None, non_idempotent: false })"
    );
    let gofe = start(", retry: { attempts: 3, per-try-timeout: 2s, non-idempotent: true }", &upstream);
    assert_eq!(
        choosing(&gofe, "GET", "read").body,
        "Some(\"u\") 60s Some(RetryPolicy { attempts: 3, per_try_timeout: Some(2s), non_idempotent: true })"
    );
    assert_eq!(choosing(&gofe, "GET", "timeout 5 no-retry upstream u read").body, "Some(\"u\") 5ms None");
}

#[test]
fn what_a_plugin_chose_holds_for_the_fallback_too() {
    let broken = failing();
    let others = ["a", "b", "c"].map(Upstream::text);
    let list: Vec<_> = others.iter().map(|endpoint| format!("'{}'", endpoint.address)).collect();
    let others =
        format!("endpoints: [{}], balance: {{ policy: maglev, key: {{ client-address: true }} }}", list.join(", "));
    let upstreams = format!("endpoints: ['{}'] }}, other: {{ {others}", broken.address);
    let gofe = start(", fallback: { statuses: [503], upstream: other }", &upstreams);
    let mut seen = std::collections::BTreeSet::new();
    for key in 0..30 {
        let answers = [(); 3].map(|()| choosing(&gofe, "GET", &format!("hash-key key{key}")).body);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        seen.insert(answers[0].clone());
    }
    assert_eq!(seen.len(), 3, "the key decides, and not the client's address: {seen:?}");
}
