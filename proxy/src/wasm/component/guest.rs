//! The data of a guest's store: the request that is lent to it, and what limits it.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, info};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::super::Env;
use super::super::limits::{Budget, MemoryCap};
use crate::chain::State;

/// The data of a guest's store.
pub(super) struct Guest {
    pub(super) env: Arc<Env>,
    /// The request in hand, lent for the call.
    pub(super) state: Option<Box<State>>,
    pub(super) budget: Budget,
    pub(super) memory: MemoryCap,
    pub(super) clock: Arc<super::super::engine::Clock>,
    /// The empty world that language runtimes need, for guests that import it.
    wasi: Option<Box<(WasiCtx, ResourceTable)>>,
    /// While the guest configures itself it may not call out.
    pub(super) configuring: bool,
    /// Names of header fields, parsed.
    pub(super) names: super::host::Names,
}

impl Guest {
    pub(super) fn new(env: Arc<Env>, clock: Arc<super::super::engine::Clock>, wasi: bool) -> Self {
        let memory = MemoryCap::new(env.limits.memory);
        let wasi = wasi.then(|| Box::new((empty_world(&env.name), ResourceTable::new())));
        Self {
            env,
            state: None,
            budget: Budget::default(),
            memory,
            clock,
            wasi,
            configuring: true,
            names: Default::default(),
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let env = &self.env;
        let wasi = self.wasi.get_or_insert_with(|| Box::new((empty_world(&env.name), ResourceTable::new())));
        WasiCtxView { ctx: &mut wasi.0, table: &mut wasi.1 }
    }
}

/// No files, no sockets, no environment; what is written to stdout and stderr becomes log lines.
fn empty_world(plugin: &Arc<str>) -> WasiCtx {
    let stream = |error| LogStream { plugin: plugin.clone(), error, line: Vec::new() };
    wasmtime_wasi::WasiCtxBuilder::new()
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stdout(stream(false))
        .stderr(stream(true))
        .build()
}

/// The longest line that is put together; a longer one is logged in pieces.
const MAX_LINE: usize = 8 << 10;

/// Turns what a guest writes to stdout or stderr into log lines.
#[derive(Clone)]
struct LogStream {
    plugin: Arc<str>,
    error: bool,
    line: Vec<u8>,
}

impl LogStream {
    fn emit(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if self.error {
            error!(plugin = &*self.plugin, "{line}");
        } else {
            info!(plugin = &*self.plugin, "{line}");
        }
        self.line.clear();
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.line.len() == MAX_LINE {
                self.emit();
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 takes this way, which this engine does not link.
        Box::new(tokio::io::sink())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}
