//! What readers of the log notice.

use std::time::Duration;

use gofe_plugin::{Phases, Summary, serde_json};
use mock::Host;
use serde_json::{Value, json};

use super::*;

fn log(configuration: &str, request: mock::Request) -> Vec<String> {
    log_with(configuration, request, mock::Response::new(200))
}

fn log_with(configuration: &str, request: mock::Request, response: mock::Response) -> Vec<String> {
    let host = Host::new();
    host.load::<AccessLog>(configuration).unwrap().send_to(request, |_| response);
    host.lines()
}

fn mistake(configuration: &str) -> (String, String) {
    let errors = Host::new().load::<AccessLog>(configuration).unwrap_err();
    let error = errors.iter().next().unwrap();
    (error.pointer.clone(), error.message.clone())
}

fn summary() -> Summary {
    Summary {
        duration: Duration::from_micros(12_045),
        upstream_duration: Some(Duration::from_millis(9)),
        request_bytes: 5,
        response_bytes: 1234,
        error: None,
    }
}

#[test]
fn the_default_is_a_json_object() {
    let lines = log("null", mock::Request::get("/a?secret=1").summary(summary()));
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = json!({
        "time": "2026-01-01T00:00:00.000Z",
        "route": "test",
        "client_address": "192.0.2.1",
        "method": "GET",
        "authority": "example.com",
        "path": "/a",
        "status": 200,
        "duration_ms": 12.045,
        "request_bytes": 5,
        "response_bytes": 1234,
        "upstream": "default",
        "error": null,
    });
    assert_eq!(line, expected);
    assert_eq!(lines.len(), 1);
}

#[test]
fn only_the_complete_phase_costs_anything() {
    let plugin = Host::new().load::<AccessLog>("null").unwrap();
    assert_eq!(plugin.interest.phases, Phases::COMPLETE);
}

#[test]
fn fields_are_selected_and_renamed() {
    let request = mock::Request::get("/").header("user-agent", "curl").attribute("jwt.sub", "alice");
    let lines = log(r#"{ "fields": ["method", "request_header:User-Agent", "attribute:jwt.sub"] }"#, request.clone());
    assert_eq!(lines, [r#"{"method":"GET","request_header:user-agent":"curl","attribute:jwt.sub":"alice"}"#]);
    let lines = log(r#"{ "fields": { "who": "attribute:jwt.sub", "a\"b": "response_header:x" } }"#, request);
    assert_eq!(lines, [r#"{"who":"alice","a\"b":null}"#]);
}

#[test]
fn values_cannot_break_the_line() {
    let request = mock::Request::get("/").header("user-agent", b"a\"b\\c\t\xff\xc3\xa9");
    let lines = log(r#"{ "fields": ["request_header:user-agent"] }"#, request.clone());
    assert_eq!(lines, ["{\"request_header:user-agent\":\"a\\\"b\\\\c\\t\u{fffd}é\"}"]);
    let lines = log(r#"{ "template": "\"${request_header:user-agent}\"" }"#, request);
    assert_eq!(lines, ["\"a\\x22b\\x5Cc\\x09\u{fffd}é\""]);
}

#[test]
fn a_template_writes_text() {
    let configuration =
        r#"{ "template": "$client_address $method $path_with_query $status $duration_ms $error $query" }"#;
    let lines = log(configuration, mock::Request::get("/a?b=c").summary(summary()));
    assert_eq!(lines, ["192.0.2.1 GET /a?b=c 200 12.045 - b=c"]);
}

#[test]
fn every_source_has_a_value() {
    let tls = mock::Tls {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: Some("example.com".to_owned()),
        client_subject: None,
        client_fingerprint: None,
    };
    let configuration = r#"{ "template": "$client_port $scheme $authority $http_version $upstream_duration_ms $upstream $endpoint $tls_version $tls_cipher $tls_server_name $tls_client_subject" }"#;
    let lines = log(configuration, mock::Request::get("/").summary(summary()).tls(tls));
    let expected = "40000 https example.com HTTP/1.1 9.000 default 192.0.2.100:9000 TLSv1.3 TLS_AES_128_GCM_SHA256 \
                    example.com -";
    assert_eq!(lines, [expected]);
}

#[test]
fn a_sample_is_logged_and_errors_always() {
    let host = Host::new();
    let plugin = host.load::<AccessLog>(r#"{ "sample": 0.25 }"#).unwrap();
    for _ in 0..1000 {
        plugin.send(mock::Request::get("/"));
    }
    let sampled = host.lines().len();
    assert!((200..300).contains(&sampled), "{sampled}");

    let gone = mock::Request::get("/").summary(Summary { error: Some("client-gone".to_owned()), ..summary() });
    assert_eq!(log(r#"{ "sample": 0 }"#, gone).len(), 1);
    let failed = || mock::Response::new(503);
    assert_eq!(log_with(r#"{ "sample": 0 }"#, mock::Request::get("/"), failed()).len(), 1);
    let never = r#"{ "sample": 0, "always-errors": false }"#;
    assert_eq!(log_with(never, mock::Request::get("/"), failed()).len(), 0);
    assert_eq!(log(r#"{ "sample": 0 }"#, mock::Request::get("/")).len(), 0);
}

#[test]
fn mistakes_are_found_with_their_place() {
    assert_eq!(mistake(r#"{ "feilds": [] }"#).1, "unknown key `feilds`; did you mean `fields`?");
    assert_eq!(
        mistake(r#"{ "fields": ["method", "statuss"] }"#),
        ("/fields/1".to_owned(), "there is no source `statuss`; did you mean `status`?".to_owned())
    );
    assert_eq!(mistake(r#"{ "fields": { "a": "request_header:" } }"#).0, "/fields/a");
    assert_eq!(mistake(r#"{ "fields": [] }"#), ("/fields".to_owned(), "there are no fields".to_owned()));
    assert_eq!(mistake(r#"{ "fields": ["path"], "template": "$path" }"#).0, "/fields");
    assert_eq!(mistake(r#"{ "template": "$nothing" }"#).0, "/template");
    assert_eq!(mistake(r#"{ "sample": 2 }"#).0, "/sample");
    assert_eq!(mistake(r#"{ "sample": "all" }"#).0, "/sample");
}
