//! Checked configuration: what the rest of gofe works with.
//!
//! No `Option` where there is a default, no string where there is a type, no name that refers to nothing.
//! Values carry no positions, so that two configurations compare by meaning; [`super::Source::locate`] finds
//! the place of a value by its JSON pointer.

mod acme;
mod balance;
mod component;
mod listener;
mod matching;
mod send;
mod tcp;
mod tls;
mod treatment;
mod vm;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

pub use acme::{Acme, Challenge};
pub(super) use balance::as_subset;
pub use balance::{
    Balance, Dns, EndpointFile, Fallback, HashKey, Health, LatencyOutlier, Outliers, Policy, Probe, Records, SameSite,
    Sample, SessionCookie, SuccessRate,
};
pub use component::{Component, Reuse};
pub use listener::{Address, ClientHeader, Http3, Listener, Networks, ProxyProtocol, TrustedProxies};
pub use matching::{HostPattern, Match, PathPattern, Pattern, Segment, ValueMatch};
pub use send::{
    Adaptive, Breaker, Condition, Hedge, Importance, ProxyVersion, Retry, RetryBudget, RouteSending, SendLimits,
    Sending, UpstreamTls, VerifyServer, Window,
};
pub use tcp::Tcp;
pub use tls::{Alpn, Certificate, ClientCertificates, EarlyData, Hsts, Redirect, Tls, TlsVersion, Verify};
pub use treatment::{
    Choice, Edits, FallbackAnswer, Fault, FieldValue, Fixed, Mirror, Part, PathRewrite, Rewrite, RouteFallback,
    RouteRedirect, Share, Split, Sticky, Text, Treatment, Variable,
};
pub use vm::Vm;

/// A whole configuration file, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; one per core where the file does not say.
    pub workers: usize,
    /// gofe's own zone, where the file says it.
    pub zone: Option<String>,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The admin API; absent where the file has no `admin`.
    pub admin: Option<Admin>,
    /// What a client may ask of the proxy.
    pub limits: ClientLimits,
    /// How long a client may take.
    pub timeouts: ClientTimeouts,
    /// What the log keeps and how it looks.
    pub log: Log,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// Chains by name: names of plugins, in order.
    pub chains: BTreeMap<String, Vec<String>>,
    /// Routes in the order of the file.
    pub routes: Vec<Route>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The address: loopback, or any when there is a token.
    pub address: SocketAddr,
    /// The bearer token that each request must carry.
    pub token: Option<Secret>,
}

/// Where a secret comes from. It is read when a configuration is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; a line feed at its end does not belong to the secret.
    File(PathBuf),
}

/// Limits on clients, for all listeners together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections open at a time. Default 10,000.
    pub connections: usize,
    /// Connections open at a time of one client: an IPv4 address, or an IPv6 network of 64 bits. Default 1,000.
    pub connections_per_client: usize,
    /// TLS handshakes in progress at a time. Default 1,000.
    pub handshakes: usize,
    /// Bytes of a request's line and header section. Default 64 KiB; at least 8 KiB.
    pub header_size: usize,
    /// Header fields in a request. Default 100.
    pub header_count: usize,
    /// Bytes of a request's body. Default 100 MiB.
    pub body_size: u64,
    /// HTTP/2 streams open at a time on a connection. Default 100.
    pub streams: u32,
    /// Requests that a client may break off on an HTTP/2 connection, where these are most of all. Default 100.
    pub resets: u32,
    /// Bytes a second with which a request's body must come, 0 for any. Default 240.
    pub body_rate: u64,
}

/// Timeouts towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a request to the end of its header section. Default 10 s.
    pub header_read: Duration,
    /// A connection without a request, and a body that does not move. Default 60 s.
    pub idle: Duration,
    /// How long a request's body may keep gofe waiting before `body_rate` counts. Default 10 s.
    pub body_grace: Duration,
    /// From SIGTERM until connections are cut. Default 30 s.
    pub drain: Duration,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter as `tracing-subscriber` reads it, for example `info` or `gofe=debug`. Default `info`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

/// One plugin: its code, what it may do, and what happens when it fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Where the code is.
    pub source: PluginSource,
    /// The digest that the code must have: SHA-256 in lower-case hexadecimal.
    pub digest: Option<String>,
    /// What happens to a request when the plugin fails.
    pub on_error: OnError,
    /// How instances are used.
    pub instance: InstanceMode,
    /// What one call may use.
    pub limits: PluginLimits,
    /// What the plugin may do beyond its request.
    pub allow: Allow,
    /// The VM of a proxy-wasm plugin, where the file says something of it.
    pub vm: Option<Vm>,
    /// The plugin's own configuration; null where there is none.
    pub config: serde_json::Value,
}

/// Where a plugin's code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// A standard plugin, built into gofe: `std:api-key`.
    Standard(String),
    /// A file: `file:plugins/tenant.wasm`, relative to the configuration file; here already joined to its folder.
    File(PathBuf),
}

/// What happens when a plugin traps, runs over a limit, says that it failed, or could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The request is answered with 500.
    #[default]
    FailClosed,
    /// The request goes on as if the plugin were not in the chain.
    FailOpen,
}

/// How instances of a plugin are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstanceMode {
    /// An instance is leased for one call.
    #[default]
    PerCall,
    /// An instance is held from a request's first phase to its last.
    PerRequest,
    /// Each request gets a new instance, which is thrown away.
    Fresh,
}

/// What one call of a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// Execution time of one call; waiting for a callout does not count. Default 10 ms, at least 1 ms.
    pub time: Duration,
    /// Linear memory of one instance in bytes. Default 16 MiB.
    pub memory: usize,
    /// The most a plugin may hold back of a body in bytes. Default 1 MiB.
    pub body: u64,
}

/// What a plugin may do beyond its request. Nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    /// Hosts, with a port or without (then 80 and 443), that it may send requests to.
    pub http: Vec<Authority>,
    /// Limits on those requests.
    pub http_limits: OutboundLimits,
    /// Whether it may use the key-value store.
    pub key_value: bool,
    /// Whether it may have metrics.
    pub metrics: bool,
    /// Secrets that it may read.
    pub secrets: BTreeSet<String>,
    /// Where its output goes.
    pub output: Output,
}

/// Limits on a plugin's own requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundLimits {
    /// The most time for one request. Default 5 s.
    pub timeout: Duration,
    /// The most bytes of a response. Default 1 MiB.
    pub response_size: usize,
}

impl Default for OutboundLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), response_size: 1 << 20 }
    }
}

/// Where a plugin's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to, and opened anew at a reload.
    File(PathBuf),
}

/// One route: which requests it takes and what happens to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The name in logs, metrics and plugins: the file's `name`, or the path pattern.
    pub name: String,
    /// The names of the listeners that it serves on; empty for all.
    pub listeners: Vec<String>,
    /// Of routes that would take a request, those with the highest priority are looked at first. Default 0.
    pub priority: i16,
    /// Which requests it takes.
    pub matches: Match,
    /// The name of the chain; absent for none.
    pub chain: Option<String>,
    /// What answers.
    pub action: Action,
    /// What happens to requests and responses on their way.
    pub treatment: Treatment,
    /// From the request's headers to the end of the response's headers. Default 60 s.
    pub timeout: Duration,
    /// Bytes of a request's body, in the place of the client limit.
    pub body_size: Option<u64>,
    /// How its requests are sent.
    pub sending: RouteSending,
    /// The protocols that clients may change to, in lower case. Default WebSocket alone.
    pub upgrades: Vec<String>,
    /// Whether calls of gRPC-Web are translated to gRPC.
    pub grpc_web: bool,
}

/// What answers a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The upstream of this name.
    Upstream(String),
    /// One of several upstreams.
    Split(Split),
    /// A fixed answer.
    Respond(Fixed),
    /// A redirect.
    Redirect(RouteRedirect),
}

/// A set of endpoints that serve the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// What serves.
    pub backend: Backend,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// The protocol towards the endpoints.
    pub protocol: Protocol,
    /// How long a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Default 60 s.
    pub idle_timeout: Duration,
    /// Unused connections kept to one endpoint, in each worker; more for the seconds after many requests at a time. Default 128.
    pub idle_connections: usize,
    /// How endpoints are asked whether they are well; absent where they are not.
    pub health: Option<Health>,
    /// When endpoints are ejected for how they answer; absent for never.
    pub outliers: Option<Outliers>,
    /// How requests are sent.
    pub sending: Sending,
}

/// What serves an upstream's requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Backend {
    /// Servers in the network.
    Endpoints(Vec<Endpoint>),
    /// What a name resolves to.
    Dns(Dns),
    /// What a file says, which is watched.
    File(EndpointFile),
    /// The demo server built into gofe: it answers with method, path, headers and body as JSON.
    Echo,
    /// A component that runs in gofe.
    Component(Box<Component>),
}

impl Backend {
    /// The component, where it is one.
    pub fn component(&self) -> Option<&Component> {
        if let Self::Component(component) = self { Some(component) } else { None }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port. A name is looked up when a connection is made.
    pub authority: Authority,
    /// The path of its Unix socket, where it has one; the authority is then `localhost`.
    pub socket: Option<PathBuf>,
    /// Labels for subsets, for example `version: v2`. `zone` is where it is.
    pub labels: BTreeMap<String, String>,
    /// Its share beside the others. Default 1; 0 for no requests.
    pub weight: u32,
    /// Endpoints of a higher number get requests when those before are not healthy. Default 0.
    pub priority: u8,
}

/// The protocol towards endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    Http2,
    /// What is agreed upon in TLS (RFC 7301).
    Auto,
}

impl Endpoint {
    /// The endpoint as it is written: host and port, or `unix:` and a path.
    pub fn address(&self) -> String {
        match &self.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => self.authority.to_string(),
        }
    }
}

impl Route {
    /// Whether it serves on the listener of this name; one without a name has the routes of all listeners only.
    pub fn serves_on(&self, listener: Option<&str>) -> bool {
        self.listeners.is_empty() || listener.is_some_and(|name| self.listeners.iter().any(|known| known == name))
    }
}
