//! What other proxies got wrong in the field, one test for each report in the design's table.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::Response;
use tempfile::TempDir;

use crate::harness::{Gofe, KeepAlive, Upstream, check, full, get, guest, post, refused_start};

/// A folder with the guest plugins of these names.
fn folder_with(guests: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in guests {
        std::fs::copy(guest(name), folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    folder
}

/// gofe with `misbehave` under this policy, in front of an upstream that says `hello`; one worker.
fn misbehaving(settings: &str) -> (Gofe, Upstream) {
    // It reads the whole body before it answers.
    let upstream = Upstream::start(|request| async {
        let _ = request.into_body().collect().await;
        Response::new(full("hello"))
    });
    let yaml = format!(
        "workers: 1\nplugins: {{ m: {{ source: file:misbehave.wasm, {settings} }} }}\nchains: {{ c: [m] }}\n\
         routes: [{{ name: r, chain: c, upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    );
    (Gofe::start_in(folder_with(&["misbehave"]), &yaml), upstream)
}

const WAYS: [(&str, &str); 4] = [("trap", "trap"), ("loop", "deadline"), ("memory", "memory"), ("fail", "failed")];

fn faults(gofe: &Gofe, kind: &str) -> u64 {
    let metrics = gofe.ask("/metrics").body;
    let wanted = format!("kind=\"{kind}\"");
    let line = metrics.lines().find(|line| line.starts_with("gofe_plugin_faults_total{") && line.contains(&wanted));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0)
}

#[test]
fn istio_38313_no_answer_comes_before_the_plugin_is_ready() {
    // `gofe serves` is only said when every plugin has been compiled, instantiated and configured; a request that comes
    // with the very first connection, and every one while plugins are added, has its plugin.
    let upstream = Upstream::text("hello");
    let yaml = |plugins: usize| {
        let names: Vec<String> = (0..plugins).map(|number| format!("p{number}")).collect();
        let entries: String = names.iter().map(|name| format!("  {name}: {{ source: file:version.wasm }}\n")).collect();
        format!(
            "plugins:\n{entries}chains: {{ c: [{}] }}\nroutes: [{{ chain: c, upstream: up }}]\n\
             upstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
            names.join(", "),
            upstream.address
        )
    };
    let gofe = Gofe::start_in(folder_with(&["version"]), &yaml(1));
    let mut client = KeepAlive::connect(gofe.address);
    for plugins in 1..10 {
        gofe.write(&yaml(plugins));
        while gofe.ask("/plugins").json().as_array().unwrap().len() != plugins {
            let answer = client.get("/", &[]);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("x-version"), Some("version-00000000"));
        }
    }
}

// istio#33091, a crash when a module is upgraded under load, and traefik#11151 and #13235, memory that grows with every
// reload, are in `swap`: a thousand swaps and two thousand reloads.

#[test]
fn envoy_16726_a_trap_costs_one_request_and_its_instance_only() {
    for (way, kind) in WAYS {
        let (gofe, _upstream) = misbehaving("on-error: fail-closed, limits: { time: 500ms }");
        let mut client = KeepAlive::connect(gofe.address);
        for phase in ["request-headers", "response-headers"] {
            let answer = client.get("/", &[("x-misbehave", &format!("{phase}={way}"))]);
            assert_eq!(answer.status, 500, "{phase}={way}");
            assert!(!answer.body.contains("asked"), "{}", answer.body);
            for _ in 0..20 {
                let answer = client.get("/", &[]);
                assert_eq!((answer.status, &*answer.body), (200, "hello"), "after {phase}={way}");
            }
            let line = gofe.logged(&format!("\"phase\":\"{phase}\""));
            for part in ["\"plugin\":\"m\"", "\"route\":\"r\"", &format!("\"kind\":\"{kind}\"")] {
                assert!(line.contains(part), "{part} is not in {line}");
            }
        }
        assert_eq!(faults(&gofe, kind), 2, "{}", gofe.ask("/metrics").body);
        let plugin = &gofe.ask("/plugins").json()[0];
        assert_eq!(plugin["faults"][kind], 2, "{plugin}");
    }
}

#[test]
fn a_plugin_that_writes_fields_without_end_costs_one_request_and_not_its_worker() {
    let (gofe, _upstream) = misbehaving("limits: { time: 10s }");
    let mut client = KeepAlive::connect(gofe.address);
    for wanted in ["request-headers=fields", "response-headers=fields", "response-headers=each-field"] {
        let answer = client.get("/", &[("x-misbehave", wanted)]);
        assert_eq!(answer.status, 500, "{wanted}");
        assert!(gofe.logged("no room for more header fields").contains("plugin failed"));
        assert_eq!(client.get("/", &[]).body, "hello", "after {wanted}");
    }
    assert_eq!(faults(&gofe, "failed"), 3);
    // A list whose values are all in one place of its memory.
    assert_eq!(client.get("/", &[("x-misbehave", "request-headers=overlapping")]).status, 500);
    gofe.logged("a list has more in it than the guest has memory");
    assert_eq!(client.get("/", &[]).body, "hello");
}

#[test]
fn envoy_33600_fail_open_goes_on_without_the_plugin() {
    for (way, kind) in WAYS {
        let (gofe, _upstream) = misbehaving("on-error: fail-open, limits: { time: 500ms }");
        let mut client = KeepAlive::connect(gofe.address);
        let answer = client.get("/", &[("x-misbehave", &format!("request-headers={way}"))]);
        assert_eq!((answer.status, &*answer.body), (200, "hello"), "{way}");
        assert_eq!(answer.header("x-misbehave-saw"), None, "the rest of that request goes without the plugin");
        let answer = client.get("/", &[("x-misbehave", &format!("complete={way}"))]);
        assert_eq!((answer.status, &*answer.body), (200, "hello"), "{way}");
        let answer = client.get("/", &[]);
        assert_eq!(answer.header("x-misbehave-saw"), Some("response-headers"), "the next has it again");
        assert!(faults(&gofe, kind) >= 1);
    }
}

#[test]
fn envoy_33600_a_fault_in_a_body_phase_is_never_a_short_body_that_looks_whole() {
    for (way, _) in WAYS {
        let (gofe, _upstream) = misbehaving("on-error: fail-closed, limits: { time: 500ms }");
        let answer = post(gofe.address, "/", &[("x-misbehave", &format!("request-body={way}"))], "some body");
        assert_eq!(answer.status, 500, "{way}");
        let wanted = format!("response-body={way}");
        let answer = KeepAlive::connect(gofe.address).request("GET", "/", &[("x-misbehave", &wanted)]);
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 500), "{way}: {answer:?}");
        assert_eq!(get(gofe.address, "/", &[]).body, "hello");
    }
}

#[test]
fn envoy_14126_an_infinite_loop_does_not_hold_up_its_worker() {
    let (gofe, _upstream) = misbehaving("limits: { time: 3s }");
    let mut looping = KeepAlive::connect(gofe.address);
    looping.send("GET /loop HTTP/1.1\r\nhost: test\r\nx-misbehave: request-headers=loop\r\n\r\n");
    let active = || {
        let metrics = gofe.ask("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("gofe_requests_active{route=\"r\"")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    while active() < 1.0 {}
    // The one worker is in the loop, and serves others all the same.
    let mut others = KeepAlive::connect(gofe.address);
    for _ in 0..50 {
        assert_eq!(others.get("/", &[]).status, 200);
    }
    assert_eq!(faults(&gofe, "deadline"), 0, "the loop still runs");
    assert_eq!(looping.answer().unwrap().status, 500);
    assert_eq!(faults(&gofe, "deadline"), 1);
    assert_eq!(others.get("/", &[]).status, 200);
}

#[test]
fn envoy_39395_a_plugin_that_takes_all_memory_gets_no_more_than_its_cap() {
    let (gofe, _upstream) = misbehaving("limits: { memory: 32MiB, time: 2s }");
    let mut client = KeepAlive::connect(gofe.address);
    assert_eq!(client.get("/", &[]).status, 200);
    for _ in 0..20 {
        assert_eq!(client.get("/", &[("x-misbehave", "request-headers=memory")]).status, 500);
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert_eq!(faults(&gofe, "memory"), 20);
    assert!(gofe.resident() < 512 << 10, "{} KiB", gofe.resident());
    let plugin = &gofe.ask("/plugins").json()[0];
    assert!(plugin["memory_bytes"].as_u64().unwrap() <= 32 << 20, "{plugin}");
}

/// Two routes: `/bad` with a plugin, `/good` without.
fn two_routes(plugin: &str) -> String {
    format!(
        "plugins: {{ m: {{ {plugin} }} }}\nchains: {{ c: [m] }}\nroutes:\n\
         \x20 - {{ match: {{ path: /bad }}, chain: c, respond: {{ status: 200, body: bad }} }}\n\
         \x20 - {{ match: {{ path: /good }}, respond: {{ status: 200, body: good }} }}\n"
    )
}

#[test]
fn istio_53279_a_fail_open_plugin_that_cannot_load_does_not_block_the_start() {
    let folder = folder_with(&[]);
    std::fs::write(folder.path().join("text.wasm"), "not WebAssembly").unwrap();
    std::fs::write(folder.path().join("empty.wasm"), "").unwrap();
    for file in ["missing.wasm", "text.wasm", "empty.wasm"] {
        let other = folder_with(&[]);
        if let Ok(bytes) = std::fs::read(folder.path().join(file)) {
            std::fs::write(other.path().join(file), bytes).unwrap();
        }
        let gofe = Gofe::start_in(other, &two_routes(&format!("source: file:{file}, on-error: fail-open")));
        assert_eq!(get(gofe.address, "/bad", &[]).body, "bad", "{file}");
        assert_eq!(get(gofe.address, "/good", &[]).body, "good", "{file}");
        let plugin = &gofe.ask("/plugins").json()[0];
        assert_eq!(plugin["state"], "failed", "{plugin}");
        // And it serves when its file is there.
        std::fs::copy(guest("version"), gofe.folder().join(file)).unwrap();
        while get(gofe.address, "/bad", &[]).header("x-version").is_none() {}
    }
}

#[test]
fn higress_4233_a_plugin_that_fails_in_configure_takes_no_other_route_down() {
    for (way, policy, status) in [
        ("trap", "fail-closed", 500),
        ("loop", "fail-closed", 500),
        ("memory", "fail-open", 200),
        ("trap", "fail-open", 200),
    ] {
        let plugin = format!("source: file:misbehave.wasm, on-error: {policy}, config: {{ configure: {way} }}");
        let gofe = Gofe::start_in(folder_with(&["misbehave"]), &two_routes(&plugin));
        assert_eq!(get(gofe.address, "/bad", &[]).status, status, "{way} {policy}");
        assert_eq!(get(gofe.address, "/good", &[]).body, "good");
        gofe.logged("is not loaded");
        // A new configuration of that plugin serves again.
        gofe.write(&two_routes("source: file:misbehave.wasm"));
        while get(gofe.address, "/bad", &[]).header("x-misbehave-saw").is_none() {}
        // A new one that fails leaves the running one.
        gofe.write(&two_routes(&plugin));
        gofe.logged("the running version stays");
        assert!(get(gofe.address, "/bad", &[]).header("x-misbehave-saw").is_some());
        assert_eq!(get(gofe.address, "/good", &[]).body, "good");
    }
}

/// What is wrong with a plugin's file, and what the diagnostic says at which place.
fn bad_plugins(folder: &Path) -> Vec<(&'static str, &'static str, &'static str)> {
    std::fs::write(folder.join("empty.wasm"), "").unwrap();
    std::fs::write(folder.join("text.wasm"), "hello, world").unwrap();
    std::fs::write(folder.join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(folder.join("component.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let mut cut = std::fs::read(guest("version")).unwrap();
    cut.truncate(cut.len() / 2);
    std::fs::write(folder.join("cut.wasm"), cut).unwrap();
    vec![
        ("source: file:missing.wasm", "plugins.m.source", "cannot be read"),
        ("source: file:empty.wasm", "plugins.m.source", "the file is empty"),
        ("source: file:text.wasm", "plugins.m.source", "this is not WebAssembly"),
        ("source: file:module.wasm", "plugins.m.source", "not a gofe plugin"),
        ("source: file:component.wasm", "plugins.m.source", "does not export gofe:plugin/lifecycle"),
        ("source: file:cut.wasm", "plugins.m.source", ""),
        (
            "source: std:api-key, digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "plugins.m.digest",
            "has the digest sha256:",
        ),
    ]
}

#[test]
fn istio_53279_a_fail_closed_plugin_that_cannot_load_refuses_the_start_with_its_place() {
    let folder = folder_with(&[]);
    for (plugin, at, says) in bad_plugins(folder.path()) {
        let refused = refused_start(folder.path(), &two_routes(plugin));
        assert_eq!(refused.status.code(), Some(1), "{plugin}: {}", refused.stderr);
        let place = refused.stderr.lines().find(|line| line.contains("gofe.yaml:")).unwrap_or_default();
        assert!(place.contains("gofe.yaml:5:") && place.contains(at), "{plugin}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{plugin}: {}", refused.stderr);
    }
}

#[test]
fn istio_53279_a_plugin_that_cannot_load_leaves_what_runs_at_a_reload() {
    let good = two_routes("source: std:api-key, config: { keys: { secret: alice } }");
    let gofe = Gofe::start(&good);
    for (plugin, at, says) in bad_plugins(gofe.folder()) {
        gofe.write(&two_routes(plugin));
        let answer = gofe.tell("/reload");
        assert_eq!(answer.status, 422, "{plugin}: {}", answer.body);
        assert!(answer.body.contains(at) && answer.body.contains(says), "{plugin}: {}", answer.body);
        assert_eq!(get(gofe.address, "/bad", &[]).status, 401);
        assert_eq!(get(gofe.address, "/bad", &[("x-api-key", "secret")]).body, "bad");
        assert_eq!(get(gofe.address, "/good", &[]).body, "good");
    }
    assert!(
        gofe.ask("/metrics")
            .body
            .lines()
            .any(|line| line.starts_with("gofe_reloads_total{") && line.contains("failed"))
    );
}

#[test]
fn traefik_10953_state_is_the_hosts_and_not_an_instances() {
    // The upstream answers in pairs, so that requests are in progress together and their phases mix.
    let together = Arc::new(tokio::sync::Barrier::new(2));
    let upstream = Upstream::start(move |_| {
        let together = together.clone();
        async move {
            together.wait().await;
            Response::new(full("hello"))
        }
    });
    let yaml = format!(
        "plugins: {{ p: {{ source: file:probe.wasm }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ chain: c, upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    );
    let gofe = Gofe::start_in(folder_with(&["probe"]), &yaml);
    let address = gofe.address;
    let client = |client: usize| {
        std::thread::spawn(move || {
            let mut connection = KeepAlive::connect(address);
            let mut counts = Vec::new();
            for number in 0..50 {
                let id = format!("{client}-{number}");
                let answer = connection.get("/", &[("x-id", &id)]);
                assert_eq!(answer.header("x-id"), Some(&*id), "{}", answer.head);
                let count = connection.get("/", &[("x-probe", "limiter add all 1")]).body;
                counts.push(count.parse::<u64>().unwrap());
            }
            counts
        })
    };
    let clients: Vec<_> = (0..2).map(client).collect();
    let mut counts: Vec<u64> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=100).collect::<Vec<_>>(), "every worker and instance counts on the same counter");
}

#[test]
fn spec_63_nothing_reaches_the_upstream_before_the_body_is_judged() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let upstream = Upstream::start(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(http_body_util::Full::new(body).map_err(|never| match never {}).boxed())
        }
    });
    let yaml = format!(
        "workers: 1\nplugins: {{ m: {{ source: file:misbehave.wasm, config: {{ buffer: true }} }} }}\nchains: {{ c: [m] }}\n\
         routes: [{{ chain: c, upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    );
    let gofe = Gofe::start_in(folder_with(&["misbehave"]), &yaml);
    let mut client = KeepAlive::connect(gofe.address);
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 18\r\n\r\nwhat is ");
    // Another request goes through while the body of the first is not there.
    assert_eq!(post(gofe.address, "/", &[], "fine").body, "fine");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    client.send(" forbidden");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, &*answer.body), (403, "a forbidden body"));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn zentinel_93_what_is_not_supported_is_an_error_and_says_where() {
    for (yaml, says) in [
        ("routes: [{ respond: { status: 200 }, retry: { attempts: 3 } }]\n", "retry"),
        ("routes: [{ respond: { status: 200 }, timout: 1s }]\n", "timeout"),
        (
            "plugins: { k: { source: std:api-key, config: { kyes: { a: b } } } }\nchains: { c: [k] }\n\
          routes: [{ chain: c, respond: { status: 200 } }]\n",
            "keys",
        ),
        (
            "plugins: { k: { source: std:api-key, allow: { files: [/tmp] } } }\nchains: { c: [k] }\n\
          routes: [{ chain: c, respond: { status: 200 } }]\n",
            "files",
        ),
        ("upstreams: { u: { endpoints: ['127.0.0.1:1'], balance: fastest } }\nroutes: [{ upstream: u }]\n", "balance"),
    ] {
        let yaml = format!("listeners: [{{ address: '127.0.0.1:0' }}]\n{yaml}");
        let checked = check(&yaml);
        assert_eq!(checked.status.code(), Some(1), "{yaml}{}{}", checked.stdout, checked.stderr);
        let text = format!("{}{}", checked.stdout, checked.stderr);
        assert!(text.contains("gofe.yaml:") && text.contains(says), "{yaml}: {text}");
    }
}
