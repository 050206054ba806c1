//! A proxy for tests: it runs a plugin natively, with no WebAssembly.
//!
//! ```
//! use std::time::Duration;
//! use gofe_plugin::prelude::*;
//!
//! # struct Limit;
//! # #[gofe_plugin::plugin]
//! # impl Plugin for Limit {
//! #     type Config = std::collections::BTreeMap<String, String>;
//! #     fn new(_: Self::Config) -> Result<Self, ConfigErrors> { Ok(Self) }
//! #     fn request_headers(&self, request: &Request) -> PhaseResult {
//! #         let client = request.connection().client_address();
//! #         let decision = gofe_plugin::limiter::take(&client, 1, 1, Duration::from_secs(1), 1);
//! #         Ok(if decision.allowed { Flow::Continue } else { Reply::new(429).into() })
//! #     }
//! # }
//! let host = mock::Host::new();
//! let plugin = host.load::<Limit>("{}").unwrap();
//! assert_eq!(plugin.send(mock::Request::get("/")).response().status(), 200);
//! assert_eq!(plugin.send(mock::Request::get("/")).response().status(), 429);
//! host.advance(Duration::from_secs(1));
//! assert_eq!(plugin.send(mock::Request::get("/")).response().status(), 200);
//! ```
//!
//! The mock denies what the proxy denies by default: grant secrets, outbound HTTP, key-value and metrics where the
//! plugin needs them. Its state belongs to the thread, so that tests run side by side; a new [`Host`] clears it.

mod exchange;
pub(crate) mod host;
mod message;
mod state;

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

pub use crate::bindings::gofe::plugin::connection::Tls;
pub use crate::bindings::gofe::plugin::types::Interest;
pub use crate::log::Level;
pub use crate::outbound::{IncomingResponse, OutboundError, OutgoingRequest};
pub use exchange::{Exchange, Loaded, Received, Sent};
pub use message::{Request, Response};

use crate::{ConfigErrors, Plugin, guest};
use state::{State, with};

/// The proxy around a plugin.
#[derive(Debug)]
pub struct Host {
    // The state belongs to the thread, so the handle must not leave it.
    thread: PhantomData<Rc<()>>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A new proxy in the place of this thread's last one. It grants nothing; its clock stands at
    /// 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        with(|state| *state = State::default());
        Self { thread: PhantomData }
    }

    /// Grants a secret.
    #[must_use]
    pub fn secret(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| state.secrets.insert(name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Grants the key-value store.
    #[must_use]
    pub fn key_value(self) -> Self {
        with(|state| state.key_value_granted = true);
        self
    }

    /// Grants metrics.
    #[must_use]
    pub fn metrics(self) -> Self {
        with(|state| state.metrics_granted = true);
        self
    }

    /// Grants outbound HTTP to a host, written as in `allow.http`: `users.internal:8080`, or without a port for 80 and
    /// 443.
    #[must_use]
    pub fn http(self, authority: &str) -> Self {
        with(|state| state.http_granted.push(authority.to_owned()));
        self
    }

    /// Answers the plugin's own requests to hosts that are granted.
    pub fn answer(&self, answer: impl Fn(&OutgoingRequest) -> Result<IncomingResponse, OutboundError> + 'static) {
        with(|state| state.http_answer = Some(Rc::new(answer)));
    }

    /// Adds an upstream that has one endpoint with these labels. Calls for the same name add endpoints.
    #[must_use]
    pub fn upstream(self, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        with(|state| state.upstreams.entry(name.to_owned()).or_default().push(labels));
        self
    }

    /// Configures a plugin with JSON, as the proxy does.
    pub fn load<P: Plugin>(&self, configuration: &str) -> Result<Loaded<P>, ConfigErrors> {
        let (plugin, interest) = guest::configure::<P>(configuration)?;
        Ok(Loaded { plugin, interest })
    }

    /// Moves both clocks on.
    pub fn advance(&self, time: Duration) {
        with(|state| state.now += time);
    }

    /// Sets the wall clock to this time since 1970-01-01T00:00:00Z.
    pub fn set_time(&self, time: Duration) {
        with(|state| state.now = time);
    }

    /// What was logged, at any level.
    #[must_use]
    pub fn logs(&self) -> Vec<(Level, String)> {
        with(|state| state.logs.clone())
    }

    /// Keeps log messages of this level and above. All are kept at first.
    pub fn log_level(&self, level: Level) {
        with(|state| state.log_level = level);
    }

    /// The lines that the plugin wrote to its output. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        with(|state| state.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }

    /// The value of a counter or gauge, or the sum of a histogram; nothing where it was not used.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        with(|state| state.metrics.get(&(name.to_owned(), labels)).copied())
    }
}
