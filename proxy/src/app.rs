//! Wires the parts: the only place that knows all of them.

mod control;
mod tick;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::admin;
use crate::config::{Diagnostics, Loaded};
use crate::net::acme::Acme;
use crate::reload::{self, Bound, Listeners, Prepared, Reloader, Trigger};
use crate::server::{Shared, Worker, WorkerHandle};
use crate::snapshot::{Live, Outgoing, Resources};
use crate::source;
use crate::store::Stores;
use crate::telemetry::{self, Metrics, Outputs};
use crate::upstream::Supervisor;
use crate::wasm::Engine;
use crate::watch::Watcher;
use control::{Change, Control};

/// How long plugins' outputs may take to be written at the end.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Why gofe does not start, or a configuration is not right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in the configuration.
    #[error("{0}")]
    Configuration(#[from] Diagnostics),
    /// Something that the system does not give.
    #[error("error: {0}")]
    System(String),
}

impl Error {
    fn system(what: &str, error: impl std::fmt::Display) -> Self {
        Self::System(format!("{what}: {error}"))
    }
}

/// Checks a configuration as a start would, without serving it: also plugins are loaded and check their configuration.
///
/// # Errors
/// All mistakes.
pub fn check(path: &Path) -> Result<Vec<String>, Error> {
    let loaded = crate::config::load(path)?;
    runtime()?.block_on(async {
        let resources = resources(&loaded)?;
        let prepared = reload::prepare(path, &resources).await?;
        Ok(reload::warnings(&prepared.snapshot))
    })
}

/// Serves a configuration until the process is told to end.
///
/// # Errors
/// When the configuration has mistakes, an address is taken, or the system lacks something; then nothing was started.
pub fn run(path: &Path) -> Result<(), Error> {
    let began = Instant::now();
    let loaded = crate::config::load(path)?;
    // Without a log gofe cannot begin, and with it the check begins: what else is wrong is told all the same.
    if telemetry::log::check_filter(&loaded.config.log.filter).is_err() {
        check(path)?;
    }
    let log = telemetry::log::init(&loaded.config.log).map_err(|error| Error::System(error.to_string()))?;
    let runtime = runtime()?;
    // Before the files are read for good, so that no change after that is missed.
    let mut watcher = Watcher::new();
    watcher.watch(source::files(&loaded));
    let (started, signals) = runtime.block_on(start(path, &loaded, began))?;
    runtime.block_on(started.serve(signals, watcher, &log));
    started.stop();
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::system("no event queue", error))
}

fn resources(loaded: &Loaded) -> Result<Resources, Error> {
    let workers = loaded.config.workers;
    let metrics = Metrics::new(workers);
    Ok(Resources {
        engine: Engine::new().map_err(|error| Error::System(error.to_string()))?,
        cache: cache_folder(),
        outputs: Outputs::new(workers, metrics.clone()),
        acme: Acme::new(metrics.clone()),
        metrics,
        stores: Arc::new(Stores::new()),
        outbound: Arc::new(Outgoing::new()),
        supervisor: Supervisor::new(),
        workers,
    })
}

/// Where compiled plugins are kept between starts: `$XDG_CACHE_HOME/gofe`, or `~/.cache/gofe`.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(base.join("gofe"))
}

/// A gofe that serves.
struct Started {
    reloader: Arc<Reloader>,
    shared: Arc<Shared>,
    admin: Option<admin::Server>,
    control: Arc<Control>,
    changes: tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Change>>,
}

async fn start(path: &Path, loaded: &Loaded, began: Instant) -> Result<(Started, Signals), Error> {
    let resources = resources(loaded)?;
    let Prepared { bundle, snapshot } = reload::prepare(path, &resources).await?;
    snapshot.begin(&resources.supervisor).await;
    // Before anybody can connect: from then on a signal to end must not cut a request.
    let signals = Signals::new();
    let bound = Bound::bind(&bundle.loaded, resources.workers, &Default::default())?;
    let admin = bind_admin(&bundle.loaded)?;
    let token = snapshot.admin_token.clone();
    let addresses = bound.addresses();
    for warning in reload::warnings(&snapshot) {
        warn!("{warning}");
    }
    let live = Live::new(snapshot);
    resources.outbound.follow(&live);
    let shared = Shared::new();
    let workers = workers(&live, &resources.metrics, &shared)?;
    let listeners = Listeners::new(workers, bound);
    let path = path.to_owned();
    let reloader = Arc::new(Reloader::new(path, resources, live, bundle, listeners, began));
    let (control, changes) = Control::new(reloader.clone());
    let admin = match admin {
        Some(bound) => {
            let address = bound.address();
            let server = bound.serve(control.clone(), token.as_deref());
            let server = server.map_err(|error| Error::system("the admin API does not start", error))?;
            info!(%address, "admin API");
            Some(server)
        }
        None => None,
    };
    let took = began.elapsed();
    for address in addresses {
        info!(%address, ?took, version = env!("CARGO_PKG_VERSION"), "gofe serves");
    }
    Ok((Started { reloader, shared, admin, control, changes: tokio::sync::Mutex::new(changes) }, signals))
}

fn bind_admin(loaded: &Loaded) -> Result<Option<admin::Bound>, Error> {
    let Some(config) = &loaded.config.admin else { return Ok(None) };
    let bound = admin::bind(config.address).map_err(|error| {
        let message = format!("cannot listen on {}: {error}", config.address);
        Diagnostics::from(loaded.source.error("/admin/address", message))
    })?;
    Ok(Some(bound))
}

fn workers(live: &Arc<Live>, metrics: &Arc<Metrics>, shared: &Arc<Shared>) -> Result<Vec<WorkerHandle>, Error> {
    let start = |index: usize| {
        let ticks = tick::run(live.clone(), index);
        Worker::start(index, live.clone(), metrics.clone(), shared.clone(), ticks)
    };
    let count = live.current().config().workers;
    let started: Result<Vec<_>, _> = (0..count).map(start).collect();
    started.map_err(|error| Error::system("a worker does not start", error))
}

impl Started {
    /// Follows signals, file changes and the admin API until the process is told to end.
    async fn serve(&self, mut signals: Signals, mut watcher: Watcher, log: &telemetry::log::Handle) {
        let mut changes = self.changes.lock().await;
        loop {
            tokio::select! {
                () = end(&mut signals.ends) => break,
                () = hangup(&mut signals.hangup) => drop(self.reloader.reload(Trigger::Signal).await),
                () = watcher.changed() => drop(self.reloader.reload(Trigger::File).await),
                Some(change) = changes.recv() => change.carry_out(&self.reloader, || self.follow_token()).await,
            }
            if watcher.watch(self.reloader.files()) && self.reloader.is_stale() {
                drop(self.reloader.reload(Trigger::File).await);
            }
            self.follow_token();
            let current = self.reloader.live().current();
            if let Err(error) = log.update(&current.config().log) {
                error!("the log's filter stays as it was: {error}");
            }
        }
        self.control.drains();
        info!("gofe drains: no new connections, requests in progress end");
        self.shared.drain();
        // A second signal ends the process at once.
        std::thread::spawn(|| {
            if let Ok(runtime) = runtime() {
                runtime.block_on(async { end(&mut Signals::new().ends).await });
                std::process::exit(1);
            }
        });
    }

    /// Lets the admin API ask for the token of the configuration that serves.
    fn follow_token(&self) {
        let current = self.reloader.live().current();
        let followed = self.admin.as_ref().is_none_or(|admin| admin.set_token(current.admin_token.as_deref()));
        if !followed {
            warn!("the admin API keeps its token: other machines reach it");
        }
    }

    /// Waits for the workers, and writes what is still to be written.
    fn stop(self) {
        let Self { reloader, admin, control, .. } = self;
        drop(admin);
        drop(control);
        let outputs = reloader.resources().outputs.clone();
        if let Some(reloader) = Arc::into_inner(reloader) {
            for worker in reloader.into_workers() {
                drop(worker.commands);
                if worker.thread.join().is_err() {
                    error!("a worker ended by a panic");
                }
            }
        }
        if !outputs.flush(FLUSH_TIME) {
            error!("some output of plugins could not be written");
        }
        info!("gofe ends");
    }
}

/// The signals that gofe follows.
struct Signals {
    hangup: Option<Signal>,
    ends: Vec<Signal>,
}

impl Signals {
    fn new() -> Self {
        let listen = |kind| signal(kind).inspect_err(|error| warn!("a signal is not heard: {error}")).ok();
        let ends = [SignalKind::terminate(), SignalKind::interrupt()].into_iter().filter_map(listen).collect();
        Self { hangup: listen(SignalKind::hangup()), ends }
    }
}

async fn hangup(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn end(signals: &mut [Signal]) {
    std::future::poll_fn(|cx| {
        let heard = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if heard { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
