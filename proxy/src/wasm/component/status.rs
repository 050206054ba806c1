//! What the admin API says of a plugin.

use std::sync::atomic::Ordering;

use super::Plugin;
use crate::chain::Filter;

/// What a plugin is doing.
#[derive(Debug, Clone)]
pub struct PluginStatus {
    /// The digest of its bytes.
    pub digest: String,
    /// The phases that it asked for.
    pub phases: Vec<&'static str>,
    /// Instances that exist now.
    pub instances: usize,
    /// Linear memory of the idle instances in bytes.
    pub memory: usize,
}

impl Plugin {
    /// What the plugin is doing now.
    pub fn status(&self) -> PluginStatus {
        let mut memory = 0;
        self.pool.for_each(|instance| memory += instance.memory());
        PluginStatus {
            digest: self.digest.to_string(),
            phases: self.interest().phases.names(),
            instances: self.live.load(Ordering::Relaxed),
            memory,
        }
    }
}
