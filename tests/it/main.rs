//! Integration tests: they start the gofe binary on free ports and speak to it as users do.
//!
//! `cargo xtask test` builds what they need: the binary (`GOFE_BIN`) and the guest plugins (`GOFE_GUESTS`).

#![expect(unreachable_pub, reason = "the harness has one public face for all modules of this binary")]

mod acme;
mod admin;
mod attack;
mod balance;
mod bodies;
mod choices;
mod cli;
mod drain;
mod early_data;
mod edge;
mod field;
mod four_abis;
mod grpc;
mod guests;
mod harness;
mod hostile;
mod http3;
mod http_wasm;
mod keys;
mod plugins;
mod proxy_wasm;
mod resilience;
mod routes;
mod send;
mod smoke;
mod swap;
mod tcp;
mod tls;
mod traffic;
mod upgrades;
mod wasi_http;
