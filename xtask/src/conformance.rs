//! `cargo xtask conformance`: the suites by which others find out whether a proxy follows the documents.
//!
//! A suite yields the names of the cases that fail. Each of these is in docs/conformance.md with its reason, or the
//! command fails; it fails, too, where the page names a case that passes.

mod acme;
mod go;
mod grpc;
mod h2spec;
mod http_wasm;
mod known;
mod site;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::steps::{Outcome, Steps};
use crate::workspace::Workspace;

/// A suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Certificates from Pebble, an authority for tests. Needs curl.
    Acme,
    /// h2spec: HTTP/2 and its header compression, in cleartext and in TLS.
    H2spec,
    /// gRPC's own client and server for interoperability, with gofe between them.
    Grpc,
    /// The Technology Compatibility Kit of http-wasm, over HTTP/1.1 and HTTP/2.
    HttpWasm,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::H2spec => "h2spec",
            Self::Grpc => "grpc",
            Self::HttpWasm => "http-wasm",
        }
    }
}

/// What became of a suite.
#[derive(Debug, Default)]
struct Cases {
    /// How many cases there were.
    count: usize,
    /// Those that failed, as the page names them.
    failed: BTreeSet<String>,
}

impl Cases {
    fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        self.failed.extend(other.failed);
        self
    }
}

/// Runs all suites, or one.
pub(crate) fn run(workspace: &Workspace, only: Option<Suite>) -> Result<()> {
    let wanted = |suite| only.is_none_or(|only| only == suite);
    let mut steps = Steps::default();
    workspace.build_gofe()?;
    for suite in Suite::value_variants().iter().copied().filter(|suite| wanted(*suite)) {
        let name = suite.name();
        steps.run(name, format!("cargo xtask conformance {name}"), || match suite {
            Suite::Acme => acme::run(workspace).map(|()| Outcome::Done),
            Suite::HttpWasm => http_wasm::run(workspace).map(|()| Outcome::Done),
            Suite::H2spec => judge(name, &h2spec::run(workspace)?, &known::of(workspace, name)?),
            Suite::Grpc => judge(name, &grpc::run(workspace)?, &known::of(workspace, name)?),
        });
    }
    steps.finish()
}

/// Compares what failed with what the page says.
fn judge(suite: &str, cases: &Cases, known: &BTreeSet<String>) -> Result<Outcome> {
    let passed = cases.count - cases.failed.len();
    println!("{suite}: {passed} of {} cases pass", cases.count);
    let list = |cases: Vec<&String>| cases.into_iter().map(|case| format!("\n  {case}")).collect::<String>();
    let new = list(cases.failed.difference(known).collect());
    let gone = list(known.difference(&cases.failed).collect());
    if !new.is_empty() {
        bail!("these cases fail and are not in {}:{new}", known::PAGE);
    }
    if !gone.is_empty() {
        bail!("these cases are in {} and do not fail:{gone}", known::PAGE);
    }
    if cases.count == 0 {
        bail!("{suite} ran no case");
    }
    Ok(Outcome::Done)
}
