//! HTTP/2 frame by frame, for what no client would send (RFC 9113, section 4; RFC 7541).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A connection of frames.
pub struct Frames {
    stream: TcpStream,
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Frames {
    /// Connects and begins, with settings of defaults.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut frames = Self { stream };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends a frame; whether the peer is there still is another matter.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.stream.write_all(&frame(kind, flags, stream, payload)).is_ok()
    }

    /// Sends as many frames as the system takes without waiting, at most so many; how many these were.
    pub fn flood(&mut self, kind: u8, payload: &[u8], most: usize) -> usize {
        let frame = frame(kind, 0, 0, payload);
        self.stream.set_nonblocking(true).unwrap();
        let (mut sent, mut full) = (0, 0);
        while sent < most && full < 1000 {
            match self.stream.write(&frame) {
                Ok(written) if written == frame.len() => sent += 1,
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    full += 1;
                    std::thread::yield_now();
                }
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        sent
    }

    /// Opens a stream with these fields, none of which is looked at.
    pub fn open(&mut self, stream: u32, fields: &[(&str, &[u8])], flags: u8) -> bool {
        self.send(HEADERS, END_HEADERS | flags, stream, &block(fields))
    }

    /// The next frame but for settings and windows; nothing where the peer has closed.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.stream.read_exact(&mut payload).ok()?;
            if !matches!(head[3], SETTINGS | 8) {
                return Some(Frame { kind: head[3], flags: head[4], payload });
            }
        }
    }

    /// Waits until the peer has seen everything that was sent; false where it has closed.
    pub fn settle(&mut self) -> bool {
        self.send(PING, 0, 0, &[7; 8]);
        loop {
            match self.next() {
                Some(frame) if frame.kind == PING && frame.flags == ACK => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals without Huffman's code.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            // Lengths past a prefix of seven bits go on in another byte (RFC 7541, section 5.1).
            match u8::try_from(text.len()) {
                Ok(length @ 0..127) => block.push(length),
                _ => {
                    let rest = text.len() - 127;
                    assert!(rest < 1 << 14);
                    block.extend([127, 0x80 | (rest & 0x7f) as u8, (rest >> 7) as u8]);
                }
            }
            block.extend(text);
        }
    }
    block
}
