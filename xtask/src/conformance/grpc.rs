//! gRPC's own interoperability test: its client calls its server, and gofe is between them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::site::{Site, serve};
use super::{Cases, go};
use crate::workspace::Workspace;

const CLIENT: &str = "google.golang.org/grpc/interop/client@v1.76.0";
const SERVER: &str = "google.golang.org/grpc/interop/server@v1.76.0";
/// The cases that need no account of a cloud and no balancer of their own.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

/// Runs each case.
pub(super) fn run(workspace: &Workspace) -> Result<Cases> {
    let (client, server) = (go::install(CLIENT)?, go::install(SERVER)?);
    let (_server, port) = serve(|port| {
        let mut command = Command::new(&server);
        command.args([format!("--port={port}"), "--use_tls=false".to_owned()]);
        command
    })?;
    let upstream = format!("{{ protocol: http2, endpoints: ['127.0.0.1:{port}'] }}");
    let routes = format!("routes: [{{ upstream: grpc }}]\nupstreams: {{ grpc: {upstream} }}\n");
    let site = Site::start(workspace, &routes)?;
    let mut cases = Cases::default();
    for case in CASES {
        let mut command = Command::new(&client);
        command.args([format!("--server_port={}", site.plain), format!("--test_case={case}")]);
        command.args(["--server_host=127.0.0.1", "--use_tls=false"]);
        cases.count += 1;
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("the client of gRPC")?;
        if !status.success() {
            cases.failed.insert(case.to_owned());
        }
    }
    Ok(cases)
}
