//! Components of `wasi:http`, 0.2 and 0.3: as upstreams, and as steps of chains.

mod bodies;
mod languages;
mod life;
mod middleware;
mod wrong;

use hyper::Response;

use crate::harness::{Gofe, Upstream, full, get, guest, request};

/// The guests that answer requests: of 0.2 and of 0.3. Both know these paths.
const BOTH: [&str; 2] = ["wasi-http", "wasi-service"];

/// A gofe with the guest of this name as the upstream `c`, and these keys of its component.
fn start(name: &str, keys: &str) -> Gofe {
    start_with(name, keys, "")
}

/// The same with more upstreams.
fn start_with(name: &str, keys: &str, upstreams: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest(name), folder.path().join("c.wasm")).unwrap();
    Gofe::start_in(folder, &yaml(keys, upstreams))
}

fn yaml(keys: &str, upstreams: &str) -> String {
    format!(
        "routes: [{{ name: r, upstream: c }}]\n\
         upstreams:\n  c: {{ component: {{ source: file:c.wasm, {keys} }} }}\n{upstreams}"
    )
}

// covers wasi:http: incoming-handler.handle, handler.handle, types.request
#[test]
fn components_answer_requests() {
    for name in BOTH {
        let gofe = start(name, "");
        let hello = get(gofe.address, "/hello", &[]);
        assert_eq!((hello.status, hello.header("content-type")), (200, Some("text/plain")), "{name}: {}", hello.head);
        assert!(hello.body.starts_with("hello from 0."), "{name}: {}", hello.body);
        let target = get(gofe.address, "/target?a=b", &[("host", "example.com:81")]).body;
        assert_eq!(target, "GET http://example.com:81/target?a=b", "{name}");
        let head = request(gofe.address, "HEAD", "/hello", &[], "");
        assert_eq!((head.status, head.header("content-length"), &*head.body), (200, Some("15"), ""), "{name}");
        assert_eq!(get(gofe.address, "/nothing", &[]).status, 404, "{name}");
        // It is an upstream like any other to those who look at it.
        let shown = gofe.ask("/upstreams").body;
        assert!(shown.contains("\"component\""), "{shown}");
        let metrics = gofe.ask("/metrics").body;
        assert!(metrics.contains("plugin=\"upstream/c\""), "{metrics}");
        let plugins = gofe.ask("/plugins").json();
        let code = &plugins[0];
        assert_eq!(
            (&code["name"], &code["state"], &code["version"]),
            (&"upstream/c".into(), &"active".into(), &1.into())
        );
        assert!(code["abi"].as_str().unwrap().starts_with("wasi:http/"), "{code}");
        assert!(code["source"].as_str().unwrap().ends_with("c.wasm"), "{code}");
        assert!(code["digest"].as_str().unwrap().len() == 64 && code["instances"].is_number(), "{code}");
        assert!(code["calls"]["request"].as_u64() >= Some(4) && code["seconds"].as_f64() > Some(0.0), "{code}");
    }
}

// covers wasi:http: incoming-handler.handle, types.fields
#[test]
fn fields_pass_in_both_directions() {
    let gofe = start("wasi-http", "");
    let answer = get(gofe.address, "/headers", &[("x-a", "1"), ("x-a", "2"), ("y-b", "3")]);
    let values = |name: &str| {
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(values("x-a"), ["1", "2"]);
    assert_eq!(values("set-cookie"), ["a=1", "b=2"]);
    assert!(values("y-b").is_empty());
    assert_eq!(values("x-connection-refused"), ["true"]);
    // What gofe tells upstreams of the client, it tells components too.
    assert_eq!(values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(get(gofe.address, "/status", &[]).status, 418);
}

// covers wasi:http: wasi:cli.stdout, wasi:cli.environment
#[test]
fn what_components_print_is_a_log_and_their_environment_is_what_the_file_says() {
    for name in BOTH {
        let gofe = start(name, "environment: { REGION: north }");
        let said = get(gofe.address, "/environment", &[]).body;
        assert!(said.starts_with("region=north variables=1"), "{name}: {said}");
        assert!(!said.contains("file=true"), "{name}: {said}");
        assert!(gofe.logged("on stdout").contains("upstream/c"));
        assert!(gofe.logged("on stderr").contains("ERROR"));
        let bare = start(name, "");
        assert!(get(bare.address, "/environment", &[]).body.starts_with("region= variables=0"), "{name}");
    }
}

// covers wasi:http: outgoing-handler.handle, client.send
#[test]
fn requests_of_components_go_where_they_are_granted_and_nowhere_else() {
    let host = Upstream::text("a host");
    let other = Upstream::text("another");
    let named = Upstream::start(|request| async move {
        let host = request.headers().get("host").map_or("", |host| host.to_str().unwrap()).to_owned();
        let text = format!("an upstream as {host}{}", request.uri());
        Response::new(full(Box::leak(text.into_boxed_str())))
    });
    for name in BOTH {
        let upstreams = format!(
            "  named: {{ endpoints: [\"{}\"] }}\n  hidden: {{ endpoints: [\"{}\"] }}\n",
            named.address, named.address
        );
        let gofe = start_with(name, &format!("allow: {{ http: [\"{}\", named] }}", host.address), &upstreams);
        let fetch = |url: &str| get(gofe.address, "/fetch", &[("x-url", url)]).body;
        assert_eq!(fetch(&format!("http://{}/", host.address)), "200 a host", "{name}");
        assert_eq!(fetch("http://named/path?q"), "200 an upstream as named/path?q", "{name}");
        for url in [format!("http://{}/", other.address), "http://hidden/".to_owned(), "https://127.0.0.1/".to_owned()]
        {
            let said = fetch(&url);
            assert!(said.starts_with("failed: ") && said.contains("RequestDenied"), "{name} {url}: {said}");
        }
        // Without a word in the file there is nothing.
        let gofe = start_with(name, "", &upstreams);
        let said = get(gofe.address, "/fetch", &[("x-url", &format!("http://{}/", host.address))]).body;
        assert!(said.contains("RequestDenied"), "{name}: {said}");
    }
}

// covers wasi:http: outgoing-handler.handle, client.send
#[test]
fn answers_to_components_are_under_the_limits_of_the_grant() {
    let long = Upstream::text("0123456789");
    let silent = Upstream::start(|_| std::future::pending());
    for name in BOTH {
        let keys = format!(
            "allow: {{ http: {{ hosts: [\"{}\", \"{}\"], timeout: 100ms, response-size: 9 }} }}",
            long.address, silent.address
        );
        let gofe = start(name, &keys);
        let fetch = |upstream: &Upstream| {
            get(gofe.address, "/fetch", &[("x-url", &format!("http://{}/", upstream.address))]).body
        };
        assert!(fetch(&long).starts_with("failed: "), "{name}: {}", fetch(&long));
        assert!(fetch(&silent).contains("Timeout"), "{name}: {}", fetch(&silent));
    }
}

// covers wasi:http: types.error-code
#[test]
fn a_component_that_fails_costs_its_request_and_no_other() {
    for name in BOTH {
        let gofe = start(name, "limits: { time: 50ms, memory: 8MiB }, reuse: { requests: 100 }");
        let fails = [
            ("/trap", 502, "component-trap"),
            ("/loop", 504, "component-deadline"),
            ("/memory", 502, "component-memory"),
            ("/error", 502, "component-failed"),
        ];
        for (path, status, reason) in fails {
            let answer = get(gofe.address, path, &[]);
            assert_eq!(answer.status, status, "{name} {path}");
            assert!(!answer.body.contains("choice"), "{name} {path}: {}", answer.body);
            gofe.logged(reason);
            assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name} after {path}");
        }
        gofe.counts("gofe_plugin_faults_total{plugin=\"upstream/c\",kind=\"deadline\"}", 1);
    }
    let gofe = start("wasi-http", "");
    assert_eq!(get(gofe.address, "/silent", &[]).status, 502);
    assert_eq!(get(gofe.address, "/resources", &[]).status, 502);
    assert_eq!(get(gofe.address, "/hello", &[]).status, 200);
}

#[test]
fn a_failed_try_is_repeated_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("wasi-http"), folder.path().join("c.wasm")).unwrap();
    let gofe = Gofe::start_in(
        folder,
        "routes: [{ name: r, upstream: c, fallback: { respond: { status: 299 } } }]\n\
         upstreams:\n  c:\n    component: file:c.wasm\n    retry: { attempts: 3, on: [reset], backoff: { base: 0s } }\n",
    );
    assert_eq!(get(gofe.address, "/trap", &[]).status, 299);
    gofe.counts("gofe_upstream_events_total{upstream=\"c\",event=\"retry\"}", 2);
}
