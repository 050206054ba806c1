//! Endpoints from a file that is watched.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;

use super::{Discovery, Sink};
use crate::config;
use crate::watch::Watcher;

/// How often the file is read where nobody says that it has changed.
const LOOK: Duration = Duration::from_secs(10);

/// Reads a file, and again when it changes.
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Discovery for File {
    fn run(self: Box<Self>, sink: Sink) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // Before the file is read, so that no change after that is missed.
            let mut watcher = Watcher::new();
            loop {
                watcher.watch([self.path.clone()]);
                match config::load_endpoints(&self.path) {
                    Ok(endpoints) => sink.update(endpoints),
                    Err(mistakes) => sink.failed(mistakes.to_string()),
                }
                // Looked at from time to time all the same: the folder may not be there to be watched yet.
                let _ = timeout(LOOK, watcher.changed()).await;
            }
        })
    }
}
