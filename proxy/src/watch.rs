//! Watches files for changes: their folders, because editors and deployments replace a file by renaming another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

/// A change is taken up when no other has followed for this long: a file is written in several steps.
const QUIET: Duration = Duration::from_millis(5);
/// The same where the file is complete, closed or renamed to its place: there may be a second file.
const QUIET_WHEN_COMPLETE: Duration = Duration::from_millis(1);
/// And after this long in any case.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// Watches a set of files.
pub struct Watcher {
    inner: Option<RecommendedWatcher>,
    events: mpsc::UnboundedReceiver<Event>,
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    /// A change was seen and not taken up yet.
    pending: bool,
}

impl Watcher {
    /// Watches nothing yet. Where the system gives no watcher, that is logged, and changes are not seen.
    pub fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let inner = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                // Nobody listens any more when the process ends.
                let _ = sender.send(event);
            }
        });
        let inner = inner.inspect_err(|error| warn!("files are not watched, reload with SIGHUP: {error}")).ok();
        Self { inner, events, files: BTreeSet::new(), folders: BTreeSet::new(), pending: false }
    }

    /// Watches these files from now on; true when that needs a folder which was not watched until now, so that a change
    /// since the files were read can have been missed.
    pub fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) -> bool {
        // A file may be a link to another folder, where it is then replaced: that folder counts too.
        let files = files.into_iter().map(absolute);
        self.files = files.flat_map(|file| [file.canonicalize().ok(), Some(file)]).flatten().collect();
        let folders: BTreeSet<PathBuf> = self.files.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        let Some(inner) = &mut self.inner else { return false };
        for gone in self.folders.difference(&folders) {
            // The folder may not be there any more.
            let _ = inner.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.folders.intersection(&folders).cloned().collect();
        for new in folders.difference(&self.folders) {
            match inner.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(new.clone())),
                Err(error) => warn!(folder = %new.display(), "the folder is not watched: {error}"),
            }
        }
        let added = watched.iter().any(|folder| !self.folders.contains(folder));
        self.folders = watched;
        added
    }

    /// Waits until a watched file has changed and the burst of changes is over.
    pub async fn changed(&mut self) {
        let mut quiet = Instant::now();
        while !self.pending {
            let Some(event) = self.events.recv().await else { return std::future::pending().await };
            self.pending = self.concerns(&event);
            quiet = Instant::now() + quiet_after(&event);
        }
        let end = Instant::now() + MAX_WAIT;
        while let Ok(Some(event)) = tokio::time::timeout_at(quiet.min(end), self.events.recv()).await {
            // A log in the same folder is written all the time.
            if self.concerns(&event) {
                quiet = Instant::now() + quiet_after(&event);
            }
        }
        self.pending = false;
    }

    fn concerns(&self, event: &Event) -> bool {
        let changes = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
        (changes || is_closed(event))
            && event.paths.iter().any(|path| self.files.contains(path) || is_switched_link(path))
    }
}

fn is_closed(event: &Event) -> bool {
    event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
}

fn quiet_after(event: &Event) -> Duration {
    let complete = is_closed(event) || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    if complete { QUIET_WHEN_COMPLETE } else { QUIET }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

/// Kubernetes swaps a mounted folder by switching the link `..data` in it.
fn is_switched_link(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "..data")
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
