//! What plugins share and remember: key-value pairs, token buckets and counters.
//!
//! It lives in the host and not in an instance, so that all workers see one truth and a swap loses nothing. Today
//! there is the [local](local) store, in this process; a store behind a network would stand beside it.

mod clock;
mod local;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use clock::Clock;
pub use local::Space;
pub use shared::{Listener, Queues, SharedData, SharedError};

/// The most bytes of a key in the key-value store.
pub const KEY_LIMIT: usize = 1 << 10;
/// The most bytes of a value.
pub const VALUE_LIMIT: usize = 1 << 20;

/// The spaces of all plugins. There is one in the process, which outlives every configuration.
#[derive(Debug, Default)]
pub struct Stores {
    clock: Clock,
    spaces: Mutex<BTreeMap<String, Arc<Space>>>,
    shared: Mutex<BTreeMap<String, Arc<SharedData>>>,
    queues: Arc<Queues>,
}

impl Stores {
    /// No spaces yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The space of a plugin: the same one for every version of it.
    pub fn space(&self, plugin: &str) -> Arc<Space> {
        let mut spaces = self.spaces.lock();
        if let Some(space) = spaces.get(plugin) {
            return Arc::clone(space);
        }
        let space = Arc::new(Space::new(self.clock.clone()));
        spaces.insert(plugin.to_owned(), Arc::clone(&space));
        space
    }

    /// What the proxy-wasm VMs of one id share.
    pub fn shared(&self, vm: &str) -> Arc<SharedData> {
        Arc::clone(self.shared.lock().entry(vm.to_owned()).or_default())
    }

    /// The queues between proxy-wasm VMs.
    pub fn queues(&self) -> Arc<Queues> {
        Arc::clone(&self.queues)
    }
}

/// What a token bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the tokens were there, and taken.
    pub allowed: bool,
    /// Whole tokens that are left.
    pub remaining: u64,
    /// Until the tokens that were asked for will be there; zero when allowed, and [`NEVER`] where they are more
    /// than the bucket holds or it does not refill.
    pub retry_after: Duration,
    /// Until the bucket is full again.
    pub reset_after: Duration,
}

/// Longer than anybody waits, and still a number of nanoseconds in 64 bits.
pub const NEVER: Duration = Duration::from_nanos(u64::MAX);

/// A key is over [`KEY_LIMIT`] or a value over [`VALUE_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is over {KEY_LIMIT} bytes or a value over {VALUE_LIMIT}")]
pub struct TooLarge;
