//! A client that sends requests at times of its own, whatever the answers take: an open loop. The times are spread evenly
//! over a second, and the connections take turns. Other clients send a burst each time their clock ticks, so that a
//! percentile is what a burst costs.
//!
//! It prints a line for each request with the microseconds until its answer was complete, `ok 812`; one that failed is
//! `failed` and why, and its connection's last. The time begins when the request is sent. Where it could not be sent when it
//! was due, since the answer to the one before was late, it begins when it was due: that wait is the server's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// From the start of the threads to the first request.
const START: Duration = Duration::from_millis(50);

#[derive(Debug, Parser)]
struct Options {
    /// The server's port on the loopback address.
    #[arg(long)]
    port: u16,
    /// How long to go on.
    #[arg(long)]
    seconds: u64,
    /// How many connections take turns.
    #[arg(long)]
    connections: u32,
    /// Requests a second, on all connections together.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// A field of each request, `name: value`.
    #[arg(long)]
    header: String,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n\r\n", options.header);
    let apart = Duration::from_secs(1) / options.rate;
    let first = Instant::now() + START;
    let end = first + Duration::from_secs(options.seconds);
    let mut threads = Vec::new();
    for turn in 0..options.connections {
        let connection = Connection::open(address)?;
        let (request, due, every) = (request.clone(), first + apart * turn, apart * options.connections);
        threads.push(thread::spawn(move || send(connection, request.as_bytes(), due, every, end)));
    }
    for thread in threads {
        match thread.join() {
            Ok(lines) => print!("{lines}"),
            Err(_) => bail!("a thread panicked"),
        }
    }
    Ok(())
}

/// Sends a request each time that one is due.
fn send(mut connection: Connection, request: &[u8], mut due: Instant, every: Duration, end: Instant) -> String {
    let mut lines = String::new();
    while due < end {
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        let begun = if early.is_zero() { due } else { Instant::now() };
        match connection.ask(request) {
            Ok(()) => lines += &format!("ok {}\n", begun.elapsed().as_micros()),
            Err(error) => return lines + &format!("failed {error:#}\n"),
        }
        due += every;
    }
    lines
}

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads its answer, which must be 200 and say its length.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(request)?;
        self.line()?;
        ensure!(self.line.starts_with("HTTP/1.1 200"), "the answer is {}", self.line.trim_end());
        let mut length = None;
        loop {
            self.line()?;
            let Some((name, value)) = self.line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
        }
        self.body.resize(length.context("the answer does not say its length")?, 0);
        Ok(self.stream.read_exact(&mut self.body)?)
    }

    fn line(&mut self) -> Result<()> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line)? > 0, "the connection was closed");
        Ok(())
    }
}
