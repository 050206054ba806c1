//! HTTP/2 frame by frame, for what no client would send (RFC 9113, section 4; RFC 7541).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// The error code CANCEL.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// How long the peer may take to read or to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of frames.
pub(super) struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects and begins, with settings of defaults.
    pub(super) fn connect(to: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
        Ok(Self { stream })
    }

    /// Begins a request that has a body.
    pub(super) fn open(&mut self, stream: u32, method: &str, path: &str) -> Result<()> {
        self.write(&frame(HEADERS, END_HEADERS, stream, &block(method, path)))
    }

    /// A part of its body, and not the last.
    pub(super) fn data(&mut self, stream: u32, bytes: &[u8]) -> Result<()> {
        self.write(&frame(DATA, 0, stream, bytes))
    }

    /// What [`frame`] and [`opened_and_reset`] made.
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frames)?)
    }

    /// Waits until the peer has seen everything that was sent. Streams that it ends meanwhile are an error.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.write(&frame(PING, 0, 0, &[7; 8]))?;
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length)?];
            self.stream.read_exact(&mut payload)?;
            match (head[3], head[4] & ACK) {
                (PING, ACK) => return Ok(()),
                (HEADERS | RST_STREAM, _) => bail!("a stream was not held"),
                _ => {}
            }
        }
    }

    /// Throws away what the peer has sent, without waiting; whether it is there still.
    pub(super) fn drain(&mut self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let mut buffer = [0; 16 << 10];
        let there = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(_) => {}
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false)?;
        Ok(there)
    }
}

/// So many requests from this stream on, each of which is broken off at once.
pub(super) fn opened_and_reset(first: u32, count: u32) -> Vec<u8> {
    let block = block("POST", "/");
    let pair = |stream| [frame(HEADERS, END_HEADERS, stream, &block), frame(RST_STREAM, 0, stream, &CANCEL)].concat();
    (0..count).flat_map(|number| pair(first + 2 * number)).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's fields as literals without Huffman's code. All are shorter than the 127 bytes that need a longer length.
fn block(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "bench")];
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat();
    fields.into_iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_reset_are_two_frames() {
        let bytes = opened_and_reset(1, 2);
        let half = bytes.len() / 2;
        let headers = usize::from(bytes[2]);
        assert_eq!(bytes[3..9], [HEADERS, END_HEADERS, 0, 0, 0, 1]);
        assert_eq!(bytes[9..18], *b"\0\x07:method");
        assert_eq!(bytes[9 + headers..half], [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
        assert_eq!(bytes[half + 8], 3, "the next stream of a client");
    }
}
