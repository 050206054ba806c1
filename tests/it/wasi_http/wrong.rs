//! Components that do what no guest should: the client gets an answer that is right, or an error, and gofe lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Response;
use tokio::sync::Semaphore;

use super::{BOTH, start, start_with};
use crate::harness::{KeepAlive, Upstream, Wire, full, get};

// covers wasi:http: types.request, types.fields
#[test]
fn what_is_no_field_method_path_host_or_scheme_is_refused() {
    for name in BOTH {
        let gofe = start(name, "");
        // Of each list of such texts the last is a right one, which is not refused. A scheme may be any, and then the request
        // is not sent.
        assert_eq!(
            get(gofe.address, "/refused", &[]).body,
            "host,connection,keep-alive,proxy-connection,transfer-encoding,upgrade,,x a,x values=2 lengths=5 second=true \
             methods=3 paths=4 hosts=4 schemes=1 immutable=true",
            "{name}"
        );
    }
    assert_eq!(get(start("wasi-http", "").address, "/order", &[]).body, "true true true true");
}

// covers wasi:http: types.fields
#[test]
fn fields_have_room_for_64_kilobytes() {
    for name in BOTH {
        let gofe = start(name, "");
        let answer = get(gofe.address, "/many-fields", &[]);
        if name == "wasi-http" {
            // In 0.2 there is no error for it, so the call ends.
            assert_eq!(answer.status, 502);
            gofe.logged("total size of fields exceeds limit");
        } else {
            let most: usize = answer.body.parse().unwrap();
            assert!((50..64).contains(&most), "{most}");
        }
        assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name}");
    }
}

// covers wasi:http: types.status-code
#[test]
fn only_final_statuses_answer_a_request() {
    for name in BOTH {
        let gofe = start(name, "reuse: { requests: 100 }");
        let mut client = KeepAlive::connect(gofe.address);
        for none in [99, 100, 101, 103, 199, 600, 999, 1000] {
            let answer = client.get(&format!("/set-status?{none}"), &[]);
            // Numbers that are none at all the guest cannot set; to 0.3 these are those past 599 too.
            if none < 100 || none > if name == "wasi-http" { 999 } else { 599 } {
                assert_eq!((answer.status, &*answer.body), (200, "refused"), "{name} {none}");
                continue;
            }
            assert_eq!(answer.status, 502, "{name} {none}: {}", answer.head);
            assert!(gofe.logged(&format!("it answers with {none}")).contains("component-failed"));
        }
        for status in [200, 418, 599] {
            assert_eq!(client.get(&format!("/set-status?{status}"), &[]).status, status, "{name}");
        }
    }
}

// covers wasi:http: types.content-length
#[test]
fn a_body_is_never_longer_than_its_response_says() {
    for name in BOTH {
        let gofe = start(name, "reuse: { requests: 100 }");
        let mut wire = Wire::connect(gofe.address);
        let rest = wire.send("GET /longer HTTP/1.1\r\nhost: test\r\n\r\n").rest();
        assert!(rest.split("\r\n\r\n").nth(1).is_none_or(|body| body.len() < 5), "{name}: {rest}");
        // What a response without a body has in the place of one is not the next response on its connection.
        let mut client = KeepAlive::connect(gofe.address);
        for status in [204, 304] {
            let answer = client.get(&format!("/bodiless?{status}"), &[]);
            assert_eq!((answer.status, &*answer.body), (status, ""), "{name}");
            assert!(client.get("/hello", &[]).body.starts_with("hello"), "{name}");
        }
    }
}

// covers wasi:http: types.body
#[test]
fn a_body_that_a_guest_gives_up_never_looks_whole() {
    for name in BOTH {
        let gofe = start(name, "");
        let mut wire = Wire::connect(gofe.address);
        let rest = wire.send("GET /dropped HTTP/1.1\r\nhost: test\r\n\r\n").rest();
        assert!(!rest.contains("\r\n0\r\n\r\n"), "{name}: {rest}");
        assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name}");
    }
}

#[test]
fn what_a_guest_gives_in_one_call_is_no_more_than_it_has() {
    let gofe = start("wasi-http", "limits: { memory: 8MiB }");
    assert_eq!(get(gofe.address, "/overlapping", &[]).status, 502);
    gofe.logged("too much data is being copied between the host and the guest");
    assert_eq!(get(gofe.address, "/hello", &[]).status, 200);
}

// covers wasi:http: types.body
#[test]
fn a_body_without_an_end_lasts_as_long_as_somebody_reads_it() {
    for name in BOTH {
        let gofe = start(name, "limits: { memory: 8MiB }");
        let mut wire = Wire::connect(gofe.address);
        wire.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
        for _ in 0..100 {
            wire.until(&"a".repeat(4096));
        }
        drop(wire);
        gofe.counts("gofe_plugin_instances{plugin=\"upstream/c\"}", 0);
        assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name}");
    }
}

// covers wasi:http: outgoing-handler.handle, client.send
#[test]
fn an_instance_has_so_many_requests_on_their_way_and_no_more() {
    let gate = Arc::new(Semaphore::new(0));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (permits, here, seen) = (gate.clone(), now.clone(), most.clone());
    let slow = Upstream::start(move |_| {
        seen.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let (permits, here) = (permits.clone(), here.clone());
        async move {
            permits.acquire().await.unwrap().forget();
            here.fetch_sub(1, Ordering::SeqCst);
            Response::new(full("at last"))
        }
    });
    for name in BOTH {
        most.store(0, Ordering::SeqCst);
        let gofe = start(name, &format!("allow: {{ http: [\"{}\"] }}, limits: {{ time: 1s }}", slow.address));
        let mut wire = Wire::connect(gofe.address);
        let url = format!("http://{}/", slow.address);
        wire.send(format!("GET /many?200 HTTP/1.1\r\nhost: test\r\nx-url: {url}\r\nconnection: close\r\n\r\n"));
        while most.load(Ordering::SeqCst) < 128 {
            std::thread::yield_now();
        }
        gate.add_permits(128);
        let answer = wire.rest();
        assert!(answer.contains("128 72 ErrorCode::ConnectionLimitReached"), "{name}: {answer}");
        assert_eq!(most.load(Ordering::SeqCst), 128, "{name}");
        // The places are free again.
        gate.add_permits(1);
        assert_eq!(get(gofe.address, "/fetch", &[("x-url", &url)]).body, "200 at last", "{name}");
    }
}

// covers wasi:http: outgoing-handler.handle, client.send
#[test]
fn a_request_for_a_host_with_a_user_is_no_request() {
    let host = Upstream::text("a host");
    for name in BOTH {
        let keys = format!("allow: {{ http: [\"{}\", named] }}", host.address);
        let gofe = start_with(name, &keys, &format!("  named: {{ endpoints: [\"{}\"] }}\n", host.address));
        for url in [format!("http://user@{}/", host.address), "http://user@named/".to_owned()] {
            let said = get(gofe.address, "/fetch", &[("x-url", &url)]).body;
            assert!(said.starts_with("failed: ") && said.contains("RequestUriInvalid"), "{name} {url}: {said}");
        }
        assert_eq!(get(gofe.address, "/fetch", &[("x-url", "http://named/")]).body, "200 a host", "{name}");
    }
}
