//! Components that serve as upstreams.

use std::time::Duration;

use super::{Check, DAY, HOUR, MILLISECOND, send};
use crate::config::model::{
    Allow, Backend, Component, InstanceMode, OnError, OutboundLimits, Output, Plugin, PluginLimits, PluginSource, Reuse,
};
use crate::config::raw::{RawComponent, RawUpstream};
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn component(&mut self, upstream: &str, raw: &RawComponent, whole: &RawUpstream) -> Backend {
        let at = child(upstream, "component");
        self.useless_in_component(upstream, whole);
        let (limits, reuse) = (child(&at, "limits"), child(&at, "reuse"));
        let memory = self.size(&child(&limits, "memory"), raw.limits.memory.as_ref(), 64 << 20, 64 << 10, 4 << 30);
        let time = Duration::from_millis(100);
        let (http, http_limits) = match &raw.allow.http {
            Some(http) => self.http(&child(&child(&at, "allow"), "http"), &http.0),
            None => (Vec::new(), OutboundLimits::default()),
        };
        let allow = Allow { http, http_limits, output: Output::default(), ..Allow::default() };
        let code = Plugin {
            source: PluginSource::File(self.joined(raw.source.0.0.clone())),
            digest: raw.digest.as_ref().map(|digest| digest.0.0.clone()),
            on_error: OnError::FailClosed,
            instance: InstanceMode::PerCall,
            limits: PluginLimits {
                time: self.time(&child(&limits, "time"), raw.limits.time.as_ref(), time, MILLISECOND, HOUR),
                memory: usize::try_from(memory).unwrap_or(usize::MAX),
                body: 0,
            },
            allow,
            vm: None,
            config: serde_json::Value::Null,
        };
        for name in raw.environment.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            self.key_error(&child(&child(&at, "environment"), name), "no environment variable has this name");
        }
        let count = |check: &mut Self, key: &str, count: Option<u64>, most| {
            count.map(|count| check.count(&child(&reuse, key), Some(count), 1, 1, most))
        };
        let default = Reuse::default();
        let reuse = Reuse {
            requests: count(self, "requests", raw.reuse.requests, 1_000_000_000),
            concurrency: count(self, "concurrency", raw.reuse.concurrency, 10_000),
            idle_timeout: self.time(
                &child(&reuse, "idle-timeout"),
                raw.reuse.idle_timeout.as_ref(),
                default.idle_timeout,
                MILLISECOND,
                DAY,
            ),
        };
        let instances = self.count(&child(&limits, "instances"), raw.limits.instances, 1024, 1, 4096);
        Backend::Component(Box::new(Component { code, environment: raw.environment.clone(), instances, reuse }))
    }

    /// What an upstream has no use for that is one component in gofe, and no servers in the network.
    fn useless_in_component(&mut self, at: &str, raw: &RawUpstream) {
        let useful = [
            "response-timeout",
            "response-idle-timeout",
            "retry",
            "retry-budget",
            "circuit-breaker",
            "endpoint-circuit-breaker",
            "limits",
            "adaptive-concurrency",
        ];
        let (choice, sending) = (super::upstreams::given(raw), send::given(raw));
        let given = choice.iter().chain(&sending).filter(|(key, given)| *given && !useful.contains(key));
        for (key, _) in given {
            self.key_error(&child(at, key), format!("`{key}` has no effect on a component"));
        }
        if raw.limits.as_ref().is_some_and(|limits| limits.connections.is_some()) {
            let at = child(&child(at, "limits"), "connections");
            self.key_error(&at, "`connections` has no effect on a component");
        }
    }
}
