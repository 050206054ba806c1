//! Fuzz targets for everything that reads what strangers write: calls of plugins into the host, in each ABI, and gofe's own
//! readers of files and of the network.
//!
//! A target is a function of bytes that may not panic, hang or use much memory. `cargo xtask fuzz` drives them with
//! libFuzzer, and the test of this package with the inputs in `fuzz/inputs`.

mod component;
mod config;
mod grpc_web;
mod http_wasm;
mod module;
mod net;
mod plugin;
mod proxy_wasm;
mod route;

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 9] = [
    ("component", component::run),
    ("proxy_wasm", proxy_wasm::run),
    ("http_wasm", http_wasm::run),
    ("module", module::run),
    ("config", config::run),
    ("route", route::run),
    ("grpc_web", grpc_web::run),
    ("proxy_header", net::proxy_header),
    ("client_hello", net::client_hello),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|(known, _)| *known == name).map(|(_, target)| target)
}
