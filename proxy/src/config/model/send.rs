//! How requests are sent to an upstream: the connections, and what happens when a try fails.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;

use super::TlsVersion;

/// How requests are sent to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sending {
    /// TLS towards the endpoints; absent for cleartext.
    pub tls: Option<UpstreamTls>,
    /// The PROXY protocol's header that begins each connection.
    pub proxy_protocol: Option<ProxyVersion>,
    /// The address of this machine that connections come from.
    pub local_address: Option<IpAddr>,
    /// How old a connection may become; each lives up to a tenth less, so that not all end at once.
    pub connection_age: Option<Duration>,
    /// How many requests a connection serves.
    pub connection_requests: Option<usize>,
    /// In each try, from the end of the request to the head of its response.
    pub response_timeout: Option<Duration>,
    /// How long a response's body may stand still.
    pub response_idle_timeout: Option<Duration>,
    /// How failed tries are repeated, for routes that do not say it themselves.
    pub retry: Option<Retry>,
    /// How many repeated tries there may be in all.
    pub retry_budget: RetryBudget,
    /// Whether a slow try gets a rival, for routes that do not say it themselves.
    pub hedge: Option<Hedge>,
    /// When nothing more is sent to the upstream.
    pub breaker: Option<Breaker>,
    /// When nothing more is sent to one of its endpoints.
    pub endpoint_breaker: Option<Breaker>,
    /// The most of what there may be at a time, in all workers together.
    pub limits: SendLimits,
    /// The limit on requests that follows how fast the upstream answers.
    pub adaptive: Option<Adaptive>,
}

/// What a route says of how its requests are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteSending {
    /// In the place of the upstream's.
    pub retry: Option<Retry>,
    /// In the place of the upstream's.
    pub hedge: Option<Hedge>,
    /// Which requests are refused last.
    pub importance: Importance,
}

/// TLS towards endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// The name that is asked for (SNI) and that the certificate must have; the endpoint's host where it is absent.
    pub server_name: Option<String>,
    /// The authorities that are trusted, PEM; the system's where it is absent.
    pub authorities: Option<PathBuf>,
    /// The certificate that gofe shows, and its private key, both PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// What of the endpoint's certificate is checked.
    pub verify: VerifyServer,
    /// The oldest version that is spoken. Default 1.2.
    pub minimum_version: TlsVersion,
}

/// What of an endpoint's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyServer {
    /// That a trusted authority has issued it, that it is valid today, and that it has the name.
    #[default]
    Full,
    /// All but the name.
    Authority,
    /// Nothing: anybody between can read and change everything.
    Nothing,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// How failed tries are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, the first among them; 1 for no repeated try.
    pub attempts: u32,
    /// How long one try may take, to the head of its response.
    pub per_try_timeout: Option<Duration>,
    /// What is a failed try.
    pub on: Vec<Condition>,
    /// The pause before the second try is a random part of this; twice this before the third, and so on.
    pub backoff_base: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for; a response that asks for more goes to the client.
    pub retry_after: Duration,
    /// The most bytes of a request's body that are kept for another try.
    pub body_size: usize,
    /// Whether requests are repeated whose method is not idempotent (RFC 9110, section 9.2.2).
    pub non_idempotent: bool,
}

impl Default for Retry {
    fn default() -> Self {
        let base = Duration::from_millis(25);
        Self {
            attempts: 2,
            per_try_timeout: None,
            on: vec![Condition::ConnectFailure, Condition::RefusedStream, Condition::Reset, Condition::Timeout],
            backoff_base: base,
            backoff_max: base * 10,
            retry_after: Duration::from_secs(1),
            body_size: 64 << 10,
            non_idempotent: false,
        }
    }
}

/// A kind of failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There was no connection.
    ConnectFailure,
    /// An HTTP/2 stream was refused before anything was done with it (RFC 9113, section 8.7).
    RefusedStream,
    /// The connection ended before the head of the response.
    Reset,
    /// The try took longer than `per-try-timeout` or `response-timeout`.
    Timeout,
    /// No response, for any reason, or one with a status from 500 to 599.
    ServerError,
    /// No response, for any reason, or one with 502, 503 or 504.
    GatewayError,
    /// A response with this status.
    Status(StatusCode),
    /// A response with this gRPC status, in its headers.
    Grpc(u8),
}

/// How many repeated tries an upstream gets, in all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of the requests of the last ten seconds, in percent.
    pub percent: u32,
    /// So many a second in any case.
    pub minimum: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, minimum: 10 }
    }
}

/// A rival for a slow try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// How long a try may be without a response until there is another beside it.
    pub delay: Duration,
    /// The most rivals of one request.
    pub requests: u32,
}

/// When nothing more is sent for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row open it.
    pub consecutive_failures: Option<u32>,
    /// Of the calls in the window, so many percent that failed.
    pub failure_rate: Option<u32>,
    /// Of the calls in the window, so many percent that were slow.
    pub slow_call_rate: Option<u32>,
    /// From when on a call is slow.
    pub slow_call: Duration,
    /// Which calls are looked at.
    pub window: Window,
    /// Rates mean nothing before so many calls are in the window.
    pub minimum_calls: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// How many calls are let through when that time is over; it closes when all of them went well.
    pub probes: u32,
}

/// Which calls a breaker looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Those of this time.
    Time(Duration),
    /// The last ones.
    Calls(u32),
}

/// The most of what there may be at a time, in all workers together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendLimits {
    /// Connections.
    pub connections: Option<usize>,
    /// Requests that wait for a connection.
    pub pending: usize,
    /// Requests without the end of their response.
    pub requests: Option<usize>,
}

/// A limit on requests that follows how fast an upstream answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptive {
    /// The limit is never below this.
    pub minimum: u32,
    /// The limit is never above this.
    pub maximum: u32,
    /// By how many percent an answer may be slower than when there are few requests.
    pub tolerance: u32,
}

/// Which requests are refused last where there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Importance {
    /// As all others.
    #[default]
    Normal,
    /// After those.
    High,
}

impl UpstreamTls {
    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.client_certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.authorities.iter().chain(own).map(PathBuf::as_path)
    }
}
