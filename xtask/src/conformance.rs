//! `cargo xtask conformance`: gofe beside programs of others that know a protocol better than its own tests do. They are
//! installed where they are missing.

mod acme;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

/// Which suite.
#[derive(Debug, Subcommand)]
pub(crate) enum Conformance {
    /// Certificates from Pebble, an authority for tests. Needs Go and curl.
    Acme,
}

/// Runs a suite.
pub(crate) fn run(workspace: &Workspace, suite: &Conformance) -> Result<()> {
    match suite {
        Conformance::Acme => acme::run(workspace),
    }
}
