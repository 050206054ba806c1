//! The kinds of step that a chain can have, and what is known of a plugin.

use std::sync::Arc;

use crate::chain::{Exchange, Fault, FaultKind, Filter, Interest, Outcome, Passenger, Phase, Phases};
use crate::config::{OnError, Plugin as PluginConfig};
use crate::wasm::{
    Abi, Artifact, Connection, Digest, Engine, Env, HttpWasm, LoadError, Middleware, Plugin, ProxyWasmFilter,
};

/// A step of a chain: one variant for each plugin ABI, so that no phase allocates a boxed future.
#[expect(clippy::large_enum_variant, reason = "there are few of them, each behind an Arc")]
pub enum Step {
    /// A plugin of gofe's own world.
    Component(Plugin),
    /// A proxy-wasm plugin.
    ProxyWasm(ProxyWasmFilter),
    /// An http-wasm plugin.
    HttpWasm(HttpWasm),
    /// A component that stands before another handler of `wasi:http`.
    Middleware(Middleware),
    /// A plugin that failed while it was loaded; its policy holds for each request.
    Failed(FailedPlugin),
}

/// A plugin that could not be loaded.
pub struct FailedPlugin {
    name: String,
    on_error: OnError,
    reason: String,
}

/// A plugin in a snapshot.
#[derive(Clone)]
pub struct PluginEntry {
    /// The step that chains share.
    pub step: Arc<Step>,
    /// The generation of the configuration in which this version of it began.
    pub since: u64,
    /// Whether it serves.
    pub state: PluginState,
    /// The code, where it could be loaded.
    pub code: Option<Code>,
    pub(super) key: Key,
}

/// What is known of a plugin's code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The digest of its bytes.
    pub digest: Digest,
    /// What it speaks.
    pub abi: Abi,
}

/// What must be equal for a plugin to be taken over into the next snapshot as it is.
#[derive(Clone, PartialEq)]
pub(super) struct Key {
    pub(super) digest: Option<Digest>,
    pub(super) config: PluginConfig,
    pub(super) secrets: std::collections::BTreeMap<String, Vec<u8>>,
    pub(super) upstreams: Arc<std::collections::BTreeSet<String>>,
}

/// Whether a plugin serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    /// It serves.
    Active,
    /// The version that the configuration names failed; the one that ran before serves on.
    KeptOld(String),
    /// It could not be loaded; requests get its policy.
    Failed(String),
}

impl FailedPlugin {
    pub(super) fn new(name: &str, on_error: OnError, reason: &str) -> Self {
        Self { name: name.to_owned(), on_error, reason: reason.to_owned() }
    }

    fn fault(&self) -> Fault {
        let message = format!("it could not be loaded: {}", self.reason);
        Fault { kind: FaultKind::Unavailable, message }
    }
}

impl Step {
    /// Makes a plugin ready, of whatever ABI its code speaks.
    ///
    /// # Errors
    /// When the code does not fit its ABI, fails, or finds a mistake in its configuration.
    pub async fn load(engine: &Engine, artifact: &Artifact, env: Env) -> Result<Self, LoadError> {
        match artifact.abi {
            Abi::Gofe => Plugin::load(engine, artifact, env).await.map(Self::Component),
            Abi::ProxyWasm(_) => ProxyWasmFilter::load(engine, artifact, env).map(Self::ProxyWasm),
            Abi::HttpWasm => HttpWasm::load(engine, artifact, env).await.map(Self::HttpWasm),
            Abi::WasiHttp(_) => Middleware::load(engine, artifact, env).await.map(Self::Middleware),
        }
    }

    /// Whether it serves, and is not what is left of a plugin that failed.
    pub fn is_loaded(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// Whether it can see the bytes of connections. What is left of a plugin that failed has its policy there too.
    pub fn filters_bytes(&self) -> bool {
        matches!(self, Self::ProxyWasm(_) | Self::Failed(_))
    }

    /// Begins a connection whose bytes it sees; nothing where it closes it.
    ///
    /// # Errors
    /// When the plugin fails; its policy is for the caller.
    pub async fn connect(&self, passenger: &Passenger) -> Result<Option<Connection>, Fault> {
        match self {
            Self::ProxyWasm(plugin) => plugin.connect(passenger).await,
            Self::Failed(failed) => Err(failed.fault()),
            Self::Component(_) | Self::HttpWasm(_) | Self::Middleware(_) => {
                let message = "it cannot see the bytes of a connection".to_owned();
                Err(Fault { kind: FaultKind::Unavailable, message })
            }
        }
    }

    /// Calls the timer.
    pub async fn tick(&self) {
        match self {
            Self::Component(plugin) => plugin.tick().await,
            Self::ProxyWasm(_) | Self::HttpWasm(_) | Self::Middleware(_) | Self::Failed(_) => {}
        }
    }

    /// Whether each worker has something to do for it beside requests.
    pub fn is_attended(&self) -> bool {
        matches!(self, Self::ProxyWasm(_))
    }

    /// Does on a worker what there is to do beside requests, until the future is dropped.
    pub async fn attend(&self, worker: usize) {
        if let Self::ProxyWasm(plugin) = self {
            plugin.attend(worker).await;
        }
    }
}

impl Filter for Step {
    fn name(&self) -> &str {
        match self {
            Self::Component(plugin) => plugin.name(),
            Self::ProxyWasm(plugin) => plugin.name(),
            Self::HttpWasm(plugin) => plugin.name(),
            Self::Middleware(plugin) => plugin.name(),
            Self::Failed(failed) => &failed.name,
        }
    }

    fn interest(&self) -> Interest {
        match self {
            Self::Component(plugin) => plugin.interest(),
            Self::ProxyWasm(plugin) => plugin.interest(),
            Self::HttpWasm(plugin) => plugin.interest(),
            Self::Middleware(plugin) => plugin.interest(),
            // One phase is enough to apply the policy to each request.
            Self::Failed(FailedPlugin { on_error: OnError::FailClosed, .. }) => {
                Interest { phases: Phases::default().with(Phase::RequestHeaders), ..Interest::default() }
            }
            Self::Failed(_) => Interest::default(),
        }
    }

    fn on_error(&self) -> OnError {
        match self {
            Self::Component(plugin) => plugin.on_error(),
            Self::ProxyWasm(plugin) => plugin.on_error(),
            Self::HttpWasm(plugin) => plugin.on_error(),
            Self::Middleware(plugin) => plugin.on_error(),
            Self::Failed(failed) => failed.on_error,
        }
    }

    async fn call(&self, phase: Phase, exchange: &mut Exchange) -> Outcome {
        match self {
            Self::Component(plugin) => plugin.call(phase, exchange).await,
            Self::ProxyWasm(plugin) => plugin.call(phase, exchange).await,
            Self::HttpWasm(plugin) => plugin.call(phase, exchange).await,
            Self::Middleware(plugin) => plugin.call(phase, exchange).await,
            Self::Failed(failed) => Outcome::Fault(failed.fault()),
        }
    }
}
