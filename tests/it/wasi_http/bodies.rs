//! Bodies through components: as they come, at the reader's pace, with trailers, and broken off where they break.

use std::io::{Read, Write};
use std::net::TcpStream;

use http_body_util::BodyExt;
use hyper::Response;

use super::{BOTH, start};
use crate::harness::{Upstream, Wire, full, get, post};

// covers wasi:http: types.body
#[test]
fn a_body_streams_through_a_component_in_both_directions() {
    for name in BOTH {
        let gofe = start(name, "");
        let mut wire = Wire::connect(gofe.address);
        wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
        wire.send("5\r\nfirst\r\n");
        // The first part is back before the second is sent.
        assert!(wire.head().starts_with("HTTP/1.1 200"), "{name}");
        wire.until("first");
        wire.send("6\r\nsecond\r\n0\r\n\r\n");
        wire.until("second");
        wire.until("0\r\n\r\n");
        let long = "0123456789".repeat(100_000);
        assert_eq!(post(gofe.address, "/echo", &[], &long).body, long, "{name}");
    }
}

// covers wasi:http: types.trailers
#[test]
fn trailers_pass_through_a_component() {
    for name in BOTH {
        let gofe = start(name, "");
        let mut wire = Wire::connect(gofe.address);
        wire.send(
            "POST /echo HTTP/1.1\r\nhost: test\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
        );
        wire.head();
        let rest = wire.until("\r\n\r\n").to_ascii_lowercase();
        assert!(rest.contains("x-sum: 42") && rest.contains("x-by: guest"), "{name}: {rest}");
    }
}

// covers wasi:http: types.body
#[test]
fn who_does_not_read_stops_who_sends() {
    for name in BOTH {
        let gofe = start(name, "");
        let mut stream = TcpStream::connect(gofe.address).unwrap();
        stream
            .write_all(b"POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        stream.set_nonblocking(true).unwrap();
        // Nobody reads what comes back: after what buffers hold, no byte more is taken.
        let chunk = [b"10000\r\n".as_slice(), &[b'Z'; 0x10000], b"\r\n"].concat();
        let (mut sent, mut stuck) = (0_usize, 0);
        while stuck < 200 {
            match stream.write(&chunk[sent % chunk.len()..]) {
                Ok(written) => (sent, stuck) = (sent + written, 0),
                Err(_) => {
                    stuck += 1;
                    // The time of a request is an event that gofe makes progress by, or could.
                    assert_eq!(get(gofe.address, "/hello", &[]).status, 200);
                }
            }
            assert!(sent < 256 << 20, "{name} takes all");
        }
        // It goes on as soon as somebody reads.
        stream.set_nonblocking(false).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all.iter().filter(|byte| **byte == b'Z').count()
        });
        let rest = chunk.len() - sent % chunk.len();
        stream.write_all(&chunk[chunk.len() - rest..]).unwrap();
        stream.write_all(b"0\r\n\r\n").unwrap();
        let chunks = (sent + rest) / chunk.len();
        assert_eq!(reading.join().unwrap(), chunks * 0x10000, "{name}");
    }
}

// covers wasi:http: types.body
#[test]
fn bodies_stream_between_a_component_and_the_server_that_it_asks() {
    let upstream = Upstream::start(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().map_or(0, hyper::HeaderMap::len);
        let text = format!("got {} bytes and {trailers} trailers", body.to_bytes().len());
        Response::new(full(Box::leak(text.into_boxed_str())))
    });
    for name in BOTH {
        let gofe = start(name, &format!("allow: {{ http: [\"{}\"] }}", upstream.address));
        let url = format!("http://{}/", upstream.address);
        let answer = post(gofe.address, "/forward", &[("x-url", &url)], &"x".repeat(300_000));
        assert_eq!((answer.status, &*answer.body), (200, "got 300000 bytes and 0 trailers"), "{name}");
        let mut wire = Wire::connect(gofe.address);
        wire.send(format!(
            "POST /forward HTTP/1.1\r\nhost: test\r\nx-url: {url}\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n"
        ));
        wire.until("got 4 bytes and ");
    }
}

// covers wasi:http: types.content-length
#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    for name in BOTH {
        let gofe = start(name, "");
        let mut wire = Wire::connect(gofe.address);
        wire.send("POST /trap-in-body HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n");
        assert!(wire.head().starts_with("HTTP/1.1 200"), "{name}");
        wire.until("the first half");
        let rest = wire.send("go").rest();
        assert!(!rest.contains("0\r\n\r\n"), "{name}: {rest}");
        // The guest sees that its client went away, and lives.
        let mut wire = Wire::connect(gofe.address);
        wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nshort");
        wire.head();
        drop(wire);
        assert_eq!(get(gofe.address, "/hello", &[]).status, 200, "{name}");
    }
    let gofe = start("wasi-http", "");
    let mut wire = Wire::connect(gofe.address);
    wire.send("GET /lies HTTP/1.1\r\nhost: test\r\n\r\n");
    let rest = wire.rest();
    assert!(rest.split("\r\n\r\n").nth(1).is_none_or(|body| body.len() < 100), "{rest}");
}

#[test]
fn a_body_over_the_clients_limit_is_the_clients_fault() {
    let gofe = start("wasi-http", "");
    let folder = gofe.folder().join("gofe.yaml");
    let yaml = std::fs::read_to_string(folder).unwrap().replace("name: r,", "name: r, body-size: 1000,");
    gofe.write(&yaml);
    gofe.tell("/reload");
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 2000\r\n\r\n");
    assert!(wire.head().starts_with("HTTP/1.1 413"));
}
