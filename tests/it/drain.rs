//! SIGTERM: what was begun is finished, nothing new begins, and the process ends with 0.

use crate::harness::{Gofe, RawUpstream, Wire};

fn site(settings: &str) -> (Gofe, RawUpstream) {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&format!(
        "{settings}routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    ));
    (gofe, upstream)
}

/// Begins a request, and returns when the upstream has it.
fn begun(gofe: &Gofe, upstream: &RawUpstream) -> (Wire, Wire) {
    let mut client = Wire::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    (client, connection)
}

/// Sends SIGTERM and waits until gofe accepts no connections any more.
fn drain(gofe: &Gofe) {
    gofe.signal("TERM");
    gofe.logged("gofe drains");
    while listens(gofe) {
        std::thread::yield_now();
    }
}

/// Whether gofe itself listens on its address. To connect would not tell: another test's gofe may get a port that was
/// just given back.
fn listens(gofe: &Gofe) -> bool {
    const LISTEN: &str = "0A";
    let sockets = std::fs::read_dir(format!("/proc/{}/fd", gofe.pid())).unwrap();
    let sockets: Vec<_> = sockets.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()).collect();
    let port = format!(":{:04X}", gofe.address.port());
    std::fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let own = |inode: &str| sockets.iter().any(|socket| socket.as_os_str() == &*format!("socket:[{inode}]"));
        fields.len() > 9 && fields[1].ends_with(&port) && fields[3] == LISTEN && own(fields[9])
    })
}

#[test]
fn a_request_in_progress_is_answered_and_then_the_process_ends_with_0() {
    let (mut gofe, upstream) = site("");
    let (mut client, mut connection) = begun(&gofe, &upstream);
    drain(&gofe);
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    assert_eq!(gofe.ended().code(), Some(0));
}

#[test]
fn a_response_in_progress_comes_to_its_end() {
    let (mut gofe, upstream) = site("");
    let (mut client, mut connection) = begun(&gofe, &upstream);
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf");
    client.until("half");
    drain(&gofe);
    connection.send("next");
    assert_eq!(client.rest(), "next");
    assert_eq!(gofe.ended().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_the_process() {
    let (mut gofe, upstream) = site("timeouts: { drain: 1h, idle: 1h }\n");
    let mut fresh = Wire::connect(gofe.address);
    let (mut used, mut connection) = begun(&gofe, &upstream);
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    used.until("hello");
    gofe.signal("TERM");
    assert_eq!((fresh.rest().as_str(), used.rest().as_str()), ("", ""));
    assert_eq!(gofe.ended().code(), Some(0));
}

#[test]
fn past_the_drain_timeout_connections_are_cut() {
    let (mut gofe, upstream) = site("timeouts: { drain: 100ms }\n");
    let (mut client, connection) = begun(&gofe, &upstream);
    gofe.signal("TERM");
    assert_eq!(client.rest(), "");
    assert_eq!(gofe.ended().code(), Some(0));
    drop(connection);
}

#[test]
fn an_interrupt_drains_as_well() {
    let (mut gofe, upstream) = site("");
    let (mut client, mut connection) = begun(&gofe, &upstream);
    gofe.signal("INT");
    gofe.logged("gofe drains");
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 204 "));
    assert_eq!(gofe.ended().code(), Some(0));
}
