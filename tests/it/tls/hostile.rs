//! What does not speak TLS, or not to the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gofe_certificates::Authority;

use super::{BOTH, start};
use crate::harness::Gofe;
use crate::harness::tls::TlsClient;

fn counts(gofe: &Gofe, result: &str, expected: u64) {
    gofe.counts(&format!("gofe_tls_handshakes_total{{result=\"{result}\"}}"), expected);
}

/// Sends bytes and reads to the end.
fn throw(gofe: &Gofe, bytes: &[u8]) {
    let mut stream = TcpStream::connect(gofe.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(bytes);
    let ended = stream.read_to_end(&mut Vec::new());
    let open = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!open, "the connection is still open after {bytes:?}");
}

#[test]
fn garbage_is_counted_and_harms_nobody() {
    let gofe = start(&Authority::new("test"), "");
    let mut other = TlsClient::new(&BOTH).connect(gofe.address, "site.test");
    other.get("/");
    let record = |content: &[u8]| [&[22, 3, 1, (content.len() >> 8) as u8, content.len() as u8], content].concat();
    let not_tls: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0xff; 600],
        &[22, 3, 1, 0xff, 0xff, 1, 2, 3],
    ];
    for bytes in not_tls {
        throw(&gofe, bytes);
    }
    counts(&gofe, "not-tls", 4);
    // Records that are whole, and hold nothing that can be understood.
    throw(&gofe, &record(&[0xab; 500]));
    throw(&gofe, &record(&[1, 0, 0, 4, 3, 3, 0, 0]));
    throw(&gofe, &[21, 3, 3, 0, 2, 2, 40]);
    throw(&gofe, &[20, 3, 3, 0, 1, 1]);
    counts(&gofe, "refused-by-client", 1);
    counts(&gofe, "protocol", 3);
    assert!(other.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_handshake_that_is_broken_off_is_counted() {
    let gofe = start(&Authority::new("test"), "");
    for bytes in [&[][..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]] {
        let mut stream = TcpStream::connect(gofe.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // gofe closes when it has seen that.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    counts(&gofe, "closed", 3);
    assert!(TlsClient::new(&BOTH).connect(gofe.address, "site.test").get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let gofe = start(&Authority::new("test"), ", handshake-timeout: 200ms");
    throw(&gofe, &[]);
    throw(&gofe, &[22, 3, 1, 2, 0, 1, 0]);
    counts(&gofe, "timeout", 2);
    gofe.counts("gofe_connections_active", 0);
}

#[test]
fn records_that_are_damaged_after_the_handshake_end_that_connection_only() {
    let gofe = start(&Authority::new("test"), "");
    let client = TlsClient::new(&BOTH);
    let mut other = client.connect(gofe.address, "site.test");
    let mut damaged = client.connect(gofe.address, "site.test");
    damaged.get("/");
    damaged.inject(&[23, 3, 3, 0, 32].into_iter().chain([0x5a; 32]).collect::<Vec<u8>>());
    assert!(damaged.try_get("/").is_err());
    assert!(other.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_drain_does_not_wait_for_handshakes() {
    let mut gofe = start(&Authority::new("test"), ", handshake-timeout: 60s");
    let mut stream = TcpStream::connect(gofe.address).unwrap();
    stream.write_all(&[22, 3, 1]).unwrap();
    // The other worker or this one: a request on a connection made later shows that both are accepted.
    TlsClient::new(&BOTH).connect(gofe.address, "site.test").get("/");
    gofe.signal("TERM");
    assert!(gofe.ended().success());
}
