//! The thread where upstreams are watched: discovery, health checks and outlier detection.
//!
//! There is one for the whole process, and it is not a worker: requests do not delay a check, and a check costs no
//! request anything.

use std::future::Future;
use std::sync::Arc;
use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tracing::error;

use super::members::Members;
use super::{discovery, health, outlier};

/// The thread where upstreams are watched. It is started when the first upstream needs it.
#[derive(Default)]
pub struct Supervisor {
    running: OnceLock<Option<Running>>,
}

struct Running {
    handle: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        let start = || start().inspect_err(|error| error!("upstreams are not watched: {error}")).ok();
        let running = self.running.get_or_init(start).as_ref()?;
        Some(running.handle.spawn(task).abort_handle())
    }

    /// Watches an upstream, for as long as what is returned is not dropped; none where it needs no watching.
    pub(super) fn watch(&self, members: &Arc<Members>) -> Option<Watched> {
        let config = &members.config;
        let discovery = discovery::of(&config.backend);
        if discovery.is_none() && config.health.is_none() && config.outliers.is_none() {
            return None;
        }
        let members = Arc::clone(members);
        let task = async move {
            let mut tasks = JoinSet::new();
            if let Some(discovery) = discovery {
                tasks.spawn(discovery.run(discovery::Sink::new(Arc::clone(&members))));
            }
            tasks.spawn(health::run(Arc::clone(&members)));
            tasks.spawn(outlier::run(members));
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    error!("an upstream is not watched any more: {error}");
                }
            }
        };
        self.spawn(task).map(Watched)
    }
}

/// The watch over an upstream. Dropped, it ends.
pub(super) struct Watched(AbortHandle);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start() -> std::io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (end, ended) = oneshot::channel::<()>();
    std::thread::Builder::new().name("gofe-upstreams".to_owned()).spawn(move || {
        // Nothing is ever sent: it ends when the sender is dropped.
        let _ = runtime.block_on(ended);
    })?;
    Ok(Running { handle, _end: end })
}
