//! `cargo xtask conformance`: test suites that others keep, against a running gofe.

mod http_wasm;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

/// A suite.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Suite {
    /// The Technology Compatibility Kit of http-wasm, over HTTP/1.1 and HTTP/2. Needs Go.
    HttpWasm,
}

/// Runs a suite.
pub(crate) fn run(workspace: &Workspace, suite: Suite) -> Result<()> {
    match suite {
        Suite::HttpWasm => http_wasm::run(workspace),
    }
}
