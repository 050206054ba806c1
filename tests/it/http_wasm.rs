//! Plugins of the http-wasm ABI, as their requests see them. The kit that others keep runs in `cargo xtask conformance
//! http-wasm`; what it does not look at is here.

mod languages;

use http_body_util::BodyExt;
use hyper::Response;
use proptest::prelude::*;

use crate::harness::{Gofe, KeepAlive, Upstream, check, full, get, guest, post, request};

/// Says what reaches it.
fn echo() -> Upstream {
    Upstream::start(|request| async move {
        let (parts, body) = request.into_parts();
        let length = parts.headers.get("x-length").map_or("", |length| length.to_str().unwrap()).to_owned();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().map(|trailers| format!("{trailers:?}")).unwrap_or_default();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let text = format!("{} {} [{body}] {length}{trailers}", parts.method, parts.uri);
        let mut response = Response::new(full(Box::leak(text.into_boxed_str())));
        response.headers_mut().insert("x-upstream", "yes".parse().unwrap());
        response
    })
}

fn yaml(source: &str, upstream: &Upstream, keys: &str) -> String {
    format!(
        "plugins: {{ h: {{ source: file:{source}, {keys} }} }}\nchains: {{ c: [h] }}\n\
         routes:\n- {{ match: {{ path: /none }}, chain: c, upstream: nobody }}\n- {{ chain: c, upstream: u }}\n\
         upstreams:\n  u: {{ endpoints: [\"{}\"] }}\n  nobody: {{ endpoints: [\"127.0.0.1:1\"] }}\n",
        upstream.address
    )
}

fn start(upstream: &Upstream, keys: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("http-wasm"), folder.path().join("h.wasm")).unwrap();
    Gofe::start_in(folder, &yaml("h.wasm", upstream, keys))
}

/// A gofe with a guest that is written in WAT.
fn start_wat(text: &str, upstream: &Upstream, keys: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("h.wasm"), wat::parse_str(text).unwrap()).unwrap();
    Gofe::start_in(folder, &yaml("h.wasm", upstream, keys))
}

// covers http-wasm: get_config, log, get_method, get_uri, get_protocol_version, get_source_addr
#[test]
fn http_wasm_guests_see_the_request_their_configuration_and_the_log() {
    let upstream = echo();
    let gofe = start(&upstream, "config: { a: [1, true] }");
    let info = get(gofe.address, "/a?b=c", &[("x-do", "info")]).body;
    assert!(info.starts_with("GET /a?b=c HTTP/1.1 127.0.0.1:"), "{info}");
    assert_eq!(get(gofe.address, "/", &[("x-do", "config")]).body, r#"{"a":[1,true]}"#);
    get(gofe.address, "/", &[("x-do", "log")]);
    assert!(gofe.logged("a warning of the guest").contains("WARN"));
    // A text is given as it is.
    let gofe = start(&upstream, "config: plain text");
    assert_eq!(get(gofe.address, "/", &[("x-do", "config")]).body, "plain text");
}

// covers http-wasm: get_header_names, get_header_values, log_enabled
#[test]
fn http_wasm_guests_list_fields_and_ask_what_is_logged() {
    let upstream = echo();
    let gofe = start(&upstream, "");
    let fields = get(gofe.address, "/", &[("x-do", "fields"), ("x-a", "1"), ("X-A", "2"), ("x-b", "")]).body;
    assert!(fields.contains("\nx-a=1,2\n") && fields.contains("\nx-b=\n"), "{fields}");
    // Debug, info, warn, error and none.
    assert_eq!(get(gofe.address, "/", &[("x-do", "levels")]).body, "01110");
}

// covers http-wasm: enable_features, set_method, set_uri, read_body, write_body
#[test]
fn http_wasm_request_bodies_reach_the_upstream_as_the_guest_leaves_them() {
    let upstream = echo();
    let gofe = start(&upstream, "");
    let body = |what: &str| post(gofe.address, "/x", &[("x-do", what)], "some text").body;
    assert_eq!(body("nothing"), "POST /x [some text] ");
    assert_eq!(body("peek"), "POST /x [some text] 9");
    assert_eq!(body("consume"), "POST /x [] 9");
    assert_eq!(body("rewrite"), "PUT /rewritten?by=guest [SOME TEXT] ");
    // A body in many pieces, longer than the guest's buffer.
    let long = "0123456789".repeat(20_000);
    let answer = post(gofe.address, "/x", &[("x-do", "peek")], &long).body;
    assert_eq!(answer, format!("POST /x [{long}] 200000"));
}

// covers http-wasm: enable_features, set_header_value, remove_header, write_body, get_status_code, set_status_code
// covers http-wasm: handle_request, handle_response
#[test]
fn http_wasm_guests_answer_and_change_responses() {
    let upstream = echo();
    let gofe = start(&upstream, "");
    let answer = get(gofe.address, "/", &[("x-do", "answer")]);
    assert_eq!((answer.status, answer.header("x-made-by"), &*answer.body), (418, Some("guest"), "two pieces"));
    // What is written before the next handler is in front of what that says.
    let before = get(gofe.address, "/", &[("x-do", "before")]);
    assert_eq!(
        (before.status, before.header("x-before"), before.header("x-upstream")),
        (200, Some("guest"), Some("yes"))
    );
    assert_eq!(before.body, "before, GET / [] ");
    let after = get(gofe.address, "/", &[("x-do", "after")]);
    assert_eq!((after.status, after.header("x-status"), after.header("x-upstream")), (203, Some("200"), None));
    assert_eq!(after.body, "after: GET / [] ");
    // An answer without a body stays without.
    let head = request(gofe.address, "HEAD", "/", &[("x-do", "before")], "");
    assert_eq!((head.status, &*head.body), (200, ""));
    let failed = get(gofe.address, "/none", &[("x-do", "error")]);
    assert_eq!((failed.status, failed.header("x-error")), (502, Some("true")));
    assert_eq!(get(gofe.address, "/", &[("x-do", "error")]).header("x-error"), Some("false"));
}

// covers http-wasm: set_header_value
#[test]
fn http_wasm_faults_cost_one_request_each_and_the_policy_holds() {
    let upstream = echo();
    for (policy, status) in [("fail-closed", 500), ("fail-open", 200)] {
        let gofe = start(&upstream, &format!("on-error: {policy}, limits: {{ memory: 4MiB }}"));
        for (what, kind) in [("spin", "deadline"), ("grow", "memory"), ("late", "failed")] {
            assert_eq!(get(gofe.address, "/", &[("x-do", what)]).status, status, "{what} {policy}");
            assert!(gofe.logged(&format!("\"kind\":\"{kind}\"")).contains("plugin failed"));
            assert_eq!(get(gofe.address, "/", &[]).status, 200);
        }
    }
}

// covers http-wasm: read_body
#[test]
fn http_wasm_bodies_over_the_limit_are_refused() {
    let upstream = echo();
    let gofe = start(&upstream, "limits: { body: 10 }");
    assert_eq!(post(gofe.address, "/", &[("x-do", "peek")], "ten bytes.").status, 200);
    assert_eq!(post(gofe.address, "/", &[("x-do", "peek")], "more than ten bytes").status, 413);
    assert_eq!(get(gofe.address, "/long", &[("x-do", "after")]).status, 502);
    // What is not held back may be longer.
    assert_eq!(post(gofe.address, "/", &[("x-do", "consume")], "more than ten bytes").status, 200);
}

/// Adds a trailer to the request before the next handler, and one to the response behind it.
const TRAILERS: &str = r#"(module
  (import "http_handler" "enable_features" (func $enable (param i32) (result i32)))
  (import "http_handler" "add_header_value" (func $add (param i32 i32 i32 i32 i32)))
  (import "http_handler" "get_header_values" (func $values (param i32 i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-sumx-seen")
  (func (export "handle_request") (result i64)
    (drop (call $enable (i32.const 7)))
    (call $add (i32.const 2) (i32.const 0) (i32.const 5) (i32.const 2) (i32.const 3))
    (i64.const 1))
  (func (export "handle_response") (param i32 i32)
    (call $add (i32.const 3) (i32.const 0) (i32.const 5) (i32.const 2) (i32.const 3))))"#;

// covers http-wasm: enable_features, add_header_value
#[test]
fn http_wasm_trailers_in_both_directions() {
    let upstream = echo();
    let gofe = start_wat(TRAILERS, &upstream, "");
    let answer = request(gofe.address, "POST", "/", &[("te", "trailers")], "text");
    assert!(answer.body.contains(r#"[text] {"x-sum": "sum"}"#), "{}", answer.body);
    assert_eq!(answer.header("trailer"), Some("x-sum"));
}

#[test]
fn modules_that_do_not_keep_to_http_wasm_are_refused_at_their_place() {
    let wrong = [
        (
            r#"(module (import "http_handler" "get_uri" (func (param i32 i32) (result i32))) (memory (export "memory") 1)
            (func (export "handle_request") (result i32) i32.const 0))"#,
            "without parameters that gives an i64",
        ),
        (
            r#"(module (import "http_handler" "get_uri" (func (param i32 i32) (result i32)))
            (func (export "handle_request") (result i64) i64.const 0))"#,
            "export its memory as `memory`",
        ),
        (
            r#"(module (import "http_handler" "get_url" (func (param i32 i32) (result i32))) (memory (export "memory") 1)
            (func (export "handle_request") (result i64) i64.const 0))"#,
            "get_url",
        ),
        (
            r#"(module (import "env" "get" (func)) (import "http_handler" "get_uri" (func (param i32 i32) (result i32)))
            (memory (export "memory") 1) (func (export "handle_request") (result i64) i64.const 0))"#,
            "env",
        ),
    ];
    for (text, says) in wrong {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.wasm");
        std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        let refused = check(&format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nplugins: {{ h: {{ source: \"file:{}\" }} }}\nchains: {{ c: [h] }}\n\
             routes: [{{ chain: c, respond: {{ status: 200 }} }}]\n",
            file.display()
        ));
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("http-wasm@1") && refused.stderr.contains(says), "{}", refused.stderr);
        assert!(refused.stderr.contains(":2:"), "{}", refused.stderr);
    }
}

/// Arguments that lie within the guest's memory, near its ends, and nowhere.
fn argument() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..8, 0_u32..64, 65_500_u32..65_600, 131_000_u32..131_200, any::<u32>(), Just(u32::MAX)]
}

#[test]
fn http_wasm_host_functions_withstand_arbitrary_arguments() {
    let upstream = echo();
    let text = include_str!("../hostile/http-wasm.wat");
    let gofe = start_wat(text, &upstream, "limits: { body: 64KiB }");
    let steps = prop::collection::vec((0_u8..20, [argument(), argument(), argument(), argument(), argument()]), 1..24);
    let mut client = KeepAlive::connect(gofe.admin);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, ..ProptestConfig::default() });
    let outcome = runner.run(&steps, |steps| {
        let mut program = String::new();
        for (function, arguments) in steps {
            program += &format!("{function:02x}");
            for byte in arguments.iter().flat_map(|argument| argument.to_le_bytes()) {
                program += &format!("{byte:02x}");
            }
        }
        let answer = post(gofe.address, "/", &[("x-program", &program)], "a body");
        prop_assert!((200..600).contains(&answer.status), "{}", answer.head);
        Ok(())
    });
    outcome.unwrap();
    // Not one of them took more than its own request.
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    assert_eq!(client.get("/healthz", &[]).status, 200);
}
