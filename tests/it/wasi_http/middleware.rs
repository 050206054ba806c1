//! Components that stand before another handler, as steps of chains.

use http_body_util::BodyExt;
use hyper::Response;

use crate::harness::{Gofe, Upstream, Wire, check, full, get, guest, post};

/// Says what reaches it.
fn echo() -> Upstream {
    Upstream::start(|request| async move {
        let (parts, body) = request.into_parts();
        let marks = parts.headers.get_all("x-request").iter().map(|mark| mark.to_str().unwrap().to_owned());
        let marks = marks.collect::<Vec<_>>().join(",");
        let host = parts.headers.get("host").map_or("", |host| host.to_str().unwrap()).to_owned();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let text = format!("{} {} {host} [{body}] {marks}", parts.method, parts.uri);
        let mut response = Response::new(full(Box::leak(text.into_boxed_str())));
        response.headers_mut().insert("x-upstream", "yes".parse().unwrap());
        response
    })
}

fn start(upstream: &Upstream, keys: &str, chain: &str, plugins: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wasi-middleware", "http-wasm", "version"] {
        std::fs::copy(guest(name), folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    Gofe::start_in(
        folder,
        &format!(
            "plugins:\n  m: {{ source: file:wasi-middleware.wasm, {keys} }}\n{plugins}chains: {{ c: [{chain}] }}\n\
             routes: [{{ chain: c, upstream: u }}]\nupstreams:\n  u: {{ endpoints: [\"{}\"] }}\n",
            upstream.address
        ),
    )
}

// covers wasi:http: handler.handle
#[test]
fn a_middleware_changes_requests_and_responses() {
    let upstream = echo();
    let gofe = start(&upstream, "", "m", "");
    let answer = post(gofe.address, "/a?b", &[("host", "example.com")], "some text");
    assert_eq!(
        (answer.status, answer.header("x-response"), answer.header("x-upstream")),
        (200, Some("marked"), Some("yes"))
    );
    assert_eq!(answer.body, "POST /a?b example.com [some text] marked");
    // Both bodies are the guest's.
    let answer = post(gofe.address, "/upper", &[], "some text");
    assert_eq!(answer.body, "POST /UPPER TEST [SOME TEXT] ");
    let long = "a".repeat(300_000);
    assert_eq!(post(gofe.address, "/upper", &[], &long).body, format!("POST /UPPER TEST [{}] ", long.to_uppercase()));
}

// covers wasi:http: handler.handle
#[test]
fn a_middleware_answers_itself() {
    let upstream = echo();
    let gofe = start(&upstream, "", "m", "");
    let denied = post(gofe.address, "/deny", &[], "unread");
    assert_eq!((denied.status, &*denied.body, denied.header("x-upstream")), (403, "not you", None));
    let replaced = get(gofe.address, "/replaced", &[]);
    assert_eq!((replaced.status, &*replaced.body), (201, "another answer"));
    // What is handed on is a request, and no tunnel.
    assert_eq!(get(gofe.address, "/tunnel", &[]).body, "ErrorCode::HttpRequestMethodInvalid");
    // The rest of the chain answers once.
    let twice = get(gofe.address, "/twice", &[]);
    assert!(twice.body.starts_with("200 ErrorCode::LoopDetected"), "{}", twice.body);
}

// covers wasi:http: wasi:cli.environment
#[test]
fn the_configuration_of_a_middleware_is_its_environment() {
    let upstream = echo();
    let gofe = start(&upstream, "config: { REGION: north, LEVEL: 3 }", "m", "");
    assert_eq!(get(gofe.address, "/environment", &[]).body, "region=north variables=2");
    let bare = start(&upstream, "", "m", "");
    assert_eq!(get(bare.address, "/environment", &[]).body, "region= variables=0");
    for (config, says) in
        [("{ A: [1], \"B=\": x }", ["text, a number", "has this name"]), ("[A]", ["is its environment"; 2])]
    {
        let refused = check(&format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nplugins:\n  m: {{ source: \"file:{}\", config: {config} }}\n\
             chains: {{ c: [m] }}\nroutes: [{{ chain: c, respond: {{ status: 200 }} }}]\n",
            guest("wasi-middleware").display()
        ));
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        for says in says {
            assert!(refused.stderr.contains(says) && refused.stderr.contains(":3:"), "{says}: {}", refused.stderr);
        }
    }
}

#[test]
fn a_middleware_that_fails_gets_its_policy() {
    let upstream = echo();
    let closed = start(&upstream, "limits: { time: 50ms }", "m", "");
    let open = start(&upstream, "on-error: fail-open, limits: { time: 50ms }", "m", "");
    for (path, kind) in [
        ("/trap", "trap"),
        ("/loop", "deadline"),
        ("/error", "failed"),
        ("/early", "failed"),
        ("/early-afterwards", "failed"),
        ("/trap-afterwards", "trap"),
    ] {
        assert_eq!(get(closed.address, path, &[]).status, 500, "{path}");
        assert!(closed.logged(&format!("\"kind\":\"{kind}\"")).contains("plugin failed"));
        let answer = get(open.address, path, &[]);
        assert_eq!((answer.status, answer.header("x-upstream")), (200, Some("yes")), "{path}");
        // A body that the guest has not read goes on whole.
        let answer = post(open.address, path, &[], "text");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains("[text]"), "{path}: {}", answer.body);
        assert_eq!(get(closed.address, "/a", &[]).status, 200);
    }
}

#[test]
fn a_middleware_stands_in_one_chain_with_other_plugins() {
    let upstream = echo();
    let others = "  v: { source: file:version.wasm }\n  h: { source: file:http-wasm.wasm }\n";
    let gofe = start(&upstream, "", "v, m, h", others);
    let answer = post(gofe.address, "/x", &[("x-do", "rewrite")], "some text");
    // The step behind it sees the request as the guest has made it, and changes it further.
    assert!(answer.body.starts_with("PUT /rewritten?by=guest test [SOME TEXT] marked"), "{}", answer.body);
    assert_eq!(answer.header("x-response"), Some("marked"));
    assert!(answer.header("x-version").is_some());
    // Each of them may answer.
    let answer = get(gofe.address, "/x", &[("x-do", "answer")]);
    assert_eq!((answer.status, answer.header("x-response")), (418, Some("marked")));
    assert_eq!(get(gofe.address, "/deny", &[]).status, 403);
}

#[test]
fn bodies_stream_through_a_middleware() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("wasi-middleware"), folder.path().join("m.wasm")).unwrap();
    std::fs::copy(guest("wasi-service"), folder.path().join("s.wasm")).unwrap();
    // Both are components: the one before, the other as the upstream.
    let gofe = Gofe::start_in(
        folder,
        "plugins: { m: { source: file:m.wasm } }\nchains: { c: [m] }\n\
         routes: [{ chain: c, upstream: s, rewrite: { path: /echo } }]\nupstreams: { s: { component: file:s.wasm } }\n",
    );
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST /upper HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    wire.head();
    wire.until("FIRST");
    wire.send("6\r\nsecond\r\n0\r\n\r\n");
    wire.until("SECOND");
    wire.until("0\r\n\r\n");
}
