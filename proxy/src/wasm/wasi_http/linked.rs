//! A component with everything that it imports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;
use wasmtime::Store;
use wasmtime::component::Linker;
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};
use wasmtime_wasi_http::{p2, p3};

use super::super::recognise::WasiHttp;
use super::super::store::{Count, fault, store};
use super::super::{Abi, Artifact, Engine, Env, LoadError};
use super::guest::Guest;
use super::life::Life;
use super::next;
use crate::config;

/// One version of a component, ready to be instantiated.
pub(super) struct Linked {
    pub(super) env: Arc<Env>,
    engine: Engine,
    pre: ProxyPre<Guest>,
    environment: BTreeMap<String, String>,
    /// The most instances at a time.
    most: usize,
    pub(super) reuse: Reuse,
    live: Arc<AtomicUsize>,
    /// Dropped with this: then instances without requests end.
    used: watch::Sender<()>,
}

/// What is said of instances.
pub(super) struct Terms {
    /// Environment variables.
    pub(super) environment: BTreeMap<String, String>,
    /// The most at a time.
    pub(super) instances: usize,
    /// How they are used again.
    pub(super) reuse: config::Reuse,
}

/// How instances are used again.
#[derive(Clone, Copy)]
pub(super) struct Reuse {
    /// Requests in all.
    pub(super) requests: usize,
    /// Requests at a time.
    pub(super) concurrency: usize,
    /// How long one without requests is kept.
    pub(super) idle: std::time::Duration,
    /// Requests are served to the end, one after the other: the component is of 0.2.
    pub(super) alone: bool,
}

/// An instance that has no request yet.
pub(super) struct Made {
    pub(super) store: Store<Guest>,
    pub(super) proxy: Proxy,
    pub(super) life: Arc<Life>,
    pub(super) count: Count,
}

impl Linked {
    pub(super) fn new(engine: &Engine, artifact: &Artifact, env: Arc<Env>, terms: Terms) -> Result<Self, LoadError> {
        let refused = |error: wasmtime::Error| LoadError::abi(artifact.abi, format!("{error:#}"));
        let engine = engine.concurrent().map_err(|error| LoadError::Failed(error.to_string()))?;
        let linker = linker(&engine).map_err(refused)?;
        let pre = linker.instantiate_pre(artifact.component()?).map_err(refused)?;
        let old = matches!(artifact.abi, Abi::WasiHttp(WasiHttp::Proxy));
        let pre = match old {
            true => p2::bindings::ProxyPre::new(pre).map(ProxyPre::P2),
            false => p3::bindings::ServicePre::new(pre).map(ProxyPre::P3),
        };
        let reuse = &terms.reuse;
        Ok(Self {
            env,
            engine,
            pre: pre.map_err(refused)?,
            most: terms.instances,
            reuse: Reuse {
                requests: reuse.requests.unwrap_or(if old { 1 } else { 128 }),
                concurrency: if old { 1 } else { reuse.concurrency.unwrap_or(16) },
                idle: reuse.idle_timeout,
                alone: old,
            },
            environment: terms.environment,
            live: Arc::default(),
            used: watch::Sender::new(()),
        })
    }

    /// Makes an instance and throws it away.
    pub(super) async fn try_out(&self) -> Result<(), LoadError> {
        self.instantiate(0).await.map(drop)
    }

    /// Makes an instance.
    pub(super) async fn instantiate(&self, worker: usize) -> Result<Made, LoadError> {
        let mut count = Count::up_to(self.most, &self.live, &self.env)?;
        let clock = self.engine.clock();
        let life = Life::new(clock.clone());
        let (env, concurrency) = (self.env.clone(), self.reuse.concurrency);
        let guest = Guest::new(env, clock.clone(), &self.environment, life.clone(), worker, concurrency);
        let mut store = store(&self.engine, guest);
        match self.pre.instantiate_async(&mut store).await {
            Ok(proxy) => {
                count.memory(store.data().memory.used);
                Ok(Made { store, proxy, life, count })
            }
            Err(error) => Err(LoadError::Failed(fault(&store, &error).message)),
        }
    }

    /// Learns when this version is not used any more.
    pub(super) fn used(&self) -> watch::Receiver<()> {
        self.used.subscribe()
    }
}

/// The worlds of `wasi:http` 0.2 and 0.3, and of WASI what language runtimes import.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    p2::add_only_http_to_linker_async(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    next::link(&mut linker)?;
    Ok(linker)
}
