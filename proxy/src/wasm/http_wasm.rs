//! The http-wasm handler ABI: a core module that handles a request, and after the next handler its response.
//!
//! <https://http-wasm.io/http-handler-abi/>. What the next handler is to the guest, is to gofe the rest of the chain and
//! the upstream.

mod call;
mod guest;
mod host;
mod instance;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use wasmtime::{ExternType, InstancePre, Linker, Module, ValType};

use super::pace::Pace;
use super::pool::{Pool, held, hold};
use super::{Abi, Artifact, Engine, Env, LoadError};
use crate::chain::{Exchange, Fault, Filter, Interest, Outcome, Phase, Phases};
use crate::config::{InstanceMode, OnError};
use guest::Guest;
use instance::Instance;

/// One version of a plugin: code, what it is given, and its instances.
pub struct HttpWasm {
    engine: Engine,
    env: Arc<Env>,
    pre: InstancePre<Guest>,
    pace: Pace,
    interest: Interest,
    pool: Arc<Pool<Box<Instance>>>,
    live: Arc<AtomicUsize>,
}

impl HttpWasm {
    /// Makes a plugin ready: links it and makes a first instance.
    ///
    /// # Errors
    /// When the code does not keep to the ABI, or fails while it starts.
    pub async fn load(engine: &Engine, artifact: &Artifact, env: Env) -> Result<Self, LoadError> {
        let abi = |error: wasmtime::Error| LoadError::abi(Abi::HttpWasm, format!("{error:#}"));
        let module = artifact.module()?;
        check(module)?;
        let mut linker = Linker::new(engine.wasmtime());
        host::link(&mut linker).map_err(abi)?;
        if module.imports().any(|import| import.module() == "wasi_snapshot_preview1") {
            wasmtime_wasi::p1::add_to_linker_async(&mut linker, Guest::wasi).map_err(abi)?;
        }
        let pre = linker.instantiate_pre(module).map_err(abi)?;
        let waits = module.imports().any(|import| host::waits(import.module(), import.name()));
        let plugin = Self {
            engine: engine.clone(),
            pool: Arc::new(Pool::new(env.workers)),
            pace: Pace::new(env.limits.time, waits),
            env: Arc::new(env),
            pre,
            interest: interest(module),
            live: Arc::default(),
        };
        plugin.pool.put(0, plugin.instantiate().await?);
        Ok(plugin)
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.env).addr()
    }

    /// An instance that waits for work on this worker, or a new one. Making one is rare and its future large.
    async fn lease(&self, worker: usize) -> Result<Box<Instance>, Fault> {
        let waiting = if self.env.instance == InstanceMode::Fresh { None } else { self.pool.take(worker) };
        match waiting {
            Some(instance) => Ok(instance),
            None => {
                let new: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(self.instantiate());
                new.await.map_err(LoadError::unavailable)
            }
        }
    }

    /// The request is over for the plugin.
    fn release(&self, instance: Box<Instance>, worker: usize) {
        if self.env.instance != InstanceMode::Fresh {
            self.pool.put(worker, instance);
        }
    }

    async fn request(&self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let worker = exchange.client.worker;
        let mut instance = self.lease(worker).await?;
        let called = instance.handle_request(exchange, self.pace.yields()).await;
        self.pace.ended(instance.overran());
        let next = called?;
        if !next || !self.interest.phases.has(Phase::ResponseHeaders) {
            self.release(instance, worker);
        } else {
            let pool = (self.env.instance != InstanceMode::Fresh).then(|| self.pool.clone());
            hold(exchange, self.identity(), instance, pool);
        }
        Ok(!next)
    }

    async fn response(&self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let Some(mut instance) = held::<Box<Instance>>(exchange, self.identity()) else { return Ok(false) };
        let called = instance.handle_response(exchange, self.pace.yields()).await;
        self.pace.ended(instance.overran());
        let replaced = called?;
        self.release(instance, exchange.client.worker);
        Ok(replaced)
    }
}

impl Filter for HttpWasm {
    fn name(&self) -> &str {
        &self.env.name
    }

    fn interest(&self) -> Interest {
        self.interest
    }

    fn on_error(&self) -> OnError {
        self.env.on_error
    }

    async fn call(&self, phase: Phase, exchange: &mut Exchange) -> Outcome {
        let worker = exchange.client.worker;
        let called = match phase {
            Phase::RequestHeaders => self.request(exchange).await,
            Phase::ResponseHeaders => self.response(exchange).await,
            _ => Ok(false),
        };
        self.env.metrics.call(worker, phase as usize, exchange.lap());
        self.env.outcome(called, exchange)
    }
}

/// Which phases a guest takes part in, and whether it can touch bodies, by the functions that it imports.
fn interest(module: &Module) -> Interest {
    let phases = Phases::default().with(Phase::RequestHeaders);
    let responds = module.get_export("handle_response").is_some();
    let bodies = ["read_body", "write_body", "enable_features"];
    let takes_bodies =
        module.imports().any(|import| import.module() == host::MODULE && bodies.contains(&import.name()));
    Interest {
        phases: if responds { phases.with(Phase::ResponseHeaders) } else { phases },
        takes_bodies,
        ..Interest::default()
    }
}

/// What the ABI asks of a guest's exports.
fn check(module: &Module) -> Result<(), LoadError> {
    let wrong = |reason: &str| Err(LoadError::abi(Abi::HttpWasm, reason));
    let is = |name: &str, parameters: usize, result: Option<ValType>| match module.get_export(name) {
        Some(ExternType::Func(ty)) => {
            let mut results = ty.results();
            let matches = match (results.next(), result) {
                (Some(found), Some(wanted)) => ValType::eq(&found, &wanted),
                (None, None) => true,
                _ => false,
            };
            matches
                && results.next().is_none()
                && ty.params().len() == parameters
                && ty.params().all(|ty| ValType::eq(&ty, &ValType::I32))
        }
        _ => false,
    };
    if !is("handle_request", 0, Some(ValType::I64)) {
        return wrong("it does not export `handle_request` as a function without parameters that gives an i64");
    }
    if module.get_export("handle_response").is_some() && !is("handle_response", 2, None) {
        return wrong("it exports `handle_response`, but not as a function of two i32 that gives nothing");
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(ty)) if !ty.is_64() && !ty.is_shared() => Ok(()),
        _ => wrong("it does not export its memory as `memory`"),
    }
}
