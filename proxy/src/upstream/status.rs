//! What the admin API and the metrics show of an upstream's endpoints.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::breaker::State as BreakerState;
use super::counts::EndpointEvents;
use super::discovery::Report;
use super::endpoint::{Member, Reason};
use super::members::{Leaving, Members};
use super::slot::Slot;
use super::view::View;
use crate::config::Backend;

/// What there is to know of an upstream's endpoints.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Status {
    /// Those that there are, and those that have left while requests to them go on.
    pub endpoints: Vec<EndpointStatus>,
    /// What discovery says of itself, where there is any.
    pub discovery: Option<Report>,
    /// What happened to endpoints.
    pub events: EndpointEvents,
}

/// One endpoint; numbers are sums over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Host and port.
    pub address: Arc<str>,
    /// Labels for subsets.
    pub labels: BTreeMap<String, String>,
    /// Its share beside the others.
    pub weight: u32,
    /// Those of a lower number go first.
    pub priority: u8,
    /// Whether it gets requests, or why not.
    pub health: Health,
    /// What the last health check found wrong.
    pub complaint: Option<String>,
    /// For how much longer it is ejected.
    pub ejected_for: Option<Duration>,
    /// The highest latency that a worker sees, where endpoints are chosen by it.
    pub latency: Option<Duration>,
    /// Requests whose response has not ended.
    pub in_flight: usize,
    /// Requests begun.
    pub total: u64,
    /// Requests that got no response, and responses that broke off.
    pub failures: u64,
    /// What its breaker does, where it has one.
    pub breaker: Option<BreakerState>,
}

/// Whether an endpoint gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It gets requests.
    Healthy,
    /// Its health checks fail, or have not succeeded yet.
    Unhealthy,
    /// It is ejected for how it answers.
    Ejected,
    /// It has left, and requests to it go on.
    Draining,
}

impl Health {
    /// The word in the admin API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

impl Status {
    pub(super) fn of(members: &Members) -> Self {
        let views = members.views();
        let now = Instant::now();
        let status = |member: &Member| {
            let slots: Vec<_> = views.iter().filter_map(|view| View::slot(view, member.endpoint.id)).collect();
            let health = if member.endpoint.is(Reason::Unhealthy) {
                Health::Unhealthy
            } else if member.endpoint.is(Reason::Ejected) {
                Health::Ejected
            } else {
                Health::Healthy
            };
            let detector = members.detector.as_ref();
            let left = detector.and_then(|detector| detector.lock().left(member.endpoint.id, now));
            EndpointStatus { ejected_for: left, ..endpoint(member, health, &slots) }
        };
        let leaving = |leaving: &Leaving| {
            let slots: Vec<_> = leaving.slots.iter().filter_map(Weak::upgrade).collect();
            endpoint(&leaving.member, Health::Draining, &slots.iter().collect::<Vec<_>>())
        };
        let current = members.current();
        let gone = members.leaving();
        let discovers = matches!(members.config.backend, Backend::Dns(_) | Backend::File(_));
        Self {
            endpoints: current.iter().map(status).chain(gone.iter().map(leaving)).collect(),
            discovery: discovers.then(|| members.discovery.report()),
            events: members.counts.events(),
        }
    }
}

fn endpoint(member: &Member, health: Health, slots: &[&Arc<Slot>]) -> EndpointStatus {
    let counts = || slots.iter().map(|slot| &slot.counts);
    EndpointStatus {
        address: Arc::clone(&member.endpoint.address),
        labels: member.found.labels.clone(),
        weight: member.found.weight,
        priority: member.found.priority,
        health,
        complaint: member.endpoint.complaint(),
        ejected_for: None,
        latency: slots.iter().filter_map(|slot| slot.judges.latency.as_ref()?.shown()).max(),
        in_flight: counts().map(|counts| counts.in_flight.load(Relaxed)).sum(),
        total: counts().map(|counts| counts.total.load(Relaxed)).sum(),
        failures: counts().map(|counts| counts.failures.load(Relaxed)).sum(),
        breaker: member.endpoint.breaker.as_ref().map(|breaker| breaker.state()),
    }
}
