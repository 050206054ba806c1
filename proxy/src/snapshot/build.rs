//! From a checked configuration to a snapshot: reads plugins and secrets, compiles, instantiates, lets every plugin check its
//! configuration, and takes over from the running snapshot what did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tracing::warn;

use super::components::{ComponentEntry, code_name};
use super::fits;
use super::listeners;
use super::plugin::{self, FailedPlugin, Key};
use super::upstreams;
use super::{Action, Outgoing, PluginEntry, PluginState, Route, Snapshot, Step, Treatment, Upstream};
use crate::chain::Chain;
use crate::config::{self, Diagnostic, Diagnostics, Loaded, OnError, PluginSource, Secret, Source};
use crate::net::ClientTls;
use crate::net::acme::Acme;
use crate::store::Stores;
use crate::telemetry::{self, Metrics, Outputs};
use crate::upstream::{Cluster, Supervisor};
use crate::wasm::{Artifact, Digest, Engine, Env, Keep, LoadError};

/// What lives as long as the process, and every snapshot uses.
pub struct Resources {
    /// Runs plugins.
    pub engine: Engine,
    /// Where compiled code is kept; nowhere where there is no such folder.
    pub cache: Option<PathBuf>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Plugins' state.
    pub stores: Arc<Stores>,
    /// Plugins' outputs.
    pub outputs: Arc<Outputs>,
    /// Plugins' own requests.
    pub outbound: Arc<Outgoing>,
    /// Certificates that gofe gets by itself.
    pub acme: Arc<Acme>,
    /// Watches upstreams.
    pub supervisor: Supervisor,
    /// Worker threads.
    pub workers: usize,
}

/// The bytes of each plugin, by its name, and of each upstream's component, by its [`code_name`]; or why they cannot be
/// read.
pub type Code = BTreeMap<String, Result<Bytes, String>>;

/// Builds one snapshot.
pub struct Builder<'a> {
    pub(super) resources: &'a Resources,
    pub(super) previous: Option<&'a Snapshot>,
    pub(super) source: &'a Source,
    code: &'a Code,
    pub(super) errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// Why a plugin is not there, and whether that is a mistake in the configuration or a failure of its code.
pub(super) enum Trouble {
    Mistake(Vec<Diagnostic>),
    Failure(String),
}

impl<'a> Builder<'a> {
    /// Builds a snapshot that takes over what it can from `previous`.
    ///
    /// # Errors
    /// All mistakes that only show when files are read and plugins are asked.
    pub async fn build(
        resources: &'a Resources,
        previous: Option<&'a Snapshot>,
        loaded: &'a Arc<Loaded>,
        code: &'a Code,
    ) -> Result<Snapshot, Diagnostics> {
        let source = &loaded.source;
        let mut builder = Self { resources, previous, source, code, errors: Vec::new(), warnings: Vec::new() };
        let config = &loaded.config;
        let generation = previous.map_or(1, |previous| previous.generation + 1);
        builder.log(config);
        let admin_token = builder.admin_token(config);
        let secrets = builder.secrets(config);
        let numbers = listeners::numbers(config, previous);
        let mut listeners = listeners::build(
            &loaded.source,
            config,
            previous,
            &numbers,
            &resources.acme,
            &mut builder.errors,
            &mut builder.warnings,
        );
        let tls = upstreams::tls(&loaded.source, config, &mut builder.errors, &mut builder.warnings);
        let plugins = builder.plugins(config, &secrets, generation).await;
        builder.errors.extend(listeners::misfits(&loaded.source, config, &plugins));
        let components = builder.components(config, generation).await;
        if !builder.errors.is_empty() {
            return Err(builder.errors.into());
        }
        let serves = |name: &str| components.keys().any(|upstream| code_name(upstream) == name);
        resources.engine.keep_only(|name| config.plugins.contains_key(name) || serves(name));
        let upstreams = builder.upstreams(config, tls, &components);
        let routes = builder.routes(config, &plugins, &upstreams);
        listeners::passages(config, &upstreams, &plugins, &mut listeners);
        let (tables, table_of) = listeners::tables(config, &numbers);
        Ok(Snapshot {
            generation,
            built: SystemTime::now(),
            tables,
            table_of,
            loaded: loaded.clone(),
            admin_token,
            routes,
            upstreams,
            plugins,
            components,
            identities: listeners::identities(&listeners),
            answers: listeners::answers(config, &resources.acme),
            listeners,
            numbers,
            warnings: builder.warnings.into(),
        })
    }

    /// The log's filter is read by the library that applies it.
    fn log(&mut self, config: &config::Config) {
        if let Err(error) = telemetry::log::check_filter(&config.log.filter) {
            self.errors.push(self.source.error("/log/filter", error.to_string()));
        }
    }

    fn admin_token(&mut self, config: &config::Config) -> Option<Vec<u8>> {
        let secret = config.admin.as_ref()?.token.as_ref()?;
        let refused = |reason| self.errors.push(self.source.error("/admin/token", reason));
        // An empty one would let everybody in.
        let some = |token: Vec<u8>| if token.is_empty() { Err("the token is empty".to_owned()) } else { Ok(token) };
        read_secret(secret).and_then(some).map_err(refused).ok()
    }

    fn secrets(&mut self, config: &config::Config) -> BTreeMap<String, Vec<u8>> {
        let mut secrets = BTreeMap::new();
        for (name, secret) in &config.secrets {
            match read_secret(secret) {
                Ok(value) => drop(secrets.insert(name.clone(), value)),
                Err(reason) => self.errors.push(self.source.error(&format!("/secrets/{}", escape(name)), reason)),
            }
        }
        secrets
    }

    async fn plugins(
        &mut self,
        config: &config::Config,
        secrets: &BTreeMap<String, Vec<u8>>,
        generation: u64,
    ) -> BTreeMap<String, PluginEntry> {
        let names: Arc<BTreeSet<String>> = Arc::new(config.upstreams.keys().cloned().collect());
        let mut plugins = BTreeMap::new();
        for (name, plugin) in &config.plugins {
            let granted = plugin.allow.secrets.iter();
            let granted = granted.filter_map(|name| Some((name.clone(), secrets.get(name)?.clone()))).collect();
            let key = Key { digest: None, config: plugin.clone(), secrets: granted, upstreams: names.clone() };
            if let Some(entry) = self.plugin(name, key, generation).await {
                plugins.insert(name.clone(), entry);
            }
        }
        plugins
    }

    /// One plugin: the running version where nothing changed, a new one, or what its policy makes of a failure.
    async fn plugin(&mut self, name: &str, mut key: Key, generation: u64) -> Option<PluginEntry> {
        let running = self.previous.and_then(|previous| previous.plugins.get(name));
        let trouble = match self.bytes(name, &format!("/plugins/{}", escape(name)), &key.config) {
            Ok((bytes, digest)) => {
                key.digest = Some(digest);
                if let Some(running) =
                    running.filter(|running| running.key == key && running.state == PluginState::Active)
                {
                    return Some(running.clone());
                }
                match self.load(name, &key, bytes).await {
                    Ok((step, code)) => {
                        let (step, code, state) = (Arc::new(step), Some(code), PluginState::Active);
                        return Some(PluginEntry { step, since: generation, state, code, key });
                    }
                    Err(trouble) => trouble,
                }
            }
            Err(trouble) => trouble,
        };
        let reason = match trouble {
            Trouble::Mistake(found) if key.config.on_error == OnError::FailClosed => {
                self.errors.extend(found);
                return None;
            }
            Trouble::Mistake(found) => found.iter().map(Diagnostic::short).collect::<Vec<_>>().join("; "),
            Trouble::Failure(reason) => reason,
        };
        Some(self.failed(name, key, running, &reason, generation))
    }

    fn failed(
        &self,
        name: &str,
        key: Key,
        running: Option<&PluginEntry>,
        reason: &str,
        generation: u64,
    ) -> PluginEntry {
        self.resources.metrics.plugin(name).fault(0, "unavailable");
        if let Some(running) = running.filter(|running| running.step.is_loaded()) {
            warn!(plugin = name, "the new version failed, the running one stays: {reason}");
            return PluginEntry { state: PluginState::KeptOld(reason.to_owned()), ..running.clone() };
        }
        warn!(plugin = name, policy = ?key.config.on_error, "the plugin cannot be loaded, its policy holds: {reason}");
        let step = Arc::new(Step::Failed(FailedPlugin::new(name, key.config.on_error, reason)));
        PluginEntry { step, since: generation, state: PluginState::Failed(reason.to_owned()), code: None, key }
    }

    /// The bytes of a plugin, or of a component, which stands there in the file.
    pub(super) fn bytes(&self, name: &str, at: &str, plugin: &config::Plugin) -> Result<(&'a Bytes, Digest), Trouble> {
        let mistake = |pointer: &str, message: String| Trouble::Mistake(vec![self.source.error(pointer, message)]);
        let bytes = match self.code.get(name) {
            Some(Ok(bytes)) => bytes,
            Some(Err(reason)) => return Err(mistake(&format!("{at}/source"), reason.clone())),
            None => return Err(mistake(&format!("{at}/source"), "its code was not read".to_owned())),
        };
        let digest = Digest::of(bytes);
        match &plugin.digest {
            Some(expected) if *expected != digest.to_string() => {
                let message = format!("the plugin's code has the digest sha256:{digest}, and not this one");
                Err(mistake(&format!("{at}/digest"), message))
            }
            _ => Ok((bytes, digest)),
        }
    }

    async fn load(&self, name: &str, key: &Key, bytes: &[u8]) -> Result<(Step, plugin::Code), Trouble> {
        let at = format!("/plugins/{}", escape(name));
        let resources = self.resources;
        // What is in the binary does not change while it runs.
        let changes = matches!(key.config.source, PluginSource::File(_)).then_some(name);
        let artifact = Artifact::load(&resources.engine, bytes, self.keep(), changes)
            .map_err(|error| Trouble::Mistake(vec![self.source.error(&format!("{at}/source"), error.to_string())]))?;
        let useless = fits::useless(self.source, &at, artifact.abi);
        if !useless.is_empty() {
            return Err(Trouble::Mistake(useless));
        }
        let env = self.env(name, key)?;
        let code = plugin::Code { digest: artifact.digest, abi: artifact.abi };
        let step = Step::load(&resources.engine, &artifact, env).await.map_err(|error| match error {
            LoadError::World(_) | LoadError::Abi { .. } => {
                Trouble::Mistake(vec![self.source.error(&format!("{at}/source"), error.to_string())])
            }
            LoadError::Failed(_) => Trouble::Failure(error.to_string()),
            LoadError::Configuration(mistakes) => {
                let located = |(pointer, message): (String, String)| self.source.plugin_error(name, &pointer, message);
                Trouble::Mistake(mistakes.into_iter().map(located).collect())
            }
        })?;
        Ok((step, code))
    }

    /// Where compiled code is kept.
    pub(super) fn keep(&self) -> Option<Keep<'a>> {
        let folder = self.resources.cache.as_deref()?;
        Some(Keep { folder, in_background: self.previous.is_some() })
    }

    pub(super) fn env(&self, name: &str, key: &Key) -> Result<Env, Trouble> {
        let Resources { metrics, stores, outputs, outbound, workers, .. } = self.resources;
        let plugin = &key.config;
        let output = outputs.open(&plugin.allow.output).map_err(|error| {
            let at = format!("/plugins/{}/allow/output", escape(name));
            Trouble::Mistake(vec![self.source.error(&at, format!("the output cannot be opened: {error}"))])
        })?;
        let vm = plugin.vm.clone().unwrap_or_else(|| config::Vm::of(name));
        Ok(Env {
            name: name.into(),
            config: plugin.config.to_string(),
            limits: plugin.limits.clone(),
            instance: plugin.instance,
            on_error: plugin.on_error,
            allow: plugin.allow.clone(),
            secrets: key.secrets.clone(),
            upstreams: key.upstreams.clone(),
            space: stores.space(name),
            metrics: metrics.plugin(name),
            custom: metrics.custom(name),
            output,
            outbound: outbound.clone(),
            shared: stores.shared(&vm.id),
            queues: stores.queues(),
            vm,
            workers: *workers,
        })
    }

    fn upstreams(
        &self,
        config: &config::Config,
        mut tls: BTreeMap<String, ClientTls>,
        components: &BTreeMap<String, ComponentEntry>,
    ) -> BTreeMap<String, Upstream> {
        let build = |(name, upstream): (&String, &config::Upstream)| {
            let component = components.get(name);
            let unchanged = self.previous.filter(|previous| {
                let taken_over = match (component, previous.components.get(name)) {
                    (Some(now), Some(before)) => now.is(before),
                    (now, _) => now.is_none(),
                };
                taken_over && previous.config().upstreams.get(name) == Some(upstream)
            });
            let cluster = unchanged.and_then(|previous| Some(previous.upstream(name)?.cluster.clone()));
            let tls = tls.remove(name);
            let cluster = match (cluster, component) {
                (Some(cluster), _) => {
                    cluster.renew(tls);
                    cluster
                }
                (None, Some(component)) => {
                    let service = component.service();
                    Arc::new(Cluster::serving(name, upstream, service, self.resources.workers))
                }
                (None, None) => Arc::new(Cluster::new(name, upstream, tls, self.resources.workers)),
            };
            (
                name.clone(),
                Upstream { name: name.as_str().into(), cluster, metrics: self.resources.metrics.upstream(name) },
            )
        };
        config.upstreams.iter().map(build).collect()
    }

    fn routes(
        &self,
        config: &config::Config,
        plugins: &BTreeMap<String, PluginEntry>,
        upstreams: &BTreeMap<String, Upstream>,
    ) -> Vec<Route> {
        let steps = |names: &Vec<String>| names.iter().map(|name| plugins[name].step.clone()).collect();
        let chains: BTreeMap<&str, Arc<Chain<Step>>> = config
            .chains
            .iter()
            .map(|(name, names)| (name.as_str(), Arc::new(Chain::new(name, steps(names)))))
            .collect();
        let empty = Arc::new(Chain::new("", Vec::new()));
        let running = self.previous.map(|previous| previous.routes.as_slice()).unwrap_or_default();
        let running: BTreeMap<&str, &Treatment> =
            running.iter().filter_map(|route| Some((&*route.name, route.treatment.as_deref()?))).collect();
        let build = |route: &config::Route| Route {
            name: route.name.as_str().into(),
            chain: route.chain.as_deref().map_or(&empty, |name| &chains[name]).clone(),
            action: Action::new(&route.action, upstreams),
            treatment: Treatment::new(route, upstreams, &chains, running.get(route.name.as_str()).copied()),
            timeout: route.timeout,
            body_size: route.body_size.unwrap_or(config.limits.body_size),
            sending: route.sending.clone(),
            upgrades: route.upgrades.clone(),
            grpc_web: route.grpc_web,
            metrics: self.resources.metrics.route(&route.name),
        };
        config.routes.iter().map(build).collect()
    }
}

/// Reads a secret from where the configuration says it is.
///
/// # Errors
/// A sentence that says what cannot be read.
pub fn read_secret(secret: &Secret) -> Result<Vec<u8>, String> {
    match secret {
        Secret::Env(name) => std::env::var(name)
            .map(String::into_bytes)
            .map_err(|error| format!("the environment variable {name} cannot be read: {error}")),
        Secret::File(path) => {
            let mut value =
                std::fs::read(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Ok(value)
        }
    }
}

/// A key as a part of a JSON pointer (RFC 6901, section 3).
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
