//! The life of instances: who is used again, how many there are, when they end, and how code is swapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::Response;
use tokio::sync::Semaphore;

use super::{BOTH, start, yaml};
use crate::harness::{Gofe, KeepAlive, Upstream, Wire, check, full, get, guest};

/// The numbers that an instance's requests have, for ten requests on one worker.
fn counts(name: &str, keys: &str) -> Vec<usize> {
    let gofe = start_on_one_worker(name, keys);
    (0..10).map(|_| get(gofe.address, "/count", &[]).body.parse().unwrap()).collect()
}

fn start_on_one_worker(name: &str, keys: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest(name), folder.path().join("c.wasm")).unwrap();
    Gofe::start_in(folder, &format!("workers: 1\n{}", yaml(keys, "")))
}

#[test]
fn instances_are_used_again_as_the_file_says() {
    // Components of 0.2 may count on an instance for each request, so that is the default.
    assert_eq!(counts("wasi-http", ""), [1; 10]);
    assert_eq!(counts("wasi-http", "reuse: { requests: 3 }"), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(counts("wasi-service", ""), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(counts("wasi-service", "reuse: { requests: 1 }"), [1; 10]);
}

#[test]
fn an_instance_of_0_3_serves_requests_at_a_time() {
    let gate = Arc::new(Semaphore::new(0));
    let seen = Arc::new(AtomicUsize::new(0));
    let (permits, counted) = (gate.clone(), seen.clone());
    let slow = Upstream::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    });
    for (concurrency, most) in [(4, "4"), (1, "1")] {
        seen.store(0, Ordering::SeqCst);
        let keys = format!("allow: {{ http: [\"{}\"] }}, reuse: {{ concurrency: {concurrency} }}", slow.address);
        let gofe = start_on_one_worker("wasi-service", &keys);
        let url = format!("http://{}/", slow.address);
        let clients: Vec<Wire> = (1..=4)
            .map(|number| {
                let mut wire = Wire::connect(gofe.address);
                wire.send(format!("GET /together HTTP/1.1\r\nhost: test\r\nx-url: {url}\r\n\r\n"));
                // While an instance does not wait, another is made.
                while seen.load(Ordering::SeqCst) < number {
                    std::thread::yield_now();
                }
                wire
            })
            .collect();
        gate.add_permits(4);
        for mut client in clients {
            client.until("200 at last");
        }
        // With one at a time there were four instances, each of which had one.
        let counted = get(gofe.address, "/most", &[]).body;
        assert_eq!(counted, most);
    }
}

#[test]
fn there_are_as_many_instances_as_the_file_says_and_no_more() {
    for name in BOTH {
        let gofe = start_on_one_worker(name, "limits: { instances: 1 }, reuse: { requests: 1 }");
        let mut wire = Wire::connect(gofe.address);
        wire.send("GET /sleep HTTP/1.1\r\nhost: test\r\n\r\n");
        gofe.logged("sleeps");
        assert_eq!(get(gofe.address, "/hello", &[]).status, 503, "{name}");
        gofe.logged("component-unavailable");
        // An instance whose client went away ends, whatever it waits for.
        drop(wire);
        gofe.counts("gofe_plugin_instances{plugin=\"upstream/c\"}", 0);
        assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name}");
    }
}

// covers wasi:http: wasi:clocks.monotonic-clock
#[test]
fn a_request_that_is_late_ends_its_instance() {
    for name in BOTH {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(guest(name), folder.path().join("c.wasm")).unwrap();
        let gofe = Gofe::start_in(
            folder,
            "routes: [{ name: r, upstream: c }]\n\
             upstreams: { c: { component: file:c.wasm, response-timeout: 100ms } }\n",
        );
        assert_eq!(get(gofe.address, "/sleep", &[]).status, 504, "{name}");
        gofe.counts("gofe_plugin_instances{plugin=\"upstream/c\"}", 0);
    }
}

#[test]
fn instances_without_requests_end() {
    for name in BOTH {
        let gofe = start_on_one_worker(name, "reuse: { requests: 100, idle-timeout: 10ms }");
        assert_eq!(get(gofe.address, "/count", &[]).body, "1");
        gofe.counts("gofe_plugin_instances{plugin=\"upstream/c\"}", 0);
        assert_eq!(get(gofe.address, "/count", &[]).body, "1", "{name}");
    }
}

// covers wasi:http: wasi:clocks.monotonic-clock
#[test]
fn a_guest_may_go_on_after_its_answer() {
    let gofe = start("wasi-http", "");
    assert_eq!(get(gofe.address, "/afterwards", &[]).body, "answered");
    gofe.logged("\"afterwards\"");
}

#[test]
fn components_are_swapped_under_load_and_no_request_fails() {
    let gofe = Arc::new(start("wasi-http", "reuse: { requests: 10 }"));
    let over = Arc::new(AtomicBool::new(false));
    let file = gofe.folder().join("c.wasm");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (over, address) = (over.clone(), gofe.address);
            std::thread::spawn(move || {
                let mut client = KeepAlive::connect(address);
                let (mut old, mut new) = (0, 0);
                while !over.load(Ordering::SeqCst) {
                    let answer = client.get("/hello", &[]);
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    match &*answer.body {
                        "hello from 0.2\n" => old += 1,
                        "hello from 0.3\n" => new += 1,
                        other => panic!("{other}"),
                    }
                }
                (old, new)
            })
        })
        .collect();
    // From 0.2 to 0.3 and back, again and again; each time somebody has seen the new one.
    let mut client = KeepAlive::connect(gofe.address);
    for turn in 0..6 {
        let (name, says) = [("wasi-service", "hello from 0.3\n"), ("wasi-http", "hello from 0.2\n")][turn % 2];
        let next = file.with_extension("new");
        std::fs::copy(guest(name), &next).unwrap();
        std::fs::rename(&next, &file).unwrap();
        while client.get("/hello", &[]).body != says {}
    }
    over.store(true, Ordering::SeqCst);
    let seen: Vec<(usize, usize)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(seen.iter().all(|(old, new)| *old > 0 && *new > 0), "{seen:?}");
}

#[test]
fn a_new_version_that_does_not_start_changes_nothing() {
    let gofe = start("wasi-http", "");
    let file = gofe.folder().join("c.wasm");
    std::fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    let answer = gofe.tell("/reload");
    assert!(answer.status >= 400 && answer.body.contains("component"), "{}", answer.body);
    assert_eq!(get(gofe.address, "/hello", &[]).body, "hello from 0.2\n");
}

#[test]
fn mistakes_with_components_are_shown_at_their_place() {
    let file = |name: &str| guest(name).display().to_string();
    let yaml = |component: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nroutes: [{{ upstream: c }}]\n\
             upstreams:\n  c: {{ component: {component} }}\n"
        )
    };
    let (old, middleware, module) = (file("wasi-http"), file("wasi-middleware"), file("http-wasm"));
    let cases = [
        ("file:nowhere.wasm".to_owned(), "cannot be read"),
        (format!("\"file:{module}\""), "an upstream's component is one of wasi:http"),
        (format!("\"file:{middleware}\""), "it hands requests on, so it is a plugin and no upstream"),
        (
            format!("{{ source: \"file:{old}\", reuse: {{ concurrency: 2 }} }}"),
            "has no effect on a component of wasi:http 0.2",
        ),
        (format!("{{ source: \"file:{old}\", digest: \"sha256:{}\" }}", "0".repeat(64)), "has the digest"),
        (format!("{{ source: \"file:{old}\", limits: {{ memory: 64KiB }} }}"), "memory"),
    ];
    for (component, message) in cases {
        let found = check(&yaml(&component));
        assert!(!found.status.success() && found.stderr.contains(message), "{component}: {}", found.stderr);
        assert!(found.stderr.contains("gofe.yaml:4:"), "{component}: {}", found.stderr);
    }
    // One that answers by itself is no step of a chain.
    let found = check(&format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nplugins: {{ p: {{ source: \"file:{old}\" }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ chain: c, respond: {{ status: 200 }} }}]\n"
    ));
    assert!(found.stderr.contains("name it as `component` of an upstream"), "{}", found.stderr);
}
