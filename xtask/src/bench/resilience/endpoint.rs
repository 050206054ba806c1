//! A server that fails as it is told: its own process, told by lines on standard input.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

/// How long an answer takes.
const WORK: Duration = Duration::from_millis(10);
/// How long a slow one takes.
const SLOW: Duration = Duration::from_millis(500);

/// A server that fails as it is told by `cargo xtask bench resilience`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where it listens.
    address: SocketAddr,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not.
    Healthy,
    /// It answers with 500 at once.
    Errors,
    /// It reads requests and never answers.
    Hang,
    /// It takes no connection and closes those that it has.
    Refuse,
    /// It answers after half a second.
    Slow,
}

const FAULTS: [Fault; 5] = [Fault::Healthy, Fault::Errors, Fault::Hang, Fault::Refuse, Fault::Slow];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Errors => "errors",
            Self::Hang => "hangs",
            Self::Refuse => "refuses",
            Self::Slow => "slow",
        }
    }
}

#[derive(Default)]
struct State {
    fault: AtomicU8,
    count: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl State {
    fn fault(&self) -> Fault {
        FAULTS[usize::from(self.fault.load(SeqCst))]
    }
}

/// Serves until standard input ends. Its address is the first line that it prints; to `count` it answers with the number
/// of requests, to the name of a fault with `ok`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let state = Arc::new(State::default());
    let mut listener = Some(TcpListener::bind(options.address)?);
    let address = listener.as_ref().context("a listener")?.local_addr()?;
    accept(listener.as_ref().context("a listener")?.try_clone()?, state.clone());
    println!("{address}");
    for line in std::io::stdin().lines() {
        let line = line?;
        if line == "count" {
            println!("{}", state.count.load(SeqCst));
            continue;
        }
        let at = FAULTS.iter().position(|fault| fault.name() == line).context("a fault")?;
        state.fault.store(u8::try_from(at)?, SeqCst);
        if FAULTS[at] == Fault::Refuse {
            // A connection wakes who accepts, which then ends.
            drop(listener.take());
            drop(TcpStream::connect(address));
            for connection in state.connections.lock().map_err(|_| anyhow::anyhow!("a lock"))?.drain(..) {
                drop(connection.shutdown(std::net::Shutdown::Both));
            }
        } else if listener.is_none() {
            let again = TcpListener::bind(address)?;
            accept(again.try_clone()?, state.clone());
            listener = Some(again);
        }
        println!("ok");
    }
    Ok(())
}

fn accept(listener: TcpListener, state: Arc<State>) {
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if state.fault() == Fault::Refuse {
                return;
            }
            if let (Ok(own), Ok(mut connections)) = (stream.try_clone(), state.connections.lock()) {
                connections.push(own);
            }
            let state = state.clone();
            // A peer that goes away ends its thread and nothing else.
            std::thread::spawn(move || drop(serve(stream, &state)));
        }
    });
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line != "\r\n" {
            continue;
        }
        state.count.fetch_add(1, SeqCst);
        let status = match state.fault() {
            Fault::Errors => "500 Internal Server Error",
            Fault::Hang | Fault::Refuse => {
                while matches!(state.fault(), Fault::Hang | Fault::Refuse) {
                    std::thread::sleep(WORK);
                }
                return Ok(());
            }
            fault => {
                std::thread::sleep(if fault == Fault::Slow { SLOW } else { WORK });
                "200 OK"
            }
        };
        reader.get_mut().write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").as_bytes())?;
    }
}
