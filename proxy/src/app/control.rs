//! What the admin API sees and may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::admin::{
    self, CertificateView, ChangeError, Changed, ConfigView, DiscoveryView, EndpointView, HistoryView, PluginView,
    UpstreamView,
};
use crate::chain::Filter;
use crate::config::{PluginSource, Protocol};
use crate::reload::{Reloader, Trigger};
use crate::snapshot::{ComponentEntry, PluginEntry, PluginState, code_name};
use crate::telemetry::{EndpointCounts, Exposition};
use crate::upstream::{BreakerState, Health, Status};

/// The admin API's view of gofe.
pub(super) struct Control {
    reloader: Arc<Reloader>,
    changes: mpsc::UnboundedSender<Change>,
    draining: AtomicBool,
}

/// A change that the admin API asked for; it is carried out where file changes and signals are, one after another.
pub(super) struct Change {
    wanted: Wanted,
    done: oneshot::Sender<Result<Changed, ChangeError>>,
}

enum Wanted {
    Reload,
    Rollback(Option<u64>),
}

impl Change {
    /// Carries it out; `then` runs before whoever asked has the answer.
    pub(super) async fn carry_out(self, reloader: &Reloader, then: impl FnOnce()) {
        let changed = match self.wanted {
            Wanted::Reload => reloader.reload(Trigger::Api).await,
            Wanted::Rollback(generation) => reloader.rollback(generation).await,
        };
        then();
        // Whoever asked may be gone.
        let _ = self.done.send(changed);
    }
}

impl Control {
    pub(super) fn new(reloader: Arc<Reloader>) -> (Arc<Self>, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { reloader, changes, draining: AtomicBool::new(false) }), receiver)
    }

    /// gofe begins to end.
    pub(super) fn drains(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn change(&self, wanted: Wanted) -> admin::Change {
        let (done, answer) = oneshot::channel();
        let sent = self.changes.send(Change { wanted, done }).is_ok();
        Box::pin(async move {
            match answer.await {
                Ok(changed) if sent => changed,
                // gofe ends, and changes nothing any more.
                _ => Err(ChangeError::Busy),
            }
        })
    }
}

impl admin::Control for Control {
    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }

    fn config(&self) -> ConfigView {
        let snapshot = self.reloader.live().current();
        ConfigView {
            generation: snapshot.generation,
            digest: self.reloader.digest(),
            loaded_at: snapshot.built,
            file: snapshot.loaded.source.name().to_owned(),
            yaml: snapshot.loaded.source.masked(),
        }
    }

    fn plugins(&self) -> Vec<PluginView> {
        let snapshot = self.reloader.live().current();
        let view = |(name, entry): (&String, &PluginEntry)| {
            let source = &snapshot.config().plugins.get(name)?.source;
            Some(self.plugin(name, entry, source))
        };
        let component = |(name, entry): (&String, &ComponentEntry)| self.component(&code_name(name), entry);
        let plugins = snapshot.plugins.iter().filter_map(view);
        plugins.chain(snapshot.components.iter().map(component)).collect()
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        let snapshot = self.reloader.live().current();
        let view = |(name, config): (&String, &crate::config::Upstream)| {
            let cluster = &snapshot.upstream(name)?.cluster;
            let status = cluster.status();
            let endpoints = status.endpoints.into_iter().map(|endpoint| EndpointView {
                address: endpoint.address.to_string(),
                labels: endpoint.labels,
                weight: endpoint.weight,
                priority: endpoint.priority,
                health: endpoint.health.name(),
                check_error: endpoint.complaint,
                ejected_for: endpoint.ejected_for,
                latency: endpoint.latency,
                active: endpoint.in_flight as u64,
                total: endpoint.total,
                failures: endpoint.failures,
                circuit_breaker: endpoint.breaker.map(BreakerState::word),
            });
            Some(UpstreamView {
                name: name.clone(),
                balance: config.balance.policy.name(),
                protocol: match config.protocol {
                    Protocol::Http1 => "http1",
                    Protocol::Http2 => "http2",
                    Protocol::Auto => "auto",
                },
                circuit_breaker: cluster.breaker().map(|(state, _)| state.word()),
                circuit_breaker_opened: cluster.breaker().map(|(_, opened)| opened),
                requests: cluster.load().0,
                concurrency_limit: cluster.load().1,
                discovery: status
                    .discovery
                    .map(|report| DiscoveryView { found_at: report.found_at, error: report.error }),
                endpoints: endpoints.collect(),
            })
        };
        snapshot.config().upstreams.iter().filter_map(view).collect()
    }

    fn certificates(&self) -> Vec<CertificateView> {
        let view = |(config, status): (crate::config::Acme, crate::net::acme::Status)| CertificateView {
            names: config.names,
            directory: config.directory,
            issued: status.not_after.is_some(),
            not_after: status.not_after,
            next_order: status.next_order,
            error: status.error,
        };
        self.reloader.resources().acme.statuses().into_iter().map(view).collect()
    }

    fn history(&self) -> Vec<HistoryView> {
        let view = |record: crate::reload::Record| HistoryView {
            generation: record.generation,
            digest: record.digest,
            at: record.at,
            trigger: record.trigger,
            took: record.took,
            serving: record.serving,
            error: record.error,
        };
        self.reloader.history().into_iter().map(view).collect()
    }

    fn metrics(&self, exposition: Exposition) -> String {
        for upstream in self.reloader.live().current().upstreams.values() {
            upstream.metrics.set_endpoints(counts(&upstream.cluster.status()));
        }
        self.reloader.resources().metrics.encode(exposition)
    }

    fn reload(&self) -> admin::Change {
        self.change(Wanted::Reload)
    }

    fn rollback(&self, generation: Option<u64>) -> admin::Change {
        self.change(Wanted::Rollback(generation))
    }
}

impl Control {
    fn plugin(&self, name: &str, entry: &PluginEntry, source: &PluginSource) -> PluginView {
        let code = entry.code;
        PluginView {
            name: name.to_owned(),
            version: entry.since,
            source: written(source),
            digest: code.map(|code| code.digest.to_string()),
            abi: code.map(|code| code.abi.name()),
            phases: entry.step.interest().phases.names(),
            state: match &entry.state {
                PluginState::Active => admin::PluginState::Active,
                PluginState::KeptOld(error) | PluginState::Failed(error) => {
                    admin::PluginState::Failed { error: error.clone() }
                }
            },
            totals: self.reloader.resources().metrics.plugin(name).totals(),
        }
    }

    /// The component of an upstream. One that cannot serve stops the configuration, so those that are there work.
    fn component(&self, name: &str, entry: &ComponentEntry) -> PluginView {
        PluginView {
            name: name.to_owned(),
            version: entry.since,
            source: written(entry.source()),
            digest: Some(entry.code.digest.to_string()),
            abi: Some(entry.code.abi.name()),
            phases: Vec::new(),
            state: admin::PluginState::Active,
            totals: self.reloader.resources().metrics.plugin(name).totals(),
        }
    }
}

/// Where code is, as the configuration says it.
fn written(source: &PluginSource) -> String {
    match source {
        PluginSource::Standard(name) => format!("std:{name}"),
        PluginSource::File(path) => format!("file:{}", path.display()),
    }
}

fn counts(status: &Status) -> EndpointCounts {
    let states = [Health::Healthy, Health::Unhealthy, Health::Ejected, Health::Draining];
    let count = |state| status.endpoints.iter().filter(|endpoint| endpoint.health == state).count() as u64;
    // The demo server has no endpoints and no events.
    let is_any = !status.endpoints.is_empty() || status.discovery.is_some();
    let events = &status.events;
    EndpointCounts {
        states: states.into_iter().filter(|_| is_any).map(|state| (state.name(), count(state))).collect(),
        ejections: events.ejections.clone(),
        good_checks: events.checks - events.failed_checks,
        bad_checks: events.failed_checks,
        failed_searches: events.failed_searches,
    }
}
