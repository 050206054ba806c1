//! A component that serves as an upstream.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Plugin;

/// A component of package `wasi:http` that answers requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its code, its limits and what it may do: as a plugin has them. Default of `time` 100 ms, of `memory` 64 MiB.
    pub code: Plugin,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Instances at a time, in all workers. Default 1,024.
    pub instances: usize,
    /// How instances are used again.
    pub reuse: Reuse,
}

/// How instances of a component are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reuse {
    /// Requests that an instance serves, one after the other or beside each other. By default 1 for `wasi:http` 0.2,
    /// whose components may count on that, and 128 for 0.3.
    pub requests: Option<usize>,
    /// Requests that an instance serves at a time. Always 1 for 0.2; by default 16 for 0.3.
    pub concurrency: Option<usize>,
    /// How long an instance without requests is kept. Default 30 s.
    pub idle_timeout: Duration,
}

impl Default for Reuse {
    fn default() -> Self {
        Self { requests: None, concurrency: None, idle_timeout: Duration::from_secs(30) }
    }
}
