//! Headers of both versions, whole and broken.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection that begins with these bytes and ends after them gives, and what is left of it behind the header.
async fn read(bytes: &[u8], unix: bool) -> (Result<Option<SocketAddr>, &'static str>, Vec<u8>) {
    let mut connection = if unix {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(bytes).await.unwrap();
        Connection::Unix(server)
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(bytes).await.unwrap();
        Connection::Tcp(listener.accept().await.unwrap().0)
    };
    let client = read_proxy_header(&mut connection, PATIENCE).await.map_err(|error| error.reason());
    let mut rest = Vec::new();
    match &mut connection {
        Connection::Tcp(stream) => stream.read_to_end(&mut rest).await.unwrap(),
        Connection::Unix(stream) => stream.read_to_end(&mut rest).await.unwrap(),
    };
    (client, rest)
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
}

fn client(text: &str) -> Result<Option<SocketAddr>, &'static str> {
    Ok(Some(text.parse().unwrap()))
}

#[tokio::test]
async fn a_header_names_the_client_and_nothing_behind_it_is_lost() {
    let addresses = [192, 0, 2, 7, 127, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb];
    let with_more = [&addresses[..], &[0x04, 0, 2, 1, 1]].concat();
    let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 12], &[0; 16], &[0x04, 0xd2, 1, 0xbb]].concat();
    for unix in [false, true] {
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 443\r\n".to_vec(), client("192.0.2.7:1234")),
            (b"PROXY TCP6 2001:db8::7 ::1 1234 443\r\n".to_vec(), client("[2001:db8::7]:1234")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Ok(None)),
            (v2(1, 0x11, &addresses), client("192.0.2.7:1234")),
            (v2(1, 0x11, &with_more), client("192.0.2.7:1234")),
            (v2(1, 0x21, &six), client("[2001:db8::]:1234")),
            (v2(0, 0x00, &[]), Ok(None)),
        ] {
            let (found, rest) = read(&[&header[..], b"GET / HTTP/1.1\r\n"].concat(), unix).await;
            assert_eq!((found, &rest[..]), (expected, &b"GET / HTTP/1.1\r\n"[..]), "{:?}", header.escape_ascii());
        }
    }
}

#[tokio::test]
async fn a_header_that_is_wrong_is_refused_by_its_reason() {
    let long = [b"PROXY TCP4 ".to_vec(), vec![b' '; 200]].concat();
    for (bytes, reason) in [
        (b"".to_vec(), "truncated"),
        (b"PROXY TCP4 192.0.2.7".to_vec(), "truncated"),
        (v2(1, 0x11, &[0; 12])[..20].to_vec(), "truncated"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "missing"),
        (long, "too-long"),
        (v2(1, 0x11, &[0; 5000]), "too-long"),
        (b"PROXY TCP4 192.0.2.7 nowhere 1 2\r\n".to_vec(), "malformed"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 99999\r\n".to_vec(), "malformed"),
        (v2(1, 0x11, &[0; 4]), "malformed"),
        (v2(7, 0x11, &[0; 12]), "malformed"),
    ] {
        let (found, _) = read(&bytes, false).await;
        assert_eq!(found, Err(reason), "{:?}", bytes.escape_ascii().to_string());
    }
}
