mod parser;

use std::thread;

use super::*;

fn scrape(metrics: &Metrics) -> parser::Scrape {
    parser::prometheus(&metrics.encode(Exposition::Prometheus))
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_new_process_has_metrics_that_every_parser_takes() {
    let metrics = Metrics::new(2);
    let text = scrape(&metrics);
    assert_eq!(text.value("gofe_connections_total"), Some(0.0));
    assert_eq!(text.value(&format!("gofe_build_info{{version={:?}}}", env!("CARGO_PKG_VERSION"))), Some(1.0));
    assert_eq!(text.kinds["gofe_connections_total"], "counter");
    let open = parser::open_metrics(&metrics.encode(Exposition::OpenMetrics));
    assert_eq!(open.value("gofe_connections_total"), Some(0.0));
    assert_eq!(open.kinds["gofe_connections"], "counter");
}

#[test]
fn a_routes_requests_are_counted_by_class_and_timed() {
    let metrics = Metrics::new(2);
    let route = metrics.route("/api/**");
    for (worker, status) in [(0, 200), (1, 204), (0, 404), (1, 503), (0, 0)] {
        route.begin(worker);
        route.end(worker, status, 3 * MS);
    }
    route.begin(1);
    let text = scrape(&metrics);
    let count = |code| text.value(&format!(r#"gofe_requests_total{{code="{code}",route="/api/**"}}"#));
    assert_eq!(
        [count("2xx"), count("4xx"), count("5xx"), count("other")],
        [Some(2.0), Some(1.0), Some(1.0), Some(1.0)]
    );
    assert_eq!((count("3xx"), count("1xx")), (Some(0.0), None));
    assert_eq!(text.value(r#"gofe_requests_active{route="/api/**"}"#), Some(1.0));
    let bucket = |le| text.value(&format!(r#"gofe_request_duration_seconds_bucket{{le="{le}",route="/api/**"}}"#));
    assert_eq!((bucket("0.0025"), bucket("0.005"), bucket("+Inf")), (Some(0.0), Some(5.0), Some(5.0)));
    let sum = text.value(r#"gofe_request_duration_seconds_sum{route="/api/**"}"#).unwrap();
    assert!((sum - 0.015).abs() < 1e-9);
}

#[test]
fn a_value_on_a_bound_belongs_to_the_bucket_below() {
    let metrics = Metrics::new(1);
    let route = metrics.route("r");
    route.end(0, 200, MS);
    route.end(0, 200, MS + Duration::from_nanos(1));
    route.end(0, 200, Duration::MAX);
    let text = scrape(&metrics);
    let bucket = |le| text.value(&format!(r#"gofe_request_duration_seconds_bucket{{le="{le}",route="r"}}"#));
    assert_eq!((bucket("0.001"), bucket("0.0025"), bucket("10.0")), (Some(1.0), Some(2.0), Some(2.0)));
}

#[test]
fn an_upstreams_tries_are_counted_by_outcome() {
    let metrics = Metrics::new(1);
    let upstream = metrics.upstream("users");
    upstream.response(0, 200, MS);
    upstream.failure(0, "connect-failure", MS);
    upstream.failure(0, "connect-failure", MS);
    let text = scrape(&metrics);
    let count = |word| text.value(&format!(r#"gofe_upstream_requests_total{{outcome="{word}",upstream="users"}}"#));
    assert_eq!((count("2xx"), count("connect-failure")), (Some(1.0), Some(2.0)));
    assert_eq!(text.value(r#"gofe_upstream_duration_seconds_count{upstream="users"}"#), Some(3.0));
}

#[test]
fn a_plugins_costs_are_known() {
    let metrics = Metrics::new(2);
    let plugin = metrics.plugin("tenant");
    plugin.instances(0, 1);
    plugin.memory(0, 131_072);
    // Made by one worker, given back by another.
    plugin.instances(0, 1);
    plugin.instances(1, -1);
    plugin.call(0, 0, Duration::from_micros(2));
    plugin.call(1, 2, Duration::from_micros(3));
    plugin.call(1, PluginMetrics::TICK, Duration::from_micros(5));
    plugin.fault(1, "trap");
    let text = scrape(&metrics);
    let calls = |phase| text.value(&format!(r#"gofe_plugin_calls_total{{phase="{phase}",plugin="tenant"}}"#));
    assert_eq!([calls("request-headers"), calls("response-headers"), calls("tick")], [Some(1.0); 3]);
    assert_eq!(calls("complete"), None);
    assert_eq!(text.value(r#"gofe_plugin_faults_total{kind="trap",plugin="tenant"}"#), Some(1.0));
    assert_eq!(text.value(r#"gofe_plugin_seconds_total{plugin="tenant"}"#), Some(0.00001));
    assert_eq!(text.value(r#"gofe_plugin_instances{plugin="tenant"}"#), Some(1.0));
    assert_eq!(text.value(r#"gofe_plugin_memory_bytes{plugin="tenant"}"#), Some(131_072.0));
    assert_eq!(plugin.totals().calls, [("request-headers", 1), ("response-headers", 1), ("tick", 1)]);
}

#[test]
fn the_proxys_own_events_are_counted() {
    let metrics = Metrics::new(1);
    metrics.connection_opened(0);
    metrics.connection_opened(0);
    metrics.connection_closed(0);
    metrics.connection_refused(0, "connections");
    metrics.error(0, "upstream-timeout");
    metrics.serving(1);
    metrics.reload_ok(2, 30 * MS);
    metrics.reload_failed();
    let text = scrape(&metrics);
    let values = [
        ("gofe_connections_active", 1.0),
        ("gofe_connections_total", 2.0),
        ("gofe_connections_refused_total{limit=\"connections\"}", 1.0),
        (r#"gofe_errors_total{reason="upstream-timeout"}"#, 1.0),
        ("gofe_config_generation", 2.0),
        (r#"gofe_reloads_total{result="ok"}"#, 1.0),
        (r#"gofe_reloads_total{result="failed"}"#, 1.0),
        ("gofe_swap_seconds_count", 1.0),
    ];
    for (series, value) in values {
        assert_eq!(text.value(series), Some(value), "{series}");
    }
    assert!(!cfg!(target_os = "linux") || text.value("process_resident_memory_bytes").unwrap() > 100_000.0);
}

#[test]
fn counts_outlive_a_reload_that_keeps_the_name() {
    let metrics = Metrics::new(1);
    let old = metrics.route("a");
    old.end(0, 200, MS);
    let new = metrics.route("a");
    drop(old);
    metrics.sweep();
    new.end(0, 200, MS);
    assert_eq!(scrape(&metrics).value(r#"gofe_requests_total{code="2xx",route="a"}"#), Some(2.0));
}

#[test]
fn series_live_as_long_as_something_may_count_in_them() {
    let metrics = Metrics::new(1);
    let in_flight = metrics.route("gone");
    in_flight.begin(0);
    metrics.sweep();
    assert_eq!(scrape(&metrics).value(r#"gofe_requests_active{route="gone"}"#), Some(1.0));
    drop(in_flight);
    assert!(scrape(&metrics).with("gone").is_empty());
}

#[test]
fn two_thousand_reloads_with_new_names_leave_nothing_behind() {
    let metrics = Metrics::new(1);
    for reload in 0..2_000 {
        let name = format!("name-{reload}");
        let held = (metrics.route(&name), metrics.upstream(&name), metrics.plugin(&name), metrics.custom(&name));
        held.3.add(&format!("metric_{reload}"), &[], 1).unwrap();
        metrics.sweep();
    }
    metrics.sweep();
    assert!(scrape(&metrics).with("name-").is_empty());
    assert_eq!(metrics.state.routes.lock().len() + metrics.state.upstreams.lock().len(), 0);
}

#[test]
fn workers_lose_no_count_whatever_their_index() {
    let metrics = Metrics::new(2);
    let route = metrics.route("a");
    thread::scope(|scope| {
        for worker in 0..4 {
            let route = &route;
            scope.spawn(move || {
                for _ in 0..1_000 {
                    route.begin(worker);
                    route.end(worker, 200, MS);
                }
            });
        }
    });
    let text = scrape(&metrics);
    assert_eq!(text.value(r#"gofe_requests_total{code="2xx",route="a"}"#), Some(4_000.0));
    assert_eq!(text.value(r#"gofe_requests_active{route="a"}"#), Some(0.0));
}

#[test]
fn names_from_the_configuration_may_hold_anything() {
    let metrics = Metrics::new(1);
    let name = "a \"quoted\" \\ name\nof two lines {}, =é";
    let route = metrics.route(name);
    route.end(0, 200, MS);
    assert_eq!(scrape(&metrics).value(&format!("gofe_requests_total{{code=\"2xx\",route={name:?}}}")), Some(1.0));
    parser::open_metrics(&metrics.encode(Exposition::OpenMetrics));
    drop(route);
}

#[test]
fn plugins_own_metrics_do_not_spoil_the_text() {
    let metrics = Metrics::new(1);
    let (a, b) = (metrics.custom("a"), metrics.custom("b"));
    for custom in [&a, &b] {
        custom.add("hits", &[("v", "x\"\\\n")], 1).unwrap();
        custom.set("depth", &[], -0.5).unwrap();
        custom.set("nan", &[("zone", "eu")], f64::NAN).unwrap();
        custom.observe("wait", &[("zone", "eu")], 0.25).unwrap();
    }
    let text = scrape(&metrics);
    assert_eq!(text.value(r#"gofe_plugin_depth{plugin="b"}"#), Some(-0.5));
    assert_eq!(text.value(r#"gofe_plugin_wait_bucket{le="0.25",plugin="a",zone="eu"}"#), Some(1.0));
    let open = parser::open_metrics(&metrics.encode(Exposition::OpenMetrics));
    assert_eq!(open.value(r#"gofe_plugin_wait_count{plugin="a",zone="eu"}"#), Some(1.0));
}

#[test]
fn every_metric_is_documented() {
    let docs = include_str!("../../../../docs/operations.md");
    for (name, kind) in scrape(&Metrics::new(1)).kinds {
        assert!(docs.contains(&format!("| `{name}` | {kind} |")), "docs/operations.md says what {name} is");
    }
}
