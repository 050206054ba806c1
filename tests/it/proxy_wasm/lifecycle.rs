//! VMs and contexts: ticks, queues, ends, failures.

use super::{ask, gofe, gofe_at, said};
use crate::harness::KeepAlive;

// covers proxy-wasm: proxy_set_tick_period_milliseconds
// covers proxy-wasm: proxy_on_tick
#[test]
fn ticks_come_without_requests() {
    let gofe = gofe("config: tick");
    while said(&gofe, "get-shared", &[("x-key", "ticks")]).len() < 3 {}
}

// covers proxy-wasm: proxy_register_shared_queue, proxy_resolve_shared_queue, proxy_enqueue_shared_queue
// covers proxy-wasm: proxy_dequeue_shared_queue
// covers proxy-wasm: proxy_on_queue_ready
#[test]
fn queues_wake_the_vm_that_registered_them() {
    let gofe = gofe("config: queue, vm: { id: v }");
    assert_eq!(said(&gofe, "enqueue", &[("x-vm", "v")]), "queued");
    while said(&gofe, "get-shared", &[("x-key", "queued")]) != "item" {}
    assert_eq!(said(&gofe, "enqueue", &[("x-vm", "other")]), "no queue");
}

// covers proxy-wasm: proxy_on_log
#[test]
fn the_log_callback_sees_the_response() {
    let gofe = gofe("config: x");
    assert_eq!(ask(&gofe, "logged", &[]).status, 200);
    gofe.logged("over: logged 200");
}

// covers proxy-wasm: proxy_on_done, proxy_on_delete
// covers proxy-wasm: proxy_done, proxy_set_effective_context
#[test]
fn a_context_lives_on_until_the_guest_is_done_with_it() {
    let gofe = gofe("config: tick");
    assert_eq!(ask(&gofe, "undone", &[]).status, 200);
    gofe.logged("over: undone");
}

#[test]
fn a_trap_ends_its_request_and_a_fresh_vm_serves_the_next() {
    let gofe = gofe("config: x");
    for _ in 0..20 {
        assert_eq!(ask(&gofe, "trap", &[]).status, 500);
        assert_eq!(said(&gofe, "configuration", &[]), "|x");
    }
    gofe.counts("gofe_plugin_faults_total{plugin=\"p\",kind=\"trap\"}", 20);
}

#[test]
fn a_trap_gives_other_streams_of_its_vm_the_failure_policy() {
    for (policy, status) in [("fail-closed", 500), ("fail-open", 200)] {
        let gofe = gofe(&format!("on-error: {policy}"));
        let address = gofe.address;
        let mut paused = KeepAlive::connect(address);
        paused.send("GET / HTTP/1.1\r\nhost: a\r\nx-test: pause\r\n\r\n");
        gofe.logged("pauses");
        let trapped = ask(&gofe, "trap", &[]);
        assert_eq!(trapped.status, status);
        assert_eq!(paused.answer().unwrap().status, status);
    }
}

#[test]
fn a_loop_ends_at_its_deadline() {
    let gofe = gofe("limits: { time: 5ms }");
    assert_eq!(ask(&gofe, "loop", &[]).status, 500);
    assert_eq!(said(&gofe, "configuration", &[]), "|");
    gofe.counts("gofe_plugin_faults_total{plugin=\"p\",kind=\"deadline\"}", 1);
}

#[test]
fn a_request_that_stays_paused_has_the_routes_deadline() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(crate::harness::guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
    let yaml = super::yaml("config: x", "{ builtin: echo }").replace("timeout: 5s", "timeout: 50ms");
    let gofe = crate::harness::Gofe::start_in(folder, &yaml);
    assert_eq!(ask(&gofe, "pause", &[]).status, 504);
    assert_eq!(ask(&gofe, "pause-response", &[]).status, 500);
    assert_eq!(said(&gofe, "configuration", &[]), "|x");
}

// covers proxy-wasm: proxy_close_stream
#[test]
fn a_closed_request_is_answered_with_503() {
    assert_eq!(ask(&gofe("config: x"), "close", &[]).status, 503);
}

#[test]
fn a_body_of_another_length_than_its_headers_say_breaks_off() {
    let upstream = crate::harness::Upstream::text("body");
    let gofe = gofe_at("config: x", &super::at(&upstream));
    let mut client = KeepAlive::connect(gofe.address);
    let broken = client.request("GET", "/", &[("x-body", "longer-response")]);
    assert!(broken.is_err() || broken.is_ok_and(|answer| !answer.body.contains("and more")));
    assert_eq!(said(&gofe, "configuration", &[]), "|x");
}
