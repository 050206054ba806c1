//! What the VMs of proxy-wasm plugins share: data with compare-and-set, and queues.
//!
//! Both belong to a VM id of the configuration and not to a VM, so that every worker has them and a swap loses nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// The most bytes of all keys and values of one VM id, and of all items of one queue.
const MAX_BYTES: usize = 16 << 20;
/// The most keys of one VM id, and items of one queue.
const MAX_ITEMS: usize = 65_536;
/// The most queues in the process.
const MAX_QUEUES: usize = 1024;
/// What a pair or an item takes beside its bytes, about.
const OVERHEAD: usize = 64;

/// Why nothing was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedError {
    /// Somebody else has set the key meanwhile.
    Mismatch,
    /// There is no such queue.
    NoQueue,
    /// There is no room for more.
    Full,
}

/// The pairs of one VM id.
#[derive(Debug, Default)]
pub struct SharedData(Mutex<Pairs>);

#[derive(Debug, Default)]
struct Pairs {
    entries: HashMap<Box<[u8]>, (Bytes, u32)>,
    bytes: usize,
    /// The version that the last set gave.
    version: u32,
}

impl SharedData {
    /// A value and its version, which is never 0.
    pub fn get(&self, key: &[u8]) -> Option<(Bytes, u32)> {
        self.0.lock().entries.get(key).cloned()
    }

    /// Sets a value; where a version other than 0 is given, only while that is the value's.
    ///
    /// # Errors
    /// [`SharedError::Mismatch`], or [`SharedError::Full`].
    pub fn set(&self, key: &[u8], value: Bytes, version: u32) -> Result<(), SharedError> {
        let mut pairs = self.0.lock();
        let old = pairs.entries.get(key).map(|(value, version)| (value.len(), *version));
        if old.is_some_and(|(_, current)| version != 0 && version != current) {
            return Err(SharedError::Mismatch);
        }
        let freed = old.map_or(0, |(length, _)| key.len() + length + OVERHEAD);
        let bytes = pairs.bytes - freed + key.len() + value.len() + OVERHEAD;
        if bytes > MAX_BYTES || (old.is_none() && pairs.entries.len() >= MAX_ITEMS) {
            return Err(SharedError::Full);
        }
        pairs.bytes = bytes;
        pairs.version = pairs.version.checked_add(1).unwrap_or(1);
        let version = pairs.version;
        match pairs.entries.get_mut(key) {
            Some(entry) => *entry = (value, version),
            None => drop(pairs.entries.insert(key.into(), (value, version))),
        }
        Ok(())
    }
}

/// Who wants to know of new items; it gets the queue's number.
pub type Listener = Arc<dyn Fn(u32) + Send + Sync>;

/// The queues of all VM ids.
#[derive(Default)]
pub struct Queues(Mutex<Registry>);

/// The VM's id, and the queue's name in it.
type Name = (Box<[u8]>, Box<[u8]>);

#[derive(Default)]
struct Registry {
    numbers: HashMap<Name, u32>,
    queues: HashMap<u32, Queue>,
}

struct Queue {
    items: VecDeque<Bytes>,
    bytes: usize,
    listener: Listener,
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").field("queues", &self.0.lock().queues.len()).finish()
    }
}

impl Queues {
    /// Makes a queue, or opens the one that is there. Who did that last hears of new items.
    ///
    /// # Errors
    /// [`SharedError::Full`].
    pub fn register(&self, vm: &[u8], name: &[u8], listener: Listener) -> Result<u32, SharedError> {
        let mut registry = self.0.lock();
        let key = (vm.into(), name.into());
        if let Some(&number) = registry.numbers.get(&key) {
            if let Some(queue) = registry.queues.get_mut(&number) {
                queue.listener = listener;
            }
            return Ok(number);
        }
        if registry.queues.len() >= MAX_QUEUES {
            return Err(SharedError::Full);
        }
        let number = registry.queues.len() as u32 + 1;
        registry.numbers.insert(key, number);
        registry.queues.insert(number, Queue { items: VecDeque::new(), bytes: 0, listener });
        Ok(number)
    }

    /// The number of a queue that is there.
    pub fn resolve(&self, vm: &[u8], name: &[u8]) -> Option<u32> {
        self.0.lock().numbers.get(&(vm.into(), name.into())).copied()
    }

    /// Puts an item at the end of a queue.
    ///
    /// # Errors
    /// [`SharedError::NoQueue`], or [`SharedError::Full`].
    pub fn enqueue(&self, number: u32, item: Bytes) -> Result<(), SharedError> {
        let listener = {
            let mut registry = self.0.lock();
            let queue = registry.queues.get_mut(&number).ok_or(SharedError::NoQueue)?;
            let bytes = queue.bytes + item.len() + OVERHEAD;
            if bytes > MAX_BYTES || queue.items.len() >= MAX_ITEMS {
                return Err(SharedError::Full);
            }
            queue.bytes = bytes;
            queue.items.push_back(item);
            queue.listener.clone()
        };
        listener(number);
        Ok(())
    }

    /// Takes the item at the front of a queue, where there is one.
    ///
    /// # Errors
    /// [`SharedError::NoQueue`].
    pub fn dequeue(&self, number: u32) -> Result<Option<Bytes>, SharedError> {
        let mut registry = self.0.lock();
        let queue = registry.queues.get_mut(&number).ok_or(SharedError::NoQueue)?;
        let item = queue.items.pop_front();
        if let Some(item) = &item {
            queue.bytes -= item.len() + OVERHEAD;
        }
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use bytes::Bytes;

    use super::{MAX_BYTES, Queues, SharedData, SharedError};

    #[test]
    fn a_value_is_only_replaced_by_who_knows_its_version() {
        let data = SharedData::default();
        assert_eq!(data.get(b"k"), None);
        data.set(b"k", Bytes::from_static(b"1"), 0).unwrap();
        let (value, version) = data.get(b"k").unwrap();
        assert_eq!(&value[..], b"1");
        data.set(b"k", Bytes::from_static(b"2"), version).unwrap();
        assert_eq!(data.set(b"k", Bytes::from_static(b"3"), version), Err(SharedError::Mismatch));
        assert_eq!(data.set(b"k", Bytes::from(vec![0; MAX_BYTES]), 0), Err(SharedError::Full));
        assert_eq!(&data.get(b"k").unwrap().0[..], b"2");
    }

    #[test]
    fn items_come_in_their_order_and_whoever_registered_last_hears_of_them() {
        let queues = Queues::default();
        let (first, last) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counting = |count: &Arc<AtomicU32>| {
            let count = count.clone();
            Arc::new(move |_| {
                count.fetch_add(1, Relaxed);
            })
        };
        let number = queues.register(b"vm", b"q", counting(&first)).unwrap();
        assert_eq!(queues.register(b"vm", b"q", counting(&last)), Ok(number));
        assert_eq!(queues.resolve(b"vm", b"q"), Some(number));
        assert_eq!(queues.resolve(b"other", b"q"), None);
        queues.enqueue(number, Bytes::from_static(b"a")).unwrap();
        queues.enqueue(number, Bytes::from_static(b"b")).unwrap();
        assert_eq!((first.load(Relaxed), last.load(Relaxed)), (0, 2));
        assert_eq!(queues.dequeue(number), Ok(Some(Bytes::from_static(b"a"))));
        assert_eq!(queues.dequeue(number), Ok(Some(Bytes::from_static(b"b"))));
        assert_eq!(queues.dequeue(number), Ok(None));
        assert_eq!(queues.dequeue(number + 1), Err(SharedError::NoQueue));
    }
}
