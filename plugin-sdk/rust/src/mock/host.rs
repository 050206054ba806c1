//! The functions of the contract's interfaces, with the signatures that the bindings have.

mod http;
mod services;

pub(crate) use http::{attributes, body, connection, reply, request, response, routing};
pub(crate) use services::{clock, key_value, limiter, log, metrics, outbound, output, random, secrets};
