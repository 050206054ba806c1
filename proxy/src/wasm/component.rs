//! gofe's own world (`wit/`): a guest that is called phase by phase.

mod abi;
mod configure;
mod exports;
mod guest;
mod host;
mod instance;
mod linked;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tracing::warn;

use super::pace::Pace;
use super::pool::{Pool, held, hold};
use super::{Artifact, Engine, Env, LoadError};
use crate::chain::{BodyPolicy, Exchange, Fault, FaultKind, Filter, Interest, Outcome, Phase};
use crate::config::{InstanceMode, OnError};
use instance::Instance;
use linked::Linked;

/// Whether the contract has an interface of this name.
pub(super) fn has_interface(name: &str) -> bool {
    host::INTERFACES.iter().any(|(interface, _)| *interface == name)
}

/// The version of the contract that this gofe speaks.
pub(super) const PACKAGE_VERSION: &str = "0.1.0";

/// One version of a plugin: code, what it is given, and its instances.
pub struct Plugin {
    engine: Engine,
    env: Arc<Env>,
    code: Linked,
    pace: Pace,
    interest: Interest,
    pool: Arc<Pool<Box<Instance>>>,
    live: Arc<AtomicUsize>,
}

impl Plugin {
    /// Makes a plugin ready: links it, makes a first instance, and lets that check its configuration.
    ///
    /// # Errors
    /// When the code does not fit the contract, fails, or finds a mistake in its configuration.
    pub async fn load(engine: &Engine, artifact: &Artifact, env: Env) -> Result<Self, LoadError> {
        let code = match artifact.module() {
            Ok(module) => Linked::core(engine, module)?,
            Err(_) => Linked::component(engine, artifact.component()?)?,
        };
        let mut plugin = Self {
            engine: engine.clone(),
            pool: Arc::new(Pool::new(env.workers)),
            pace: Pace::new(env.limits.time, !code.runs_direct()),
            env: Arc::new(env),
            code,
            interest: Interest::default(),
            live: Arc::default(),
        };
        let (instance, interest) = plugin.first_instance().await?;
        plugin.interest = plugin.bounded(interest)?;
        plugin.pool.put(0, instance);
        Ok(plugin)
    }

    /// Calls the timer phase. There is no request in hand.
    pub async fn tick(&self) {
        if !self.code.ticks() {
            return;
        }
        let mut instance = match self.waiting(0) {
            Some(instance) => instance,
            None => match self.fresh().await {
                Ok(instance) => instance,
                Err(fault) => {
                    return warn!(plugin = &*self.env.name, kind = fault.kind.name(), "tick: {}", fault.message);
                }
            },
        };
        let ticked = instance.tick(&self.code).await;
        self.pace.ended(instance.overran());
        match ticked {
            Ok(()) => self.pool.put(0, instance),
            Err(fault) => {
                self.env.metrics.fault(0, fault.kind.name());
                warn!(plugin = &*self.env.name, kind = fault.kind.name(), "tick: {}", fault.message);
            }
        }
    }

    /// An instance that waits for work on this worker.
    fn waiting(&self, worker: usize) -> Option<Box<Instance>> {
        if self.env.instance == InstanceMode::Fresh {
            return None;
        }
        // Those that were made for the other pace are thrown away.
        self.pool.take(worker).filter(|instance| instance.yields() == self.pace.yields())
    }

    /// A new instance for a call. It is rare, and its future large: it shall not be a part of every request's.
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Result<Box<Instance>, Fault>> + Send + '_>> {
        Box::pin(async { self.new_instance().await.map_err(LoadError::unavailable) })
    }

    /// What the request holds, or what waits for work.
    fn lease(&self, exchange: &mut Exchange) -> Option<Box<Instance>> {
        if self.env.instance != InstanceMode::PerCall
            && let Some(instance) = held(exchange, self.identity())
        {
            return Some(instance);
        }
        self.waiting(exchange.client.worker)
    }

    /// Gives an instance back after a call that went well, or lets the request hold it.
    fn release(&self, instance: Box<Instance>, exchange: &mut Exchange) {
        let worker = exchange.client.worker;
        let pool = match self.env.instance {
            InstanceMode::PerCall => return self.pool.put(worker, instance),
            InstanceMode::PerRequest => Some(self.pool.clone()),
            InstanceMode::Fresh => None,
        };
        hold(exchange, self.identity(), instance, pool);
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.env).addr()
    }

    /// The body limits of the configuration lower those that the plugin asks for.
    fn bounded(&self, mut interest: Interest) -> Result<Interest, LoadError> {
        for policy in [&mut interest.request_body, &mut interest.response_body] {
            if let BodyPolicy::Buffer { limit, .. } = policy {
                *limit = (*limit).min(self.env.limits.body);
            }
        }
        let missing = Phase::ALL.into_iter().find(|phase| interest.phases.has(*phase) && !self.code.has(*phase));
        match missing {
            Some(phase) => Err(LoadError::World(format!(
                "`configure` asks for the phase {phase}, which the plugin does not export"
            ))),
            None => Ok(interest),
        }
    }
}

impl Filter for Plugin {
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
        let mut instance = match self.lease(exchange) {
            Some(instance) => instance,
            None => match self.fresh().await {
                Ok(instance) => instance,
                Err(fault) => {
                    self.env.metrics.fault(worker, fault.kind.name());
                    return Outcome::Fault(fault);
                }
            },
        };
        let called = instance.call(phase, &self.code, exchange).await;
        self.pace.ended(instance.overran());
        self.env.metrics.call(worker, phase as usize, exchange.lap());
        let called = called.and_then(|()| {
            self.release(instance, exchange);
            match exchange.failure.take() {
                None => Ok(exchange.reply.is_some()),
                Some(message) => Err(Fault { kind: FaultKind::Failed, message }),
            }
        });
        self.env.outcome(called, exchange)
    }
}
