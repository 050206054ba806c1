//! A guest in another language than Rust: AssemblyScript, which has no SDK for this ABI and a runtime of its own.

use super::{echo, yaml};
use crate::harness::{Gofe, Upstream, foreign_guest, get, post, request};

fn start(upstream: &Upstream) -> Option<Gofe> {
    let Some(module) = foreign_guest("assemblyscript-http-wasm") else {
        eprintln!("there is no guest in AssemblyScript: left out");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(module, folder.path().join("h.wasm")).unwrap();
    Some(Gofe::start_in(folder, &yaml("h.wasm", upstream, "config: { a: 1 }")))
}

// covers http-wasm: get_config, get_method, get_uri, get_protocol_version, get_source_addr, get_header_names
// covers http-wasm: get_header_values, set_status_code, write_body
#[test]
fn an_http_wasm_guest_in_another_language_reads_requests_and_answers() {
    let upstream = echo();
    let Some(gofe) = start(&upstream) else { return };
    let told = get(gofe.address, "/a?b", &[("host", "h"), ("x-do", "tell"), ("x-a", "1"), ("x-a", "2")]);
    assert_eq!(told.status, 203, "{}", told.head);
    assert_eq!(told.header("x-names"), Some("connection,host,x-a,x-do"));
    assert!(told.body.starts_with("GET /a?b HTTP/1.1 from 127.0.0.1:"), "{}", told.body);
    assert!(told.body.ends_with(r#" x-a=1+2 config={"a":1}"#), "{}", told.body);
}

// covers http-wasm: handle_request, enable_features, log, log_enabled, set_method, set_uri, read_body, write_body
// covers http-wasm: set_header_value, add_header_value, remove_header
#[test]
fn an_http_wasm_guest_in_another_language_changes_requests() {
    let upstream = echo();
    let Some(gofe) = start(&upstream) else { return };
    let answer = post(gofe.address, "/", &[("x-do", "change"), ("x-a", "1")], "some text");
    let changed = r#"PUT /changed?by=AssemblyScript [another body] was here{"x-sum": "of the request"}"#;
    assert_eq!((answer.status, &*answer.body), (200, changed));
    gofe.logged("a body: some text");
}

// covers http-wasm: handle_response, enable_features, read_body, write_body, get_status_code, set_status_code
// covers http-wasm: set_header_value, add_header_value
#[test]
fn an_http_wasm_guest_in_another_language_changes_responses_by_its_context() {
    let upstream = echo();
    let Some(gofe) = start(&upstream) else { return };
    let answer = request(gofe.address, "POST", "/", &[("x-do", "after"), ("te", "trailers")], "some text");
    assert_eq!((answer.status, answer.header("x-context")), (202, Some("4711 200 0")));
    assert_eq!((answer.header("trailer"), answer.header("x-upstream")), (Some("x-sum"), Some("yes")));
    assert!(answer.body.contains("<POST / [some text] >"), "{}", answer.body);
    let failed = get(gofe.address, "/none", &[("x-do", "after")]);
    assert_eq!((failed.status, failed.header("x-context")), (202, Some("4711 502 1")));
    // Without a context there is nothing to do.
    assert_eq!(get(gofe.address, "/", &[]).header("x-context"), None);
}
