//! Active health checks: every endpoint is asked again and again whether it is well.
//!
//! One checker for the whole process: an endpoint is not asked by each worker.

mod dial;
mod grpc;
mod http;
mod verdict;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::endpoint::{Endpoint, Member, Reason};
use super::members::Members;
use crate::config::{Health, Probe};
use dial::Dialer;
use verdict::{Change, Verdict};

/// Checks the endpoints of an upstream for as long as it lives.
pub(super) async fn run(members: Arc<Members>) {
    let Some(config) = members.config.health.clone() else { return };
    let config = Arc::new(config);
    let mut changed = members.subscribe();
    let mut running: HashMap<u64, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let current = members.current();
        running.retain(|id, task| {
            let stays = current.iter().any(|member| member.endpoint.id == *id);
            if !stays {
                task.abort();
            }
            stays
        });
        for member in current.iter() {
            running
                .entry(member.endpoint.id)
                .or_insert_with(|| tasks.spawn(check(Arc::clone(&members), member.clone(), Arc::clone(&config))));
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                warn!(upstream = %members.upstream, "a health check failed itself: {error}");
            }
        }
    }
}

/// Checks one endpoint.
async fn check(members: Arc<Members>, member: Member, config: Arc<Health>) {
    let endpoint = &member.endpoint;
    let dialer = Dialer::new(&members, &member.found, config.port);
    let mut verdict = Verdict::new(!endpoint.is(Reason::Unhealthy), config.healthy_after, config.unhealthy_after);
    loop {
        let found = match timeout(config.timeout, probe(&dialer, &config)).await {
            Ok(found) => found,
            Err(_) => Err(format!("no answer within {:?}", config.timeout)),
        };
        members.counts.checked(found.is_ok());
        judge(&members, endpoint, &mut verdict, found);
        sleep(jittered(config.interval, config.jitter, random())).await;
    }
}

fn judge(members: &Members, endpoint: &Endpoint, verdict: &mut Verdict, found: Result<(), String>) {
    let (upstream, address) = (&members.upstream, &endpoint.address);
    let change = verdict.add(found.is_ok());
    let complaint = found.err();
    endpoint.complain(complaint.clone());
    let Some(change) = change else { return };
    members.set(endpoint, Reason::Unhealthy, change == Change::Unhealthy, Instant::now());
    match change {
        Change::Healthy => info!(%upstream, endpoint = %address, "an endpoint is healthy"),
        Change::Unhealthy => {
            let why = complaint.unwrap_or_default();
            warn!(%upstream, endpoint = %address, "an endpoint is unhealthy: {why}");
        }
    }
}

/// Asks once. An error says what was wrong.
async fn probe(dialer: &Dialer, config: &Health) -> Result<(), String> {
    let dialed = dialer.dial().await?;
    match &config.probe {
        Probe::Tcp => Ok(()),
        Probe::Http { method, path, host, status, body } => {
            let host = host.as_ref().unwrap_or(&dialer.authority);
            http::check(dialed, http::Question { method, path, host, status, body: body.as_deref() }).await
        }
        Probe::Grpc { service } => grpc::check(dialed, &dialer.authority, service).await,
    }
}

/// From 0 to 1.
fn random() -> f64 {
    super::balance::fraction(super::balance::hash(&RandomState::new().build_hasher().finish().to_ne_bytes()))
}

/// An interval that is up to so many percent longer or shorter, by dice from 0 to 1: endpoints are not asked all at
/// once, and not by all gofe at once.
fn jittered(interval: Duration, percent: u8, dice: f64) -> Duration {
    interval.mul_f64(1.0 + f64::from(percent) / 100.0 * (2.0 * dice - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_differ_by_the_jitter() {
        let jittered = |percent, dice| jittered(Duration::from_secs(10), percent, dice).as_secs_f64();
        assert_eq!(jittered(0, 0.9), 10.0);
        assert_eq!(jittered(10, 0.0), 9.0);
        assert_eq!(jittered(10, 0.5), 10.0);
        assert_eq!(jittered(10, 1.0), 11.0);
        assert_eq!(jittered(100, 0.0), 0.0);
    }
}
