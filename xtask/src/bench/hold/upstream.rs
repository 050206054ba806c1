//! An upstream that takes connections and says nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// It holds its connections until it is dropped.
pub(super) struct Silent {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    count: AtomicU64,
    over: AtomicBool,
}

impl Silent {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let own = state.clone();
        let thread = thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if own.over.load(SeqCst) {
                    return;
                }
                held.push(stream);
                own.count.fetch_add(1, SeqCst);
            }
        });
        Ok(Self { address, state, thread: Some(thread) })
    }

    /// How many connections there have been.
    pub(super) fn count(&self) -> u64 {
        self.state.count.load(SeqCst)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.state.over.store(true, SeqCst);
        // A connection wakes who accepts.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
