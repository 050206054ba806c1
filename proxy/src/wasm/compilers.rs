//! The threads on which plugins are compiled. They give way to the workers, so that a swap on a busy machine takes a little
//! longer and no request does.

use rayon::{ThreadPool, ThreadPoolBuilder};
#[cfg(target_os = "linux")]
use tracing::debug;
use tracing::warn;

/// Makes the threads, one for each core; nothing where the system refuses one.
pub(super) fn compilers() -> Option<ThreadPool> {
    let name = |index| format!("gofe-compiler-{index}");
    let threads = ThreadPoolBuilder::new().thread_name(name).start_handler(|_| give_way()).build();
    threads.inspect_err(|error| warn!(%error, "plugins are compiled with the priority of workers")).ok()
}

/// How nice they are (`setpriority(2)`): beside a busy worker such a thread gets a quarter of a core. Nicer ones would put a
/// swap off for as long as all cores are busy.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        debug!(%error, "threads that compile plugins have the priority of workers");
    }
}

/// Elsewhere niceness is the process's and not the thread's.
#[cfg(not(target_os = "linux"))]
fn give_way() {}
