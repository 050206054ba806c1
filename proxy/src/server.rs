//! The request path: accepts clients, takes each request through its route's chain to its upstream, and answers.

mod admit;
mod chosen_time;
mod clients;
mod connection;
mod fallback;
mod flight;
mod grpc;
mod http3;
mod meter;
mod mirror;
mod passage;
mod request;
mod rescue;
mod treatment;
mod tunnel;
mod upgrade;
mod watch;
mod worker;

pub use worker::{Command, Shared, Worker, WorkerHandle};
