//! proxy-wasm plugins, through YAML, in a gofe that runs. The guest does what the request's `x-test` asks for.

mod bodies;
mod bytes;
mod callouts;
mod languages;
mod lifecycle;

use crate::harness::{Answer, Gofe, Upstream, get, guest};

/// gofe with the guest under these settings, in front of the echo.
fn gofe(settings: &str) -> Gofe {
    gofe_at(settings, "{ builtin: echo }")
}

/// gofe with the guest under these settings, in front of this upstream.
fn gofe_at(settings: &str, upstream: &str) -> Gofe {
    gofe_of("proxy-wasm", settings, upstream)
}

fn gofe_of(guest_name: &str, settings: &str, upstream: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest(guest_name), folder.path().join("guest.wasm")).unwrap();
    Gofe::start_in(folder, &yaml(settings, upstream))
}

fn yaml(settings: &str, upstream: &str) -> String {
    format!(
        "workers: 1\nplugins: {{ p: {{ source: file:guest.wasm, {settings} }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ name: r, chain: c, upstream: u, timeout: 5s }}]\n\
         upstreams: {{ u: {upstream}, canary: {{ builtin: echo }} }}\n"
    )
}

fn at(upstream: &Upstream) -> String {
    format!("{{ endpoints: [{}] }}", upstream.address)
}

/// What the guest says to this test.
fn ask(gofe: &Gofe, test: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-test", test)];
    all.extend_from_slice(headers);
    get(gofe.address, "/path?query=1", &all)
}

fn said(gofe: &Gofe, test: &str, headers: &[(&str, &str)]) -> String {
    let answer = ask(gofe, test, headers);
    assert_eq!((answer.status, answer.header("x-from")), (200, Some("guest")), "{test}: {}", answer.body);
    answer.body
}

/// How many fields of a response have this name.
fn fields(answer: &Answer, name: &str) -> usize {
    answer.head.lines().filter(|line| line.split_once(':').is_some_and(|(field, _)| field == name)).count()
}

// covers proxy-wasm: proxy_on_vm_start
#[test]
fn configurations_reach_the_vm_and_the_plugin_as_bytes() {
    let text = gofe("vm: { config: for the vm }, config: for the plugin");
    assert_eq!(said(&text, "configuration", &[]), "for the vm|for the plugin");
    let map = gofe("vm: { config: [1, 2] }, config: { a: b }");
    assert_eq!(said(&map, "configuration", &[]), r#"[1,2]|{"a":"b"}"#);
    assert_eq!(said(&gofe("config: { a: b }"), "configuration", &[]), r#"|{"a":"b"}"#);
}

// covers proxy-wasm: proxy_on_configure
#[test]
fn a_plugin_that_refuses_its_configuration_stops_the_start() {
    for settings in ["config: refuse", "vm: { config: refuse }"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
        let refused = crate::harness::refused_start(folder.path(), &yaml(settings, "{ builtin: echo }"));
        assert!(refused.stderr.contains("returned false"), "{}", refused.stderr);
    }
}

#[test]
fn keys_that_mean_nothing_to_the_code_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
    let refused = crate::harness::refused_start(folder.path(), &yaml("instance: fresh", "{ builtin: echo }"));
    assert!(refused.stderr.contains("plugins.p.instance"), "{}", refused.stderr);
    std::fs::copy(guest("version"), folder.path().join("guest.wasm")).unwrap();
    let refused = crate::harness::refused_start(folder.path(), &yaml("vm: { id: x }", "{ builtin: echo }"));
    assert!(refused.stderr.contains("plugins.p.vm"), "{}", refused.stderr);
}

// covers proxy-wasm: proxy_send_local_response
#[test]
fn a_local_response_has_status_fields_and_body() {
    let answer = ask(&gofe("config: x"), "local", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (418, "short and stout"));
    assert_eq!(fields(&answer, "x-a"), 2);
}

// covers proxy-wasm: proxy_get_header_map_pairs, proxy_get_header_map_value
#[test]
fn request_fields_are_read_with_those_of_the_request_line() {
    let gofe = gofe("config: x");
    let answer = said(&gofe, "headers", &[("x-twice", "1"), ("x-twice", "2")]);
    let parts: Vec<_> = answer.split('|').collect();
    assert!(parts[0].starts_with(":method,:path,:authority,:scheme,"), "{answer}");
    assert!(!parts[0].contains(",host,"), "{answer}");
    assert_eq!(parts[1], "/path?query=1");
    assert_eq!(parts[2], "test");
    assert_eq!(&parts[3..], ["None", "0", "1,2"]);
}

// covers proxy-wasm: proxy_set_header_map_pairs, proxy_remove_header_map_value
// covers proxy-wasm: proxy_on_request_headers
#[test]
fn request_fields_are_changed_before_the_upstream_sees_them() {
    let gofe = gofe("config: x");
    let seen = ask(&gofe, "edit", &[("x-gone", "1")]).json();
    assert_eq!((seen["method"].as_str(), seen["path"].as_str()), (Some("PUT"), Some("/changed?q=1")), "{seen}");
    let text = seen.to_string();
    assert!(text.contains("again") && text.contains("other.example") && !text.contains("x-gone"), "{text}");
    let seen = ask(&gofe, "replace-all", &[("x-other", "1")]).json().to_string();
    assert!(seen.contains("x-only") && seen.contains("\"/all\"") && !seen.contains("x-other"), "{seen}");
}

// covers proxy-wasm: proxy_add_header_map_value, proxy_replace_header_map_value
// covers proxy-wasm: proxy_on_response_headers
#[test]
fn response_fields_are_changed_before_the_client_sees_them() {
    let gofe = gofe("config: x");
    let answer = ask(&gofe, "response", &[]);
    assert_eq!(answer.status, 201);
    assert_eq!(fields(&answer, "x-set"), 2);
    assert_eq!(answer.header("x-path"), Some("/path?query=1"));
    let instead = ask(&gofe, "instead", &[]);
    assert_eq!((instead.status, instead.body.as_str()), (503, "instead"));
}

// covers proxy-wasm: proxy_get_property, proxy_set_property
#[test]
fn properties_tell_of_the_request_and_the_configuration() {
    let gofe = gofe("vm: { root-id: main, id: shared }");
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (path, value) in [
        ("request.path", "/path?query=1"),
        ("request.url_path", "/path"),
        ("request.query", "query=1"),
        ("request.method", "GET"),
        ("request.scheme", "http"),
        ("request.protocol", "HTTP/1.1"),
        ("request.headers.x-test", "property"),
        ("plugin_name", "p"),
        ("plugin_root_id", "main"),
        ("plugin_vm_id", "shared"),
        ("route_name", "r"),
        ("xds.route_name", "r"),
    ] {
        assert_eq!(said(&gofe, "property", &[("x-path", path)]), hex(value), "{path}");
    }
    let size = said(&gofe, "property", &[("x-path", "request.size")]);
    assert_eq!(size, "0000000000000000");
    assert!(said(&gofe, "property", &[("x-path", "source.address")]).starts_with(&hex("127.0.0.1:")));
    assert_eq!(said(&gofe, "property", &[("x-path", "connection.mtls")]), "00");
    for missing in ["response.code", "upstream.address", "no.such.path", "cluster_name"] {
        assert_eq!(said(&gofe, "property", &[("x-path", missing)]), "none", "{missing}");
    }
    assert_eq!(said(&gofe, "set-property", &[]), "value");
}

// covers proxy-wasm: proxy_set_shared_data, proxy_get_shared_data
#[test]
fn shared_data_is_compared_before_it_is_set() {
    let answer = said(&gofe("config: x"), "shared", &[]);
    assert_eq!(answer, "Some([49]) Ok(()) Err(CasMismatch) (None, None)");
}

// covers proxy-wasm: proxy_define_metric, proxy_record_metric, proxy_increment_metric, proxy_get_metric
#[test]
fn metrics_need_a_grant_and_show_in_the_admin_api() {
    let gofe = gofe("allow: { metrics: true }, config: metrics");
    assert_eq!(said(&gofe, "metrics", &[]), "(2, 4) Err(BadArgument) Err(NotFound)");
    let metrics = gofe.ask("/metrics").body;
    for line in [
        "gofe_plugin_seen_requests_total{plugin=\"p\"} 2",
        "gofe_plugin_level{plugin=\"p\"} 4",
        "gofe_plugin_sizes_count{plugin=\"p\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
    let denied = Gofe::start_in(folder, &yaml("config: metrics", "{ builtin: echo }"));
    assert_eq!(ask(&denied, "", &[]).status, 500);
    denied.logged("which the configuration does not grant");
}

// covers proxy-wasm: proxy_log, proxy_get_log_level, proxy_get_current_time_nanoseconds
#[test]
fn lines_go_to_the_log_and_clocks_tell_the_time() {
    let gofe = gofe("config: x");
    assert_eq!(said(&gofe, "log", &[]), "Info");
    gofe.logged("at Critical");
    assert!(said(&gofe, "time", &[]).starts_with("SystemTime"));
}

// covers proxy-wasm: proxy_call_foreign_function
// covers proxy-wasm: proxy_on_foreign_function
#[test]
fn foreign_functions_are_found_by_name() {
    let gofe = gofe("config: x");
    assert_eq!(said(&gofe, "foreign", &[]), "Ok(None) Err(NotFound)");
    assert_eq!(said(&gofe, "get-shared", &[("x-key", "foreign")]), "7:later");
    let seen = ask(&gofe, "upstream", &[("x-target", "canary")]).json();
    assert_eq!(seen["upstream"].as_str(), Some("canary"), "{seen}");
}

#[test]
fn filters_built_for_envoy_run_unchanged() {
    // Built by `cargo xtask guests` from benches/plugins.
    let gofe = gofe_of("bench-proxy-wasm", "config: x", "{ builtin: echo }");
    let denied = get(gofe.address, "/", &[]);
    assert_eq!((denied.status, denied.header("www-authenticate")), (401, Some("key")));
    let allowed = get(gofe.address, "/", &[("x-api-key", "secret")]);
    assert_eq!((allowed.status, allowed.header("x-proxied-by")), (200, Some("wasm")));
    assert!(allowed.body.contains("alice"), "{}", allowed.body);
}
