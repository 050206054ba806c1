//! What plugins do beside requests, started anew with each configuration: timers, on one worker; and on each worker what
//! belongs to its own VMs.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::chain::Filter;
use crate::snapshot::{Live, Step};

/// Attends to the plugins on a worker; the first has the timers of those that have one.
pub(super) async fn run(live: Arc<Live>, worker: usize) {
    let mut changed = live.subscribe();
    loop {
        let mut timers = JoinSet::new();
        for entry in live.current().plugins.values() {
            if entry.step.is_attended() {
                let step = entry.step.clone();
                timers.spawn(async move { step.attend(worker).await });
            }
            if let (0, Some(interval)) = (worker, entry.step.interest().tick) {
                timers.spawn(timer(entry.step.clone(), interval));
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn timer(step: Arc<Step>, interval: std::time::Duration) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while step.is_loaded() {
        interval.tick().await;
        step.tick().await;
    }
}
