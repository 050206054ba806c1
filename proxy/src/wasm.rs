//! The plugin host: engine, artifacts, instance pools, limits, and one folder for each plugin ABI.
//!
//! This is the only module that knows wasmtime. To the request path a plugin is a [`crate::chain::Filter`].

mod artifact;
mod clock;
mod compilers;
mod component;
mod engine;
mod env;
mod fields;
#[cfg(test)]
mod fixtures;
mod functions;
mod http_wasm;
mod inspect;
mod lent;
mod limits;
mod load;
mod memory;
mod names;
mod pace;
mod pool;
mod proxy_wasm;
mod recognise;
mod store;
mod wasi;
mod wasi_http;

pub use artifact::{Artifact, ArtifactError, Digest, Keep};
pub use component::Plugin;
pub use engine::{Engine, EngineError};
pub use env::Env;
pub use http_wasm::HttpWasm;
pub use inspect::{Answer, Import, Report};
pub use load::LoadError;
pub use pool::Pool;
pub use proxy_wasm::{Connection, ProxyWasmFilter};
pub use recognise::{Abi, ProxyWasm, Shape, WasiHttp};
pub use wasi_http::{EdgeFunction, Middleware};
