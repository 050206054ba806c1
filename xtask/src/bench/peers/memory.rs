//! Connections that stay open after a request, opened one after the other or used all at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::interrupt::Interrupt;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nx-api-key: secret\r\n\r\n";
/// How long one answer may take, and all of them.
const ANSWER: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(40);

/// Connections that have had a request each.
#[derive(Debug)]
pub(super) struct Connections {
    /// The open ones, which are closed when this is dropped.
    pub(super) open: Vec<TcpStream>,
    /// How many requests were not answered with 200.
    pub(super) failed: u64,
}

/// Opens connections one after the other: each has its request and its answer before the next is opened.
pub(super) fn in_turn(port: u16, count: usize, interrupt: &Interrupt) -> Result<Connections> {
    let mut connections = Connections { open: Vec::with_capacity(count), failed: 0 };
    for _ in 0..count {
        interrupt.check()?;
        let mut connection = connect(port)?;
        connection.write_all(REQUEST)?;
        connections.keep(connection);
    }
    Ok(connections)
}

/// One request, as soon as the subject forwards it: some listen before they know where to.
pub(super) fn first(port: u16, upstream: &TcpListener, interrupt: &Interrupt) -> Result<()> {
    thread::scope(|scope| {
        let answers = scope.spawn(|| answer_together(upstream, 1, interrupt, || Ok(())));
        let forwarded = interrupt.until(Instant::now() + ANSWER, || {
            let mut connection = connect(port)?;
            connection.write_all(REQUEST)?;
            Ok(answer(&mut connection).ok().filter(|status| *status == 200))
        })?;
        answers.join().map_err(|_| anyhow!("the upstream failed"))??;
        forwarded.map(drop).context("the subject forwards nothing")
    })
}

/// Opens all connections, sends a request on each and lets the upstream answer when it has all requests, and `held` was
/// called.
pub(super) fn at_once(
    port: u16,
    count: usize,
    upstream: &TcpListener,
    interrupt: &Interrupt,
    held: impl FnOnce() -> Result<()> + Send,
) -> Result<Connections> {
    thread::scope(|scope| {
        let answers = scope.spawn(|| answer_together(upstream, count, interrupt, held));
        let mut open = (0..count).map(|_| connect(port)).collect::<Result<Vec<_>>>()?;
        for connection in &mut open {
            connection.write_all(REQUEST)?;
        }
        answers.join().map_err(|_| anyhow!("the upstream failed"))??;
        let mut connections = Connections { open: Vec::with_capacity(count), failed: 0 };
        for connection in open {
            interrupt.check()?;
            connections.keep(connection);
        }
        Ok(connections)
    })
}

impl Connections {
    /// Reads the answer and keeps the connection open.
    fn keep(&mut self, mut connection: TcpStream) {
        let good = answer(&mut connection).is_ok_and(|status| status == 200);
        self.failed += u64::from(!good);
        self.open.push(connection);
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("the subject takes no connection")?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.set_write_timeout(Some(ANSWER))?;
    Ok(connection)
}

/// Takes so many connections with a request on each, then answers all. The connections to the upstream are closed
/// then, so that what stays is the clients'.
fn answer_together(
    upstream: &TcpListener,
    count: usize,
    interrupt: &Interrupt,
    held: impl FnOnce() -> Result<()>,
) -> Result<()> {
    upstream.set_nonblocking(true)?;
    let end = Instant::now() + ALL;
    let mut waiting = Vec::with_capacity(count);
    while waiting.len() < count {
        let next = interrupt.until(end, || match upstream.accept() {
            Ok((connection, _)) => Ok(Some(connection)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        let Some(mut connection) = next else { bail!("{} of {count} requests came to the upstream", waiting.len()) };
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(ANSWER))?;
        head(&mut connection).context("a request at the upstream")?;
        waiting.push(connection);
    }
    held()?;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nConnection: close\r\n\r\n{}", "x".repeat(1024));
    waiting.iter_mut().try_for_each(|connection| connection.write_all(answer.as_bytes())).context("an answer")
}

/// Reads an answer to the end of its body and returns its status.
fn answer(connection: &mut TcpStream) -> Result<u16> {
    let (head, rest) = head(connection)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).context("no length")?;
    let mut body = vec![0; length.saturating_sub(rest)];
    connection.read_exact(&mut body)?;
    Ok(status)
}

/// Reads to the end of a message's header section. Returns it, and how many bytes came behind it.
fn head(connection: &mut TcpStream) -> Result<(String, usize)> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.read(&mut buffer)?;
        if count == 0 {
            bail!("the connection was closed");
        }
        text.extend_from_slice(&buffer[..count]);
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok((String::from_utf8_lossy(&text[..end]).into_owned(), text.len() - end - 4));
        }
    }
}
