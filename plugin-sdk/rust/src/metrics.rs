//! Metrics of the plugin's own, in the proxy's `/metrics`. Needs `allow.metrics`.

use crate::host;

pub use crate::bindings::gofe::plugin::metrics::MetricError;

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Adds to a counter. It is called `gofe_plugin_<name>_total` and has a label `plugin`.
pub fn add(name: &str, labels: &[(&str, &str)], delta: u64) -> Result<(), MetricError> {
    host::metrics::add(name, &owned(labels), delta)
}

/// Sets a gauge.
pub fn set(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
    host::metrics::set(name, &owned(labels), value)
}

/// Counts a value in a histogram, in seconds by custom.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
    host::metrics::observe(name, &owned(labels), value)
}
