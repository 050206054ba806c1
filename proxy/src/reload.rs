//! Takes a new configuration or a new plugin into service: read → check → compile → instantiate → configure → publish
//! by one atomic pointer. Any failure leaves what runs.

mod history;
mod listeners;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::config::{self, Diagnostics};
use crate::server::WorkerHandle;
use crate::snapshot::{Builder, Live, PluginState, Resources, Snapshot};
use crate::source::{self, Bundle};
use history::History;
pub use history::Record;
pub use listeners::{Bound, Listeners, Open, Opened};
pub(crate) use report::seconds;
pub use report::{ChangeError, Changed, Trigger};

/// Changes what serves.
pub struct Reloader {
    path: PathBuf,
    resources: Resources,
    live: Arc<Live>,
    history: Mutex<History>,
    listeners: Mutex<Listeners>,
    /// The digest of the files when they were read last; nothing where they had mistakes.
    read: Mutex<Option<String>>,
    busy: AtomicBool,
}

/// Holds the right to change; one at a time.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A configuration that was built, before anybody serves it.
pub struct Prepared {
    /// What it was built from.
    pub bundle: Arc<Bundle>,
    /// What will serve.
    pub snapshot: Snapshot,
}

/// Reads and builds a configuration.
///
/// # Errors
/// All mistakes at once.
pub async fn prepare(path: &Path, resources: &Resources) -> Result<Prepared, Diagnostics> {
    build(Arc::new(Bundle::read(path)?), resources, None).await
}

async fn build(
    bundle: Arc<Bundle>,
    resources: &Resources,
    running: Option<&Snapshot>,
) -> Result<Prepared, Diagnostics> {
    let snapshot = Builder::build(resources, running, &bundle.loaded, &bundle.code).await?;
    Ok(Prepared { bundle, snapshot })
}

/// What an operator should know of a snapshot that serves all the same.
pub fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let warnings = snapshot.loaded.warnings.iter().chain(snapshot.warnings.iter()).map(ToString::to_string);
    let plugins = snapshot.plugins.iter().filter_map(|(name, entry)| match &entry.state {
        PluginState::Active => None,
        PluginState::KeptOld(reason) => Some(format!("plugin `{name}`: the running version stays: {reason}")),
        PluginState::Failed(reason) => Some(format!("plugin `{name}` is not loaded, its `on-error` holds: {reason}")),
    });
    warnings.chain(plugins).collect()
}

impl Reloader {
    /// Begins with a configuration that serves already.
    pub fn new(
        path: PathBuf,
        resources: Resources,
        live: Arc<Live>,
        first: Arc<Bundle>,
        listeners: Listeners,
        began: Instant,
    ) -> Self {
        let current = live.current();
        let read = Mutex::new(Some(first.digest.clone()));
        let mut history = History::default();
        history.served(current.generation, first, Trigger::Start, began.elapsed());
        resources.metrics.serving(current.generation);
        resources.acme.follow(current.config());
        Self {
            path,
            resources,
            live,
            history: Mutex::new(history),
            listeners: Mutex::new(listeners),
            read,
            busy: AtomicBool::new(false),
        }
    }

    /// What serves.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What every configuration uses.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The configurations of the past, the newest first.
    pub fn history(&self) -> Vec<Record> {
        self.history.lock().records(self.live.current().generation)
    }

    /// The digest of the configuration that serves.
    pub fn digest(&self) -> String {
        self.history.lock().serving(self.live.current().generation).map_or_else(String::new, |b| b.digest.clone())
    }

    /// The files whose change calls for a reload. Those of a configuration that was refused count too: it is there
    /// that the operator mends what is wrong.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = source::files(&self.live.current().loaded);
        files.push(self.path.clone());
        if let Ok(loaded) = config::load(&self.path) {
            files.extend(source::files(&loaded));
        }
        files
    }

    /// Whether the files hold something else than when they were read last. What serves may differ from them: after
    /// a rollback, or when they were refused.
    pub fn is_stale(&self) -> bool {
        Bundle::read(&self.path).ok().map(|bundle| bundle.digest) != *self.read.lock()
    }

    /// Reads configuration and plugins again.
    ///
    /// # Errors
    /// When there are mistakes, or another change is under way; what runs stays.
    pub async fn reload(&self, trigger: Trigger) -> Result<Changed, ChangeError> {
        let turn = self.turn()?;
        let began = Instant::now();
        let running = self.live.current();
        let bundle = Bundle::read(&self.path);
        *self.read.lock() = bundle.as_ref().ok().map(|bundle| bundle.digest.clone());
        let prepared = match bundle {
            Ok(bundle) => self.build(Arc::new(bundle), &running).await,
            Err(mistakes) => Err(mistakes),
        };
        let changed = match prepared {
            Ok(prepared) => self.publish(prepared, &running, trigger, began),
            Err(mistakes) => Err(self.refused(&mistakes, trigger, began)),
        };
        drop(turn);
        changed
    }

    /// Brings back a configuration of the past with the plugins of that time: of this generation, or the one before
    /// the one that serves.
    ///
    /// # Errors
    /// When the history has none such, or it cannot serve any more, or another change is under way.
    pub async fn rollback(&self, generation: Option<u64>) -> Result<Changed, ChangeError> {
        let turn = self.turn()?;
        let began = Instant::now();
        let running = self.live.current();
        let bundle = self.history.lock().find(generation, running.generation);
        let bundle = bundle.ok_or(ChangeError::Unknown(generation))?;
        let changed = match self.build(bundle, &running).await {
            Ok(prepared) => self.publish(prepared, &running, Trigger::Rollback, began),
            Err(mistakes) => Err(self.refused(&mistakes, Trigger::Rollback, began)),
        };
        drop(turn);
        changed
    }

    async fn build(&self, bundle: Arc<Bundle>, running: &Snapshot) -> Result<Prepared, Diagnostics> {
        let prepared = build(bundle, &self.resources, Some(running)).await?;
        prepared.snapshot.begin(&self.resources.supervisor).await;
        Ok(prepared)
    }

    fn turn(&self) -> Result<Turn<'_>, ChangeError> {
        if self.busy.swap(true, Ordering::AcqRel) { Err(ChangeError::Busy) } else { Ok(Turn(&self.busy)) }
    }

    fn publish(
        &self,
        prepared: Prepared,
        running: &Snapshot,
        trigger: Trigger,
        began: Instant,
    ) -> Result<Changed, ChangeError> {
        let Prepared { bundle, snapshot } = prepared;
        let mut listeners = self.listeners.lock();
        let bound = listeners.prepare(&snapshot, running).map_err(|found| self.refused(&found, trigger, began))?;
        let snapshot = Arc::new(snapshot);
        let warnings = warnings(&snapshot);
        let generation = snapshot.generation;
        drop(self.live.publish(snapshot));
        listeners.change(bound);
        self.resources.acme.follow(self.live.current().config());
        self.resources.outputs.reopen();
        let took = began.elapsed();
        self.resources.metrics.reload_ok(generation, took);
        self.resources.metrics.sweep();
        let digest = bundle.digest.clone();
        self.history.lock().served(generation, bundle, trigger, took);
        // The log comes last: who has read it finds in the admin API what it says.
        info!(generation, ?trigger, ?took, "a configuration was put into service");
        warnings.iter().for_each(|warning| warn!("{warning}"));
        Ok(Changed { generation, digest, took, warnings })
    }

    fn refused(&self, mistakes: &Diagnostics, trigger: Trigger, began: Instant) -> ChangeError {
        self.resources.metrics.reload_failed();
        self.history.lock().refused(trigger, began.elapsed(), SystemTime::now(), mistakes.to_string());
        error!(?trigger, "the configuration is refused, the running one stays:\n{mistakes}");
        ChangeError::Rejected(mistakes.to_string())
    }

    /// The workers, when all is over.
    pub fn into_workers(self) -> Vec<WorkerHandle> {
        self.listeners.into_inner().into_workers()
    }
}
