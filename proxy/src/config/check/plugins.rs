//! Plugins and chains.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Check, DAY, MILLISECOND};
use crate::config::model::{Allow, OutboundLimits, Output, Plugin, PluginLimits, PluginSource};
use crate::config::raw::{List, RawAllow, RawHttp, RawPlugin, RawPluginLimits};
use crate::config::source::child;
use crate::config::written::Time;

impl Check<'_> {
    pub(super) fn plugins(&mut self, raw: &BTreeMap<String, RawPlugin>) -> BTreeMap<String, Plugin> {
        let mut plugins = BTreeMap::new();
        for (name, raw) in raw {
            let at = child("/plugins", name);
            self.name(&at, name);
            plugins.insert(name.clone(), self.plugin(&at, name, raw));
        }
        plugins
    }

    fn plugin(&mut self, at: &str, name: &str, raw: &RawPlugin) -> Plugin {
        let source = match raw.source.0.clone() {
            PluginSource::File(path) => PluginSource::File(self.joined(path)),
            standard @ PluginSource::Standard(_) => standard,
        };
        Plugin {
            source,
            digest: raw.digest.as_ref().map(|digest| digest.0.0.clone()),
            on_error: raw.on_error.as_ref().map(|on_error| on_error.0).unwrap_or_default(),
            instance: raw.instance.as_ref().map(|instance| instance.0).unwrap_or_default(),
            limits: self.plugin_limits(&child(at, "limits"), &raw.limits),
            allow: self.allow(&child(at, "allow"), &raw.allow),
            vm: raw.vm.as_ref().map(|vm| self.vm(&child(at, "vm"), name, vm)),
            config: raw.config.clone(),
        }
    }

    fn plugin_limits(&mut self, at: &str, raw: &RawPluginLimits) -> PluginLimits {
        let longest = Time(Duration::from_secs(60));
        let default = Duration::from_millis(10);
        let memory = self.size(&child(at, "memory"), raw.memory.as_ref(), 16 << 20, 64 << 10, 4 << 30);
        PluginLimits {
            time: self.time(&child(at, "time"), raw.time.as_ref(), default, MILLISECOND, longest),
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
            body: self.size(&child(at, "body"), raw.body.as_ref(), 1 << 20, 0, 1 << 30),
        }
    }

    fn allow(&mut self, at: &str, raw: &RawAllow) -> Allow {
        let (http, http_limits) = match &raw.http {
            Some(http) => self.http(&child(at, "http"), &http.0),
            None => (Vec::new(), OutboundLimits::default()),
        };
        let mut secrets = BTreeSet::new();
        for (index, name) in raw.secrets.iter().enumerate() {
            let Some(name) = name else { continue };
            self.reference(&format!("{at}/secrets/{index}"), "secret", "/secrets", name);
            secrets.insert(name.clone());
        }
        let output = match raw.output.as_ref().map(|output| output.0.clone()) {
            Some(Output::File(path)) => Output::File(self.joined(path)),
            output => output.unwrap_or_default(),
        };
        Allow { http, http_limits, key_value: raw.key_value, metrics: raw.metrics, secrets, output }
    }

    pub(super) fn http(&mut self, at: &str, raw: &RawHttp) -> (Vec<http::uri::Authority>, OutboundLimits) {
        if raw.hosts.is_empty() {
            self.error(at, "there is no host: leave `http` out when the plugin calls none");
        }
        let default = OutboundLimits::default();
        let size = raw.response_size.as_ref();
        let size = self.size(&child(at, "response-size"), size, default.response_size as u64, 1, 1 << 30);
        let limits = OutboundLimits {
            timeout: self.time(&child(at, "timeout"), raw.timeout.as_ref(), default.timeout, MILLISECOND, DAY),
            response_size: usize::try_from(size).unwrap_or(usize::MAX),
        };
        (raw.hosts.iter().flatten().map(|host| host.0.0.clone()).collect(), limits)
    }

    pub(super) fn chains(&mut self, raw: &BTreeMap<String, List<String>>) -> BTreeMap<String, Vec<String>> {
        for (name, steps) in raw {
            let at = child("/chains", name);
            self.name(&at, name);
            for (index, step) in steps.iter().enumerate() {
                let Some(step) = step else { continue };
                let at = format!("{at}/{index}");
                self.reference(&at, "plugin", "/plugins", step);
                if steps[..index].contains(&Some(step.clone())) {
                    self.error(&at, format!("`{step}` is in this chain twice"));
                }
            }
        }
        let names = |steps: &List<String>| steps.iter().flatten().cloned().collect();
        raw.iter().map(|(name, steps)| (name.clone(), names(steps))).collect()
    }
}
