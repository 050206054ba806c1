//! proxy-wasm 0.1.0, 0.2.0 and 0.2.1: what Envoy, Istio, Kong, APISIX, Higress and nginx run.
//!
//! Each worker has one [VM](vm::Vm) with a plugin context, and in it a context for each request ([`stream`]). Its memory
//! serves many requests, so calls into it are not async: one that began goes on to its end, or to its deadline. A request
//! that the guest paused waits in the future of its phase, with its exchange lent to the context, so that any callback may
//! change and resume it.

mod abi;
mod callout;
mod connection;
mod contexts;
mod data;
mod exports;
mod host;
mod pairs;
mod slot;
mod stream;
#[cfg(test)]
mod tests;
mod vm;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use wasmtime::{InstancePre, Linker};

use super::clock::TICK;
use super::{Abi, Artifact, Engine, Env, LoadError};
use crate::chain::{BodyPolicy, Exchange, Filter, Interest, Outcome, Phase, Phases};
use crate::config::OnError;
use data::Host;
use slot::{Entered, Slot};

pub use connection::Connection;

/// One version of a proxy-wasm plugin.
pub struct ProxyWasmFilter {
    code: Arc<Code>,
    interest: Interest,
    /// One for each worker.
    slots: Box<[Arc<Slot>]>,
}

/// What the VMs of a plugin are made of.
struct Code {
    engine: Engine,
    env: Arc<Env>,
    abi: Abi,
    pre: InstancePre<Host>,
    live: Arc<AtomicUsize>,
}

impl ProxyWasmFilter {
    /// Makes a plugin ready: starts a VM for each worker, which lets the plugin check its configuration.
    ///
    /// # Errors
    /// When the code does not fit the ABI, fails, or refuses its configuration.
    pub fn load(engine: &Engine, artifact: &Artifact, env: Env) -> Result<Self, LoadError> {
        let misfit = |error: wasmtime::Error| LoadError::abi(artifact.abi, format!("{error:#}"));
        let module = artifact.module()?;
        let mut linker = Linker::new(engine.wasmtime());
        host::link(&mut linker, module).map_err(misfit)?;
        let pre = linker.instantiate_pre(module).map_err(misfit)?;
        let workers = env.workers.max(1);
        let interest = interest(module);
        let (engine, env) = (engine.clone(), Arc::new(env));
        let code = Arc::new(Code { engine, env, abi: artifact.abi, pre, live: Arc::default() });
        let slots: Box<[_]> = (0..workers).map(|worker| Slot::new(&code, worker)).collect();
        for slot in &slots {
            slot.start()?;
        }
        Ok(Self { code, interest, slots })
    }

    /// Serves a worker's VM: ticks, queues and callouts, until the future is dropped.
    pub async fn attend(&self, worker: usize) {
        self.slot(worker).clone().attend().await;
    }

    fn slot(&self, worker: usize) -> &Arc<Slot> {
        &self.slots[worker % self.slots.len()]
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.code).addr()
    }

    /// The rest of a phase where the first look did not end it. It is rare, and its future large.
    async fn go_on(&self, slot: &Arc<Slot>, phase: Phase, exchange: &mut Exchange, entered: Entered) -> Outcome {
        let entered = match entered {
            Entered::Vacant => match slot.renew().await {
                Ok(()) => slot.enter(self.identity(), phase, exchange),
                Err(error) => return Outcome::Fault(error.unavailable()),
            },
            entered => entered,
        };
        match entered {
            Entered::Done(outcome) => outcome,
            Entered::Vacant => Outcome::Fault(LoadError::Failed("its VM ended again".to_owned()).unavailable()),
            Entered::Paused(serial, context) => {
                // The request's own deadline ends what comes before the response's headers.
                let bounded = matches!(phase, Phase::ResponseHeaders | Phase::ResponseBody);
                let most = if bounded { slot.timeout(serial, context) } else { None };
                slot.wait((serial, context), phase, exchange, most).await
            }
        }
    }
}

impl Drop for ProxyWasmFilter {
    fn drop(&mut self) {
        for slot in &self.slots {
            slot.stop();
        }
    }
}

impl Filter for ProxyWasmFilter {
    fn name(&self) -> &str {
        &self.code.env.name
    }

    fn interest(&self) -> Interest {
        self.interest
    }

    fn on_error(&self) -> OnError {
        self.code.env.on_error
    }

    async fn call(&self, phase: Phase, exchange: &mut Exchange) -> Outcome {
        let worker = exchange.client.worker;
        let slot = self.slot(worker);
        let outcome = match slot.enter(self.identity(), phase, exchange) {
            Entered::Done(outcome) => outcome,
            entered => Box::pin(self.go_on(slot, phase, exchange, entered)).await,
        };
        let env = &self.code.env;
        let took = exchange.lap();
        env.metrics.call(worker, phase as usize, took);
        if is_long(took) {
            let_others_go().await;
        }
        match outcome {
            Outcome::Fault(fault) => env.failed(fault, exchange),
            outcome => outcome,
        }
    }
}

/// Whether a call has taken so long that others on its worker should have their turn before the plugin's next one.
fn is_long(took: Duration) -> bool {
    took > TICK
}

/// After a call that was long: no two of them come in a row while others wait. Boxed, as it is rare.
fn let_others_go() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(tokio::task::yield_now())
}

/// The phases that a module has callbacks for.
fn interest(module: &wasmtime::Module) -> Interest {
    let has = |names: &[&str]| names.iter().any(|name| module.get_export(name).is_some());
    let mut interest = Interest { phases: Phases::default().with(Phase::RequestHeaders), ..Interest::default() };
    if has(&["proxy_on_request_body", "proxy_on_request_trailers"]) {
        interest.phases = interest.phases.with(Phase::RequestBody);
        interest.request_body = BodyPolicy::Framed;
    }
    if has(&["proxy_on_response_headers"]) {
        interest.phases = interest.phases.with(Phase::ResponseHeaders);
    }
    if has(&["proxy_on_response_body", "proxy_on_response_trailers"]) {
        interest.phases = interest.phases.with(Phase::ResponseBody);
        interest.response_body = BodyPolicy::Framed;
    }
    if has(&["proxy_on_done", "proxy_on_log"]) {
        interest.phases = interest.phases.with(Phase::Complete);
    }
    interest
}
