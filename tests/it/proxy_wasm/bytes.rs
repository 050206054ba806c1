//! Connections of `tcp` listeners, byte by byte. The guest does what stands in the client's bytes.

use crate::harness::{Gofe, RawUpstream, Wire, guest, refused_start};

/// gofe with the guest between clients and this upstream.
fn gofe(settings: &str, upstream: &RawUpstream) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
    Gofe::start_in(folder, &yaml(settings, "idle-timeout: 1m", upstream))
}

fn yaml(settings: &str, more: &str, upstream: &RawUpstream) -> String {
    format!(
        "workers: 1\nlisteners: [{{ address: '127.0.0.1:0', tcp: {{ upstream: u, chain: c, {more} }} }}]\n\
         plugins: {{ p: {{ source: file:guest.wasm, {settings} }} }}\nchains: {{ c: [p] }}\n\
         upstreams: {{ u: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    )
}

// covers proxy-wasm: proxy_on_downstream_data, proxy_on_upstream_data, proxy_on_downstream_connection_close
// covers proxy-wasm: proxy_set_buffer_bytes, proxy_get_buffer_bytes, proxy_on_done, proxy_on_log
#[test]
fn bytes_are_seen_and_changed_both_ways() {
    let upstream = RawUpstream::start();
    let gofe = gofe("config: bytes", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("as it is.");
    let mut server = upstream.next();
    server.until("as it is.");
    client.send("upper case.");
    server.until("UPPER CASE.");
    client.send("begin here.");
    server.until("> begin here.");
    server.send("the secret is safe.");
    client.until("the ****** is safe.");
    gofe.logged("upstream 19 false");
    client.last("the end");
    assert_eq!(server.rest(), "the end");
    server.send("after that");
    client.until("after that");
    drop(server);
    assert_eq!(client.rest(), "");
    for line in ["upstream 0 true", "downstream closed by the peer", "upstream closed by the peer"] {
        gofe.logged(line);
    }
    gofe.logged("connection done");
    gofe.logged("connection logged");
    gofe.counts(r#"gofe_tcp_connections_total{end="closed"}"#, 1);
}

// covers proxy-wasm: proxy_continue_stream, proxy_set_effective_context, proxy_on_tick
#[test]
fn what_is_held_back_goes_on_with_what_follows_or_when_it_is_resumed() {
    let upstream = RawUpstream::start();
    let gofe = gofe("config: bytes tick", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("first.");
    let mut server = upstream.next();
    server.until("first.");
    client.send("wait ");
    gofe.logged("downstream 5 false");
    client.send("for it\n");
    gofe.logged("downstream 12 false");
    server.until("wait for it\n");
    // Nothing follows these: the tick lets them go.
    client.send("later");
    server.until("later");
    server.send("no sooner, later");
    client.until("no sooner, later");
    client.last("later, and the end");
    assert_eq!(server.rest(), "later, and the end");
}

// covers proxy-wasm: proxy_on_new_connection
#[test]
fn a_connection_waits_until_it_is_let_in() {
    let upstream = RawUpstream::start();
    let gofe = gofe("config: bytes hold-connections tick", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("hello");
    upstream.next().until("hello");
}

// covers proxy-wasm: proxy_close_stream, proxy_on_upstream_connection_close
#[test]
fn a_connection_that_is_closed_reaches_nobody_and_goes_no_further() {
    let upstream = RawUpstream::start();
    let refusing = gofe("config: bytes refuse-connections", &upstream);
    assert_eq!(Wire::connect(refusing.address).rest(), "");
    refusing.counts(r#"gofe_tcp_connections_total{end="closed-by-plugin"}"#, 1);
    refusing.logged("connection done");
    assert!(upstream.is_untouched());

    let gofe = gofe("config: bytes", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("hello.");
    let mut server = upstream.next();
    server.until("hello.");
    client.send("close");
    assert_eq!((client.rest(), server.rest()), (String::new(), String::new()));
    gofe.logged("upstream closed by gofe");
    gofe.counts(r#"gofe_tcp_connections_total{end="closed-by-plugin"}"#, 1);
}

// covers proxy-wasm: proxy_get_property, proxy_set_property
#[test]
fn properties_tell_of_a_connection() {
    let upstream = RawUpstream::start();
    let gofe = gofe("config: bytes", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("property");
    let seen = upstream.next().until("\n");
    assert_eq!(seen, format!("p|u|{}||set||127.0.0.1\n", upstream.address));
    client.send("request");
    gofe.logged("a connection has no fields");
}

#[test]
fn a_filter_that_fails_closes_its_connections_or_is_left_out() {
    let upstream = RawUpstream::start();
    let closed = gofe("config: bytes", &upstream);
    let mut client = Wire::connect(closed.address);
    client.send("trap");
    assert_eq!(client.rest(), "");
    closed.counts(r#"gofe_tcp_connections_total{end="plugin-error"}"#, 1);
    closed.counts("gofe_plugin_faults_total{plugin=\"p\",kind=\"trap\"}", 1);
    drop(upstream.next());

    // What it held back, and what it failed with, goes on; and so do the other connections of its VM.
    let open = gofe("config: bytes, on-error: fail-open", &upstream);
    let mut other = Wire::connect(open.address);
    other.send("wait");
    let mut others = upstream.next();
    open.logged("downstream 4 false");
    let mut client = Wire::connect(open.address);
    client.send("wait");
    let mut server = upstream.next();
    client.send(" for the trap\n");
    server.until("wait for the trap\n");
    client.send("upper");
    server.until("upper");
    others.until("wait");
    other.send(" upper");
    others.until(" upper");
    // A new connection has a fresh VM.
    let mut next = Wire::connect(open.address);
    next.send("upper");
    upstream.next().until("UPPER");
}

#[test]
fn what_a_filter_holds_back_has_a_limit() {
    let upstream = RawUpstream::start();
    let gofe = gofe("config: bytes, limits: { body: 1KiB }", &upstream);
    let mut client = Wire::connect(gofe.address);
    client.send("wait");
    gofe.logged("downstream 4 false");
    client.send([b'x'; 1024]);
    assert_eq!(client.rest(), "");
    gofe.logged("it holds back more than its limit of 1024 bytes");
}

#[test]
fn a_connection_that_a_filter_holds_and_on_which_nothing_moves_ends() {
    let upstream = RawUpstream::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("proxy-wasm"), folder.path().join("guest.wasm")).unwrap();
    let gofe = Gofe::start_in(folder, &yaml("config: bytes hold-connections", "idle-timeout: 100ms", &upstream));
    assert_eq!(Wire::connect(gofe.address).rest(), "");
    gofe.counts(r#"gofe_tcp_connections_total{end="tunnel-idle"}"#, 1);
    assert!(upstream.is_untouched());
}

#[test]
fn plugins_of_other_abis_see_no_bytes() {
    let upstream = RawUpstream::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("version"), folder.path().join("guest.wasm")).unwrap();
    let refused = refused_start(folder.path(), &yaml("config: {}", "idle-timeout: 1m", &upstream));
    assert!(refused.stderr.contains("listeners[0].tcp.chain"), "{}", refused.stderr);
    assert!(refused.stderr.contains("only proxy-wasm plugins see bytes"), "{}", refused.stderr);
}
