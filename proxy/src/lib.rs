//! gofe: an edge proxy that people program with WebAssembly.
//!
//! The modules import strictly downward; ARCHITECTURE.md has the table.

pub mod admin;
pub mod app;

pub mod chain;
pub mod cli;

pub mod config;
pub mod http;
pub mod net;
pub mod reload;

pub mod route;
pub mod server;
pub mod snapshot;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod wasm;
pub mod watch;
