//! Metrics of the plugin's own, in the proxy's `/metrics`. Needs `allow.metrics`.

use crate::host;

pub use crate::bindings::gofe::plugin::metrics::MetricError;

/// Adds to a counter. It is called `gofe_plugin_<name>_total` and has a label `plugin`.
pub fn add(name: &str, labels: &[(&str, &str)], delta: u64) -> Result<(), MetricError> {
    host::metrics::add(name, labels, delta)
}

/// Sets a gauge.
pub fn set(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
    host::metrics::set(name, labels, value)
}

/// Counts a value in a histogram, in seconds by custom.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
    host::metrics::observe(name, labels, value)
}
