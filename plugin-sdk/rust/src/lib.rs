//! Write gofe plugins in Rust.
//!
//! A plugin is a type that implements [`Plugin`], exported by [`macro@plugin`]:
//!
//! ```
//! use gofe_plugin::prelude::*;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// Which header to add.
//!     name: String,
//!     /// The value it gets.
//!     value: String,
//! }
//!
//! struct AddHeader(Config);
//!
//! #[gofe_plugin::plugin]
//! impl Plugin for AddHeader {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<Self, ConfigErrors> {
//!         Ok(Self(config))
//!     }
//!
//!     fn request_headers(&self, request: &Request) -> PhaseResult {
//!         if request.path().starts_with("/api/") {
//!             request.set_header(&self.0.name, &self.0.value)?;
//!         }
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! # #[cfg(not(target_family = "wasm"))]
//! # fn main() {
//! // In a native test, the mock plays the proxy:
//! let host = mock::Host::new();
//! let plugin = host.load::<AddHeader>(r#"{ "name": "x-team", "value": "red" }"#).unwrap();
//! let exchange = plugin.send(mock::Request::get("/api/users"));
//! assert_eq!(exchange.upstream_request().unwrap().header("x-team"), Some("red"));
//! # }
//! ```
//!
//! Build it with `crate-type = ["cdylib", "rlib"]` for `wasm32-unknown-unknown` or `wasm32-wasip2`; gofe loads what
//! comes out. The request in hand is implicit in the contract: the handles ([`Request`], [`Response`], ...) have no
//! content, and are given to those phases in which they mean something. What the proxy offers besides is in the
//! modules [`clock`], [`key_value`], [`limiter`], [`mod@log`], [`metrics`], [`outbound`], [`output`], [`random`] and
//! [`secrets`].

#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated from wit/, where the documentation is; calls across the sandbox are unsafe by nature"
)]
pub mod bindings;
mod host;

mod body;
pub mod config;
mod connection;
pub mod credential;
#[doc(hidden)]
pub mod guest;
pub mod json;
mod plugin;
mod reply;
mod report;
mod request;
mod response;
mod routing;

pub mod clock;
pub mod key_value;
pub mod limiter;
pub mod log;
pub mod metrics;
pub mod outbound;
pub mod output;
pub mod random;
pub mod secrets;

#[cfg(not(target_family = "wasm"))]
pub mod mock;

pub use bindings::gofe::plugin::routing::RoutingError;
pub use bindings::gofe::plugin::types::{Field, HeaderError, MessageError, Overflow, Phases};
pub use body::Body;
pub use config::{ConfigError, ConfigErrors};
pub use connection::{Attributes, Connection, Summary, Tls, has_upstream};
pub use gofe_plugin_macros::plugin;
pub use plugin::{BodyPolicy, Error, Flow, Options, PhaseResult, Plugin};
pub use reply::Reply;
pub use report::Report;
pub use request::Request;
pub use response::Response;
pub use routing::RetryPolicy;

#[doc(hidden)]
pub use {serde, serde_json};

/// What nearly every plugin uses.
pub mod prelude {
    #[cfg(not(target_family = "wasm"))]
    pub use crate::mock;
    pub use crate::{
        Attributes, Body, BodyPolicy, ConfigErrors, Connection, Error, Flow, Options, PhaseResult, Plugin, Reply,
        Request, Response,
    };
    pub use serde::Deserialize;
}
