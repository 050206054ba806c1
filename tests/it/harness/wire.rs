//! Connections byte by byte, on both sides of gofe.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a test waits for an event before it says that it did not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's connection, or one that an upstream accepted.
pub struct Wire {
    stream: TcpStream,
    /// Bytes that were read and not yet asked for.
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Writes; the peer must still be there.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Writes and says that nothing follows; the peer may have closed before it took all.
    pub fn last(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Reads up to this text, and returns all with it.
    pub fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let read: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8_lossy(&read).into_owned();
            }
            let mut chunk = [0; 16 << 10];
            let read = self.stream.read(&mut chunk).unwrap_or_else(|error| panic!("{error}: {:?}", self.seen()));
            assert!(read > 0, "closed before {end:?}: {:?}", self.seen());
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// Reads a head.
    pub fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// Reads a head, or nothing where the peer closes first.
    pub fn try_head(&mut self) -> Option<String> {
        let mut chunk = [0; 16 << 10];
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
        Some(self.head())
    }

    /// Reads until the peer closes or resets, and returns what came.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the peer does not close");
        }
        self.buffer.extend(rest);
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

/// An upstream that does on each connection what the test says, and ends with it.
pub struct RawUpstream {
    /// Where it is.
    pub address: SocketAddr,
    connections: Receiver<Wire>,
}

impl RawUpstream {
    /// Hands each connection to the test.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send(Wire::over(stream)).is_err() {
                    break;
                }
            }
        });
        Self { address, connections }
    }

    /// Reads the head of each request, answers with these bytes and closes.
    pub fn answering(bytes: &'static str) -> SocketAddr {
        let upstream = Self::start();
        let address = upstream.address;
        std::thread::spawn(move || {
            while let Ok(mut wire) = upstream.connections.recv() {
                if wire.try_head().is_some() {
                    wire.send(bytes);
                }
            }
        });
        address
    }

    /// The next connection.
    pub fn next(&self) -> Wire {
        self.connections.recv_timeout(PATIENCE).expect("gofe connects")
    }

    /// The next connection, whenever it comes.
    pub fn another(&self) -> Option<Wire> {
        self.connections.recv().ok()
    }

    /// Whether nobody has connected so far.
    pub fn is_untouched(&self) -> bool {
        self.connections.try_recv().is_err()
    }

    /// Waits until there is a connection, or this task, which may come instead of it, has ended.
    pub async fn poll<T>(&self, task: &tokio::task::JoinHandle<T>) -> Option<Wire> {
        loop {
            if let Ok(wire) = self.connections.try_recv() {
                return Some(wire);
            }
            if task.is_finished() {
                return None;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// An address where nobody listens: a free port of now may be another test's in a moment, a privileged one is not.
pub fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}
