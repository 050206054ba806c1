//! The admin API: what runs, how it does, and the two things an operator may change.
//!
//! It has a thread and a runtime of its own, so that it answers while every worker is busy, and it knows the rest of
//! gofe by the trait [`Control`] only.

mod control;
mod endpoint;
mod guard;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use self::control::{
    CertificateView, Change, ChangeError, Changed, ConfigView, Control, DiscoveryView, EndpointView, HistoryView,
    PluginState, PluginView, Trigger, UpstreamView,
};
use self::endpoint::Api;
use self::guard::Guard;

/// Connections open at a time; those beyond wait to be accepted.
const CONNECTIONS: usize = 64;
/// Bytes of a request's line and header section.
const HEADER_SIZE: usize = 16 << 10;
/// The time for a header section, and for a connection without a request.
const HEADER_READ: Duration = Duration::from_secs(5);
/// The longest life of a connection, so that peers that do not read hold no place for ever.
const LIFE: Duration = Duration::from_secs(300);
/// What a connection gets to end well.
const FAREWELL: Duration = Duration::from_secs(2);
/// The pause after a failed accept, for example when the process has no descriptors left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// An address that is taken and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes an address; port 0 takes a free port.
///
/// # Errors
/// When the port is in use or the address is not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the API on a thread of its own until the returned handle is dropped. With a token each request
    /// but the probes must carry it.
    ///
    /// # Errors
    /// When there is no token for an address that is not loopback, or no thread or runtime can be made.
    pub fn serve(self, control: Arc<dyn Control>, token: Option<&[u8]>) -> io::Result<Server> {
        if token.is_none() && !self.address.ip().is_loopback() {
            let message = format!("the admin API on {} needs a token", self.address);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let guard = Arc::new(Guard::new(token));
        let api = Arc::new(Api::new(control, Arc::clone(&guard)));
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("gofe-admin".to_owned())
            .spawn(move || runtime.block_on(accept(listener, api, stopped)))?;
        Ok(Server { address: self.address, guard, stop, thread: Some(thread) })
    }
}

/// A served admin API. Dropping it stops the API: no new connections, two seconds at most for the open ones.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    guard: Arc<Guard>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes another token, from the next request on: a reload may bring a new one. An address that is not loopback
    /// is never left without one: then the old token stays, and the result is false.
    pub fn set_token(&self, token: Option<&[u8]>) -> bool {
        let allowed = token.is_some() || self.address.ip().is_loopback();
        if allowed {
            self.guard.set_token(token);
        }
        allowed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // The thread's panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, api: Arc<Api>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let stop = stopped.clone();
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            while connections.try_join_next().is_some() {}
            let Some(stream) = next(&listener).await else { continue };
            let (api, stop) = (Arc::clone(&api), stop.clone());
            connections.spawn(async move {
                connection(stream, api, stop).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    // Those that do not end in time are cut with the runtime.
    let _ = timeout(FAREWELL, connections.join_all()).await;
}

async fn next(listener: &tokio::net::TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "the admin API cannot accept a connection");
            sleep(BACK_OFF).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, api: Arc<Api>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .max_buf_size(HEADER_SIZE)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    // What goes wrong on a connection is the client's business: it has gone, or sent what is not HTTP.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => {}
        () = sleep(LIFE) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = timeout(FAREWELL, served).await;
}
