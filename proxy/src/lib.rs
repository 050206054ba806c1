//! gofe: an edge proxy that people program with WebAssembly.

pub mod chain;
pub mod config;
pub mod http;
pub mod store;
pub mod telemetry;
pub mod wasm;
