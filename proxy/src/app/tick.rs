//! The timers of plugins: on one worker, and started anew with each configuration.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::chain::Filter;
use crate::snapshot::{Live, Step};

/// Runs the timers of the plugins that asked for one, where this is the worker for it.
pub(super) async fn run(live: Arc<Live>, here: bool) {
    if !here {
        return;
    }
    let mut changed = live.subscribe();
    loop {
        let mut timers = JoinSet::new();
        for entry in live.current().plugins.values() {
            if let Some(interval) = entry.step.interest().tick {
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
