//! Load in an open loop: requests begin when they are due, whatever the answers take, and are measured from then on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Requests under way at the most; where fewer are sent in a second, so many.
const CLIENTS: u64 = 800;
/// How long an answer may take; gofe's own timeout is one second.
const PATIENCE: Duration = Duration::from_secs(5);
/// A client's stack.
const STACK: usize = 128 << 10;

/// Load under way.
pub(in crate::bench) struct Load {
    clients: Vec<JoinHandle<Vec<Answer>>>,
}

struct Answer {
    took: Duration,
    status: u16,
}

/// What clients saw.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Seen {
    pub(in crate::bench) requests: usize,
    pub(in crate::bench) failed: usize,
    pub(in crate::bench) p50: Duration,
    pub(in crate::bench) p99: Duration,
}

impl Load {
    /// So many requests a second; those of the first part are not measured.
    pub(in crate::bench) fn start(to: SocketAddr, rate: u32, before: Duration, length: Duration) -> Self {
        let begin = Instant::now();
        let gap = Duration::from_secs(1) / rate;
        let next = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let next = next.clone();
            let run = move || {
                let mut answers = Vec::new();
                let mut connection = None;
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    let due = gap * u32::try_from(number).unwrap_or(u32::MAX);
                    if due >= before + length {
                        return answers;
                    }
                    std::thread::sleep((begin + due).saturating_duration_since(Instant::now()));
                    let status = ask(&mut connection, to).unwrap_or(0);
                    if due >= before {
                        answers.push(Answer { took: (begin + due).elapsed(), status });
                    }
                }
            };
            std::thread::Builder::new().stack_size(STACK).spawn(run).ok()
        };
        Self { clients: (0..CLIENTS.min(rate.into())).filter_map(client).collect() }
    }

    /// Waits for its end.
    pub(in crate::bench) fn end(self) -> Seen {
        let answers: Vec<Answer> = self.clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect();
        let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
        times.sort_unstable();
        let percentile = |percent| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        Seen {
            requests: answers.len(),
            failed: answers.iter().filter(|answer| answer.status != 200).count(),
            p50: percentile(50),
            p99: percentile(99),
        }
    }
}

/// A request on a connection at hand, or else on a new one; its status.
fn ask(connection: &mut Option<BufReader<TcpStream>>, to: SocketAddr) -> std::io::Result<u16> {
    let mut reader = match connection.take() {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            BufReader::new(stream)
        }
    };
    reader.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: users\r\n\r\n")?;
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0);
        } else if let Some(rest) = text.strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    *connection = Some(reader);
    Ok(status)
}
