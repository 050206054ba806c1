//! The request path: accepts clients, takes each request through its route's chain to its upstream, and answers.

mod admit;
mod clients;
mod connection;
mod flight;
mod grpc;
mod http3;
mod meter;
mod passage;
mod request;
mod rescue;
mod tunnel;
mod upgrade;
mod watch;
mod worker;

pub use worker::{Command, Shared, Worker, WorkerHandle};
