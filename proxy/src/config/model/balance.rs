//! How an upstream's endpoints are chosen, found, watched and ejected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// By what rule.
    pub policy: Policy,
    /// For how long an endpoint that is new, or well again, gets less than its share.
    pub slow_start: Option<Duration>,
    /// gofe's own zone, where endpoints of that zone go first.
    pub zone: Option<String>,
    /// With a smaller share of healthy endpoints, in percent, requests go to all of them. Default 50.
    pub panic_threshold: u8,
    /// Where requests go whose subset has no endpoint.
    pub fallback: Fallback,
}

impl Default for Balance {
    fn default() -> Self {
        Self { policy: Policy::RoundRobin, slow_start: None, zone: None, panic_threshold: 50, fallback: Fallback::None }
    }
}

/// The rule by which an endpoint is chosen. All heed weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// One after the other.
    RoundRobin,
    /// Of two at random, the one with fewer requests in flight.
    LeastRequest,
    /// Of two at random, the one that costs less: its latency, which rises at once and falls over `decay`, times
    /// the requests in flight.
    PeakEwma {
        /// How long a high latency is remembered. Default 10 s.
        decay: Duration,
    },
    /// Any.
    Random,
    /// The next on a ring of hashes.
    RingHash {
        /// What is hashed.
        key: HashKey,
        /// Points of an endpoint of mean weight. Default 256.
        points: usize,
    },
    /// A lookup table in which each endpoint has its share (Maglev, NSDI 2016).
    Maglev {
        /// What is hashed.
        key: HashKey,
        /// Entries of the table, a prime number. Default 65,537.
        size: usize,
    },
}

impl Policy {
    /// The word in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastRequest => "least-request",
            Self::PeakEwma { .. } => "peak-ewma",
            Self::Random => "random",
            Self::RingHash { .. } => "ring-hash",
            Self::Maglev { .. } => "maglev",
        }
    }

    /// What is hashed, where anything is.
    pub fn key(&self) -> Option<&HashKey> {
        match self {
            Self::RingHash { key, .. } | Self::Maglev { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// What of a request decides to which endpoint it belongs.
#[derive(Debug, Clone, PartialEq)]
pub enum HashKey {
    /// A header field.
    Header(HeaderName),
    /// A cookie.
    Cookie(SessionCookie),
    /// A parameter of the query.
    Query(String),
    /// The client's address.
    Client,
    /// An attribute that a plugin has set.
    Attribute(String),
}

/// The cookie that keeps a client at its endpoint. gofe sets it where a request has none.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionCookie {
    /// Its name.
    pub name: String,
    /// How long clients keep it; absent: until the browser ends.
    pub max_age: Option<Duration>,
    /// The paths that it is for. Default `/`.
    pub path: String,
    /// Only over TLS.
    pub secure: bool,
    /// Not for scripts. Default true.
    pub http_only: bool,
    /// Whether requests from other sites have it.
    pub same_site: Option<SameSite>,
}

/// Whether requests that other sites cause have the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Only navigation.
    Lax,
    /// All of them; browsers ask for `secure` then.
    None,
}

/// Where requests go whose subset has no endpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Fallback {
    /// Nowhere: 503.
    #[default]
    None,
    /// To any endpoint.
    Any,
    /// To those with these labels.
    Subset(Vec<(String, String)>),
}

/// A name whose addresses are the endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// The name.
    pub name: String,
    /// The port; absent for SRV, which has ports of its own.
    pub port: Option<u16>,
    /// What is asked for.
    pub records: Records,
    /// The least and the most time until it is asked again. Default 1 s to 5 m.
    pub ttl: RangeInclusive<Duration>,
    /// Name servers in the place of the system's.
    pub servers: Vec<SocketAddr>,
}

/// What a name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Records {
    /// A and AAAA.
    #[default]
    Ip,
    /// A.
    A,
    /// AAAA.
    Aaaa,
    /// SRV (RFC 2782).
    Srv,
}

/// How endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// The port, where it is not the endpoint's.
    pub port: Option<u16>,
    /// From one check to the next. Default 10 s.
    pub interval: Duration,
    /// How long one may take. Default 2 s.
    pub timeout: Duration,
    /// How much an interval may be longer or shorter, in percent. Default 10.
    pub jitter: u8,
    /// So many checks in a row make an endpoint healthy. Default 2.
    pub healthy_after: u32,
    /// So many checks in a row make an endpoint unhealthy. Default 3.
    pub unhealthy_after: u32,
    /// Whether an endpoint that was not checked yet gets requests. Default true.
    pub optimistic: bool,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A request, in the upstream's protocol.
    Http {
        /// The method: GET or HEAD.
        method: Method,
        /// The path, with a query where there is one.
        path: String,
        /// The host; absent for the endpoint's own.
        host: Option<String>,
        /// The statuses that are well. Default 200 to 299.
        status: Vec<RangeInclusive<u16>>,
        /// What the body must contain.
        body: Option<String>,
    },
    /// The gRPC health checking protocol.
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
    },
    /// A connection.
    Tcp,
}

/// When an endpoint is ejected for how it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// So many errors in a row: 5xx, no connection, a break, a timeout. 0 for never. Default 5.
    pub consecutive_5xx: u32,
    /// So many in a row of 502, 503, 504, and what brought no response. 0 for never. Default 0.
    pub consecutive_gateway: u32,
    /// By the share of successes.
    pub success_rate: Option<SuccessRate>,
    /// By the mean latency.
    pub latency: Option<LatencyOutlier>,
    /// How often endpoints are compared, and those looked for whose time is over. Default 10 s.
    pub interval: Duration,
    /// How long the first ejection is; the second is twice as long, and so on. Default 30 s.
    pub base_ejection: Duration,
    /// The longest ejection. Default 5 m.
    pub max_ejection: Duration,
    /// The largest share of endpoints that is ejected, in percent; one always may be. Default 10.
    pub max_ejected: u8,
}

/// What it takes to compare endpoints in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// So many endpoints must have enough requests.
    pub endpoints: usize,
    /// So many requests are enough.
    pub requests: u64,
}

/// An endpoint's share of successes is lower than the mean minus so many standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRate {
    /// The factor, in thousandths (Envoy's `success_rate_stdev_factor`). Default 1900.
    pub deviation: u32,
    /// Default 5 endpoints with 100 requests.
    pub sample: Sample,
}

/// An endpoint's mean latency is higher than the median of the others, times a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyOutlier {
    /// The factor. Default 3.
    pub factor: u32,
    /// Default 3 endpoints with 100 requests.
    pub sample: Sample,
}

/// Labels as a list, which is how requests ask for them.
pub(in crate::config) fn as_subset(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An endpoint file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFile(pub PathBuf);
