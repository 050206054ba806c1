//! Which addresses are listened on, and what of a configuration can only be set at a start.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::UdpSocket;

use tracing::{info, warn};

use crate::config::{Address, Config, Diagnostic, Diagnostics, Loaded};
use crate::net;
use crate::server::{Command, WorkerHandle};
use crate::snapshot::Snapshot;

/// The addresses that are listened on, and the workers that do so.
pub struct Listeners {
    workers: Vec<WorkerHandle>,
    open: Open,
}

/// What is listened on, by the address in the file.
pub type Open = BTreeMap<Address, Opened>;

/// An address that is listened on.
pub struct Opened {
    /// The address, with the port that the system chose.
    local: Address,
    /// The file of a Unix socket; dropping it removes it.
    _file: Option<net::SocketFile>,
    /// Whether HTTP/3 is spoken there.
    quic: bool,
}

/// Sockets that are bound, before anybody accepts on them.
#[derive(Default)]
pub struct Bound {
    opened: Vec<(Address, net::Bound)>,
    closed: Vec<Address>,
    /// UDP sockets for HTTP/3, and where it ends.
    quic: Vec<(Address, UdpSocket)>,
    quic_closed: Vec<Address>,
    /// The permissions that the files of Unix sockets shall have.
    modes: Vec<(Address, u32)>,
}

impl Bound {
    /// Binds every listener of a configuration that is not open yet, with a socket for each worker.
    ///
    /// # Errors
    /// Each address that cannot be bound, at its place in the file.
    pub fn bind(loaded: &Loaded, workers: usize, open: &Open) -> Result<Self, Diagnostics> {
        let mut bound = Self::default();
        let mut errors = Vec::new();
        for (index, listener) in loaded.config.listeners.iter().enumerate() {
            let at = format!("/listeners/{index}/address");
            let mut failed = |address: &dyn Display, error: io::Error| {
                errors.push(loaded.source.error(&at, format!("cannot listen on {address}: {error}")));
            };
            if open.contains_key(&listener.address) {
                bound.modes.push((listener.address.clone(), listener.mode));
            } else {
                match net::bind(&listener.address, listener.mode, workers) {
                    Ok(sockets) => bound.opened.push((listener.address.clone(), sockets)),
                    Err(error) => failed(&listener.address, error),
                }
            }
            if listener.http3.is_some()
                && let Some(Address::Ip(local)) = bound.without_quic(&listener.address, open)
            {
                match net::bind_udp(local) {
                    Ok(socket) => bound.quic.push((listener.address.clone(), socket)),
                    Err(error) => failed(&format_args!("UDP {local}"), error),
                }
            }
        }
        if errors.is_empty() { Ok(bound) } else { Err(errors.into()) }
    }

    /// The address, with the port that the system chose, where HTTP/3 is not spoken there yet.
    fn without_quic(&self, address: &Address, open: &Open) -> Option<Address> {
        if let Some(opened) = open.get(address) {
            return (!opened.quic).then(|| opened.local.clone());
        }
        self.opened.iter().find(|(other, _)| other == address).map(|(_, bound)| bound.address.clone())
    }

    /// The addresses that were bound, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<Address> {
        self.opened.iter().map(|(_, bound)| bound.address.clone()).collect()
    }
}

impl Listeners {
    /// Lets these workers accept on sockets that are bound.
    pub fn new(workers: Vec<WorkerHandle>, bound: Bound) -> Self {
        let mut listeners = Self { workers, open: BTreeMap::new() };
        listeners.apply(bound);
        listeners
    }

    /// Binds what a new configuration adds.
    ///
    /// # Errors
    /// Addresses that cannot be bound, and changes that need a restart.
    pub(super) fn prepare(&self, next: &Snapshot, running: &Snapshot) -> Result<Bound, Diagnostics> {
        let fixed = fixed(&next.loaded, running.config());
        if !fixed.is_empty() {
            return Err(fixed.into());
        }
        let mut bound = Bound::bind(&next.loaded, self.workers.len(), &self.open)?;
        let named = |address: &Address| next.config().listeners.iter().any(|l| l.address == *address);
        let speaks =
            |address: &Address| next.config().listeners.iter().any(|l| l.address == *address && l.http3.is_some());
        let quic = self.open.iter().filter(|(address, opened)| opened.quic && !speaks(address));
        bound.quic_closed = quic.map(|(address, _)| address.clone()).collect();
        bound.closed = self.open.keys().filter(|address| !named(address)).cloned().collect();
        Ok(bound)
    }

    /// Accepts on what was bound, and no more on what is gone, and says so.
    pub(super) fn change(&mut self, bound: Bound) {
        for address in bound.addresses() {
            info!(%address, "a listener was opened");
        }
        for opened in bound.closed.iter().filter_map(|address| self.open.get(address)) {
            info!(address = %opened.local, "a listener was closed");
        }
        self.apply(bound);
    }

    fn apply(&mut self, bound: Bound) {
        for (address, net::Bound { address: local, sockets, file }) in bound.opened {
            self.open.insert(address.clone(), Opened { local, _file: file, quic: false });
            for (worker, socket) in self.workers.iter().zip(sockets) {
                // A worker that has ended accepts nothing.
                let _ = worker.commands.send(Command::Listen(address.clone(), socket));
            }
        }
        for address in bound.quic_closed {
            if let Some(opened) = self.open.get_mut(&address) {
                opened.quic = false;
            }
            for worker in &self.workers {
                let _ = worker.commands.send(Command::CloseQuic(address.clone()));
            }
        }
        for (address, socket) in bound.quic {
            self.listen_quic(address, socket);
        }
        for address in bound.closed {
            self.open.remove(&address);
            for worker in &self.workers {
                let _ = worker.commands.send(Command::Close(address.clone()));
            }
        }
        for (address, mode) in bound.modes {
            if let Some(Err(error)) = address.file().map(|path| net::set_mode(path, mode)) {
                warn!(%address, "the socket keeps its permissions: {error}");
            }
        }
    }

    /// Gives a UDP socket to one worker, which shares its clients with all. Several such sockets are spread.
    fn listen_quic(&mut self, address: Address, socket: UdpSocket) {
        let Some(opened) = self.open.get_mut(&address) else { return };
        opened.quic = true;
        let others = self.open.values().filter(|opened| opened.quic).count() - 1;
        let workers: Vec<_> = self.workers.iter().map(|worker| worker.commands.clone()).collect();
        if let Some(worker) = self.workers.get(others % self.workers.len().max(1)) {
            let _ = worker.commands.send(Command::ListenQuic(address, socket, workers));
        }
    }

    pub(super) fn into_workers(self) -> Vec<WorkerHandle> {
        self.workers
    }
}

/// What differs from the running configuration and can only be set at a start.
fn fixed(next: &Loaded, running: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut differs = |pointer: &str, what: &str| {
        let message = format!("{what} cannot be changed at a reload");
        found.push(next.source.error(pointer, message).with_help("restart gofe, or put the running value back"));
    };
    if next.config.workers != running.workers {
        differs("/workers", "the number of workers");
    }
    if next.config.admin.as_ref().map(|admin| admin.address) != running.admin.as_ref().map(|admin| admin.address) {
        differs("/admin", "the admin address");
    }
    found
}
