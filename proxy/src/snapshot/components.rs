//! Components that serve as upstreams: compiled, linked and tried out, or taken over where nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{Builder, Trouble, escape};
use super::plugin::{Code, Key};
use crate::chain::Service;
use crate::config::{self, Component, PluginSource};
use crate::wasm::{Abi, Artifact, EdgeFunction, LoadError, WasiHttp};

/// The name under which the code of an upstream is kept, and counted in metrics. No plugin can have it.
pub fn code_name(upstream: &str) -> String {
    format!("upstream/{upstream}")
}

/// A component in a snapshot.
#[derive(Clone)]
pub struct ComponentEntry {
    /// The generation of the configuration in which this version of it began.
    pub since: u64,
    /// The code.
    pub code: Code,
    /// What answers.
    pub(super) service: Arc<EdgeFunction>,
    key: Key,
    component: Component,
}

impl ComponentEntry {
    pub(super) fn service(&self) -> Arc<dyn Service> {
        self.service.clone()
    }

    /// Where the code is.
    pub fn source(&self) -> &PluginSource {
        &self.component.code.source
    }

    /// Whether this is the other one, taken over.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.service, &other.service)
    }
}

impl Builder<'_> {
    /// All components. One that cannot serve is a mistake, whatever the reason: what serves stays.
    pub(super) async fn components(
        &mut self,
        config: &config::Config,
        generation: u64,
    ) -> BTreeMap<String, ComponentEntry> {
        let names: Arc<BTreeSet<String>> = Arc::new(config.upstreams.keys().cloned().collect());
        let mut components = BTreeMap::new();
        for (name, upstream) in &config.upstreams {
            let Some(component) = upstream.backend.component() else { continue };
            match self.component(name, component, names.clone(), generation).await {
                Ok(entry) => drop(components.insert(name.clone(), entry)),
                Err(Trouble::Mistake(found)) => self.errors.extend(found),
                Err(Trouble::Failure(reason)) => {
                    let at = format!("/upstreams/{}/component", escape(name));
                    self.errors.push(self.source.error(&at, reason));
                }
            }
        }
        components
    }

    async fn component(
        &self,
        name: &str,
        component: &Component,
        upstreams: Arc<BTreeSet<String>>,
        generation: u64,
    ) -> Result<ComponentEntry, Trouble> {
        let at = format!("/upstreams/{}/component", escape(name));
        let code_name = code_name(name);
        let (bytes, digest) = self.bytes(&code_name, &at, &component.code)?;
        let key = Key { digest: Some(digest), config: component.code.clone(), secrets: BTreeMap::new(), upstreams };
        let running = self.previous.and_then(|previous| previous.components.get(name));
        if let Some(running) = running.filter(|running| running.key == key && running.component == *component) {
            return Ok(running.clone());
        }
        let mistake = |message: String| Trouble::Mistake(vec![self.source.error(&at, message)]);
        let resources = self.resources;
        let artifact = Artifact::load(&resources.engine, bytes, self.keep(), Some(&code_name))
            .map_err(|error| mistake(error.to_string()))?;
        if artifact.abi == Abi::WasiHttp(WasiHttp::Proxy) && component.reuse.concurrency.is_some() {
            let at = format!("{at}/reuse/concurrency");
            let message =
                "`concurrency` has no effect on a component of wasi:http 0.2, which serves one request at a time";
            return Err(Trouble::Mistake(vec![self.source.error(&at, message)]));
        }
        let env = self.env(&code_name, &key)?;
        let service = EdgeFunction::load(&resources.engine, &artifact, env, component).await;
        let service = service.map_err(|error| match error {
            LoadError::Failed(_) => Trouble::Failure(error.to_string()),
            error => mistake(error.to_string()),
        })?;
        let code = Code { digest, abi: artifact.abi };
        Ok(ComponentEntry { since: generation, code, service: Arc::new(service), key, component: component.clone() })
    }
}
