//! What gofe says about itself: the log, the metrics, and the plugins' own output.

pub mod log;
mod metrics;
mod output;
mod throttle;

pub use metrics::{
    Custom, CustomError, EndpointCounts, Exposition, Metrics, PluginMetrics, PluginTotals, RouteMetrics,
    UpstreamMetrics,
};
pub use output::{Output, Outputs};
pub use throttle::Throttle;
