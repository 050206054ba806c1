//! A worker: one thread with its own runtime, sockets, upstream connections and plugin instances.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{debug, error};

use super::clients::Clients;
use super::{connection, http3};
use crate::config::Address;
use crate::net::{Acceptor, Connection, Listening, QuicArrival, QuicEndpoint, send_in_turn};
use crate::snapshot::{Live, Pinner};
use crate::telemetry::Metrics;

/// How long to wait before accepting again when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all workers share.
pub struct Shared {
    /// Open connections of all workers, for the limit on them.
    connections: AtomicUsize,
    /// TLS handshakes in progress, for the limit on them.
    handshakes: AtomicUsize,
    /// Connections of each client, for the limit on them.
    pub(super) clients: Clients,
    /// Tasks that outlive their request: plugins' `complete` phases.
    tasks: AtomicUsize,
    draining: watch::Sender<bool>,
    /// The same for who looks often: reading it locks nothing.
    drains: AtomicBool,
}

impl Shared {
    /// Nothing is open yet.
    pub fn new() -> Arc<Self> {
        let (draining, _) = watch::channel(false);
        Arc::new(Self {
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            clients: Clients::default(),
            tasks: AtomicUsize::new(0),
            draining,
            drains: AtomicBool::new(false),
        })
    }

    /// Stops accepting, and lets every connection end after the requests that it has begun.
    pub fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.draining.send_replace(true);
    }

    /// Ends when gofe begins to drain.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // The sender lives as long as the workers.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Whether gofe drains.
    pub(super) fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    /// Counts a task that the drain waits for, while what is returned lives.
    pub(super) fn task(self: &Arc<Self>) -> Count {
        Count::new(self.clone(), |shared| &shared.tasks)
    }

    /// Counts a TLS handshake in progress while what is returned lives; nothing where there are `most` already.
    pub(super) fn handshake(self: &Arc<Self>, most: usize) -> Option<Count> {
        Some(Count::new(self.clone(), |shared| &shared.handshakes)).filter(|count| count.before < most)
    }

    fn is_idle(&self) -> bool {
        self.connections.load(Ordering::Acquire) == 0 && self.tasks.load(Ordering::Acquire) == 0
    }
}

/// Counts one of something while it lives.
pub(super) struct Count {
    shared: Arc<Shared>,
    of: fn(&Shared) -> &AtomicUsize,
    /// How many there were before.
    before: usize,
}

impl Count {
    fn new(shared: Arc<Shared>, of: fn(&Shared) -> &AtomicUsize) -> Self {
        let before = of(&shared).fetch_add(1, Ordering::AcqRel);
        Self { shared, of, before }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.of)(&self.shared).fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a worker is told while it runs.
pub enum Command {
    /// Accept on this socket.
    Listen(Address, Listening),
    /// Accept no more on this address; connections that are open stay.
    Close(Address),
    /// Read QUIC from this socket, and share its clients with these workers.
    ListenQuic(Address, UdpSocket, Vec<mpsc::UnboundedSender<Command>>),
    /// Take no more clients of QUIC on this address.
    CloseQuic(Address),
    /// Serve a client of QUIC that came to this address.
    Arrived(Arc<Address>, Box<QuicArrival>),
}

/// One worker, as its connections see it.
pub struct Worker {
    /// Its number, from 0.
    pub(super) index: usize,
    /// How its requests pin a configuration.
    pub(super) pinner: Pinner,
    /// Counters.
    pub(super) metrics: Arc<Metrics>,
    pub(super) shared: Arc<Shared>,
}

/// A running worker.
pub struct WorkerHandle {
    /// Tells it what to do.
    pub commands: mpsc::UnboundedSender<Command>,
    /// Its thread; it ends after a drain.
    pub thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker thread. `task` runs on it beside the connections, for as long as the worker lives.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(
        index: usize,
        live: Arc<Live>,
        metrics: Arc<Metrics>,
        shared: Arc<Shared>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<WorkerHandle> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name(format!("gofe-worker-{index}")).spawn(move || {
            let worker = Arc::new(Self { index, pinner: Pinner::new(live), metrics, shared });
            runtime.block_on(async {
                let follower = worker.clone();
                tokio::spawn(async move { follower.pinner.follow().await });
                tokio::spawn(send_in_turn());
                tokio::spawn(task);
                worker.run(receiver).await;
            });
        })?;
        Ok(WorkerHandle { commands, thread })
    }

    /// Follows commands until the drain is over.
    async fn run(self: &Arc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut drained = pin!(self.shared.drained());
        let mut accepting: HashMap<Address, AbortHandle> = HashMap::new();
        let mut quic: HashMap<Address, AbortHandle> = HashMap::new();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Listen(address, listening)) => match Acceptor::new(listening) {
                        Ok(acceptor) => {
                            let task = tokio::spawn(self.clone().accept(acceptor, address.clone()));
                            accepting.insert(address, task.abort_handle());
                        }
                        Err(error) => error!(%address, "the socket cannot be used: {error}"),
                    },
                    Some(Command::Close(address)) => if let Some(task) = accepting.remove(&address) { task.abort() },
                    Some(Command::ListenQuic(address, socket, workers)) => {
                        if let Some(task) = self.listen_quic(&address, socket, workers) {
                            quic.insert(address, task);
                        }
                    }
                    Some(Command::CloseQuic(address)) => if let Some(task) = quic.remove(&address) { task.abort() },
                    Some(Command::Arrived(at, arrival)) => self.arrived(*arrival, at),
                    None => break,
                },
                () = &mut drained => break,
            }
        }
        accepting.into_values().chain(quic.into_values()).for_each(|task| task.abort());
        let timeout = self.pinner.pin().config().timeouts.drain;
        let _ = tokio::time::timeout(timeout, self.emptied()).await;
    }

    /// Waits until nothing is in progress, in any worker.
    async fn emptied(&self) {
        while !self.shared.is_idle() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Accepts on a listener; `at` is its address in the file.
    async fn accept(self: Arc<Self>, acceptor: Acceptor, at: Address) {
        let at = Arc::new(at);
        loop {
            match acceptor.accept().await {
                Ok((connection, address)) => self.accepted(connection, address, &at),
                Err(error) => {
                    // No descriptor left, or a connection that ended before it was accepted.
                    debug!("a connection cannot be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Reads QUIC from a socket. The endpoint lives on with the connections that it has.
    fn listen_quic(
        &self,
        address: &Address,
        socket: UdpSocket,
        workers: Vec<mpsc::UnboundedSender<Command>>,
    ) -> Option<AbortHandle> {
        let pin = self.pinner.pin();
        let tls = pin.listeners.get(address).and_then(|listener| listener.tls.as_ref())?;
        match QuicEndpoint::new(socket, tls) {
            Ok(endpoint) => Some(tokio::spawn(http3::accept(endpoint, workers, address.clone())).abort_handle()),
            Err(error) => {
                error!(%address, "the UDP socket cannot be used: {error}");
                None
            }
        }
    }

    fn arrived(self: &Arc<Self>, arrival: QuicArrival, at: Arc<Address>) {
        let count = Count::new(self.shared.clone(), |shared| &shared.connections);
        let most = self.pinner.pin().config().limits.connections;
        if count.before >= most {
            self.metrics.connection_refused(self.index, "connections");
            return arrival.refuse();
        }
        let worker = self.clone();
        tokio::spawn(async move {
            worker.metrics.connection_opened(worker.index);
            http3::serve(worker.clone(), arrival, &at, count.before >= most / 2).await;
            worker.metrics.connection_closed(worker.index);
            drop(count);
        });
    }

    fn accepted(self: &Arc<Self>, connection: Connection, address: SocketAddr, at: &Arc<Address>) {
        let count = Count::new(self.shared.clone(), |shared| &shared.connections);
        if count.before >= self.pinner.pin().config().limits.connections {
            self.metrics.connection_refused(self.index, "connections");
            return;
        }
        let (worker, at) = (self.clone(), at.clone());
        tokio::spawn(async move {
            worker.metrics.connection_opened(worker.index);
            connection::serve(worker.clone(), connection, address, &at).await;
            worker.metrics.connection_closed(worker.index);
            drop(count);
        });
    }
}
