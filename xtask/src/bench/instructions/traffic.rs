//! The client and the upstream: one connection, one request at a time, so that each run does the same.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long client and upstream wait before they send, so that gofe has gone to sleep: whether it finds work before it
/// sleeps, or is woken, is a race otherwise, and not the same number of instructions.
const PAUSE: Duration = Duration::from_millis(1);
/// The bytes of a response's body.
const ANSWER: usize = 1024;

/// Starts an upstream that answers every request with 200 and 1 KiB.
pub(super) fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

/// Answers until the connection ends.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {ANSWER}\r\n\r\n");
    let response = [head.into_bytes(), vec![b'x'; ANSWER]].concat();
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while read_message(&mut stream, &mut buffer)?.is_some() {
        thread::sleep(PAUSE);
        stream.write_all(&response)?;
    }
    Ok(())
}

/// Sends so many requests, each after the answer to the one before.
pub(super) fn send(address: SocketAddr, body: usize, requests: u64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (method, length) = match body {
        0 => ("GET", String::new()),
        _ => ("POST", format!("content-length: {body}\r\n")),
    };
    let head = format!(
        "{method} /api/users?page=2 HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\
         accept-encoding: gzip, br\r\nx-api-key: secret\r\n{length}\r\n"
    );
    let request = [head.into_bytes(), vec![b'y'; body]].concat();
    let mut buffer = Vec::new();
    for _ in 0..requests {
        thread::sleep(PAUSE);
        stream.write_all(&request)?;
        let head = read_message(&mut stream, &mut buffer)?.context("gofe closed the connection")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "gofe answered\n{head}");
    }
    Ok(())
}

/// Reads one message and returns its head; nothing at the end of the connection. `buffer` holds what came after it.
fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some((length, head)) = message(buffer) {
            buffer.drain(..length);
            return Ok(Some(head));
        }
        let mut chunk = [0; 64 << 10];
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The length of the first message and its head, once all of it is there.
fn message(bytes: &[u8]) -> Option<(usize, String)> {
    let head_end = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = match field("transfer-encoding:") {
        // The bodies here have no such bytes within.
        Some(_) => find(&bytes[head_end..], b"0\r\n\r\n")? + 5,
        None => field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0),
    };
    let whole = bytes.len() >= head_end + length;
    whole.then(|| (head_end + length, String::from_utf8_lossy(&bytes[..head_end]).into_owned()))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_its_body_is() {
        assert!(message(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab").is_none());
        let (length, head) = message(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET").unwrap();
        assert_eq!((length, head.len()), (41, 38));
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!(message(chunked).unwrap().0, chunked.len());
        assert!(message(&chunked[..chunked.len() - 1]).is_none());
    }
}
