//! The engine that runs guests.

use std::sync::{Arc, OnceLock};

use rayon::ThreadPool;
use tracing::warn;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::clock::Clock;
use super::compilers::compilers;
use super::functions::Functions;

/// How many instances there can be at a time, in all plugins and workers.
const MAX_INSTANCES: u32 = 4096;
/// The fewest instances that are worth a start. Each takes 4 GiB of addresses, though hardly any memory.
const MIN_INSTANCES: u32 = 8;
/// A component is several core instances: the guest, and the shims that `wit-component` puts around it.
const CORE_INSTANCES_PER_COMPONENT: u32 = 4;

/// The engine cannot be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start: {0}")]
pub struct EngineError(wasmtime::Error);

/// The engine for gofe's own world, proxy-wasm and http-wasm. Cheap to clone.
///
/// Concurrency support of the component model is off: with it a call costs three times as much (320 ns in the place
/// of 95), and nothing in these contracts needs it. What needs it has [another engine](Self::concurrent).
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    clock: Arc<Clock>,
    functions: Arc<Functions>,
    /// Made when something is compiled first: a start with a full cache needs none.
    compilers: Arc<OnceLock<Option<ThreadPool>>>,
    concurrent: Arc<OnceLock<Pair>>,
}

/// An engine and what it has compiled.
type Pair = (wasmtime::Engine, Arc<Functions>);

impl Engine {
    /// Makes the engine and starts its clock.
    ///
    /// # Errors
    /// When the address space for the instance pool cannot be reserved, or the machine's processor has no compiler.
    pub fn new() -> Result<Self, EngineError> {
        let (inner, functions) = reserve(false).map_err(EngineError)?;
        let clock = Clock::start(inner.clone());
        Ok(Self { inner, clock, functions, compilers: Arc::default(), concurrent: Arc::default() })
    }

    /// The engine for components of package `wasi:http`, which need concurrency: the same clock, and all else of its own. It is
    /// made when the first such component is loaded.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn concurrent(&self) -> Result<Self, EngineError> {
        let pair = match self.concurrent.get() {
            Some(pair) => pair,
            None => {
                let pair = reserve(true).map_err(EngineError)?;
                self.concurrent.get_or_init(|| pair)
            }
        };
        let (inner, functions) = pair.clone();
        // Of two that were made at a time, one counts.
        self.clock.tick_too(&inner);
        Ok(Self { inner, functions, ..self.clone() })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    pub(super) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Runs what compiles, on threads that give way to the workers.
    pub(super) fn compile<T: Send>(&self, compile: impl FnOnce() -> T + Send) -> T {
        match self.compilers.get_or_init(compilers) {
            Some(threads) => threads.install(compile),
            None => compile(),
        }
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Forgets what is kept of plugins that are gone, to compile their next version sooner.
    pub fn keep_only(&self, exists: impl Fn(&str) -> bool) {
        if let Some((_, functions)) = self.concurrent.get() {
            functions.keep_only(&exists);
        }
        self.functions.keep_only(exists);
    }
}

/// Reserves the addresses for as many instances as there is room for. All of them take 16 TiB, which is more than
/// `ulimit -v`, valgrind or a processor with 39-bit addresses allow.
fn reserve(concurrent: bool) -> wasmtime::Result<Pair> {
    let functions = Arc::new(Functions::default());
    let mut instances = MAX_INSTANCES;
    loop {
        let mut config = config(instances, concurrent);
        config.enable_incremental_compilation(functions.clone())?;
        match wasmtime::Engine::new(&config) {
            Ok(engine) if instances == MAX_INSTANCES => return Ok((engine, functions)),
            Ok(engine) => {
                warn!(instances, "the address space is limited: more plugin instances cannot run at a time");
                return Ok((engine, functions));
            }
            Err(error) if instances <= MIN_INSTANCES => return Err(error),
            Err(_) => instances /= 2,
        }
    }
}

fn config(instances: u32, concurrent: bool) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(instances)
        .total_tables(instances * 2)
        .total_stacks(instances)
        // What a small plugin touches is cleared by writing to it, which is cheaper than giving pages back and faulting them
        // in again. Linux 6.7 and later say which pages those are; without that it is the first ones, which hold the stack.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .concurrency_support(concurrent)
        .wasm_component_model_async(concurrent)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
