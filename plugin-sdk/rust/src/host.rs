//! The host's functions: the proxy's in WebAssembly, the mock's in native tests.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::gofe::plugin::{
    attributes, body, clock, connection, key_value, limiter, log, metrics, outbound, output, random, reply, request,
    response, routing, secrets,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::mock::host::{
    attributes, body, clock, connection, key_value, limiter, log, metrics, outbound, output, random, reply, request,
    response, routing, secrets,
};
