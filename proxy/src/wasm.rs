//! The plugin host: engine, artifacts, instance pools, limits, and one folder for each plugin ABI.
//!
//! This is the only module that knows wasmtime. To the request path a plugin is a [`crate::chain::Filter`].

mod artifact;
mod component;
mod engine;
mod env;
mod functions;
mod limits;
mod pool;

pub use artifact::{Abi, Artifact, ArtifactError, Digest};
pub use component::{LoadError, Plugin};
pub use engine::{Engine, EngineError};
pub use env::Env;
pub use pool::Pool;
