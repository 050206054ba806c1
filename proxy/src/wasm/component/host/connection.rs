//! `gofe:plugin/connection`: facts about the client, and what the proxy knows of the request.

use std::sync::atomic::Ordering;

use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Interface, stored_record};
use crate::chain::{State, TlsInfo};

#[derive(ComponentType, Lower)]
#[component(record)]
struct Tls {
    version: &'static str,
    cipher: &'static str,
    #[component(name = "server-name")]
    server_name: Option<Box<str>>,
    #[component(name = "client-subject")]
    client_subject: Option<String>,
    #[component(name = "client-fingerprint")]
    client_fingerprint: Option<String>,
}

stored_record!(Tls {
    version: &'static str,
    cipher: &'static str,
    server_name: Option<Box<str>>,
    client_subject: Option<String>,
    client_fingerprint: Option<String>,
});

impl From<&TlsInfo> for Tls {
    fn from(info: &TlsInfo) -> Self {
        let TlsInfo { version, cipher, server_name, client_subject, client_fingerprint, .. } = info.clone();
        Self { version, cipher, server_name, client_subject, client_fingerprint }
    }
}

#[derive(ComponentType, Lower, Default)]
#[component(record)]
struct Summary {
    duration: u64,
    #[component(name = "upstream-duration")]
    upstream_duration: Option<u64>,
    #[component(name = "request-bytes")]
    request_bytes: u64,
    #[component(name = "response-bytes")]
    response_bytes: u64,
    error: Option<&'static str>,
}

stored_record!(Summary {
    duration: u64,
    upstream_duration: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    error: Option<&'static str>,
});

impl From<&State> for Summary {
    fn from(state: &State) -> Self {
        let summary = &state.summary;
        let duration = summary.duration.unwrap_or_else(|| summary.started.elapsed());
        Self {
            duration: duration.as_nanos() as u64,
            upstream_duration: summary.upstream_duration.map(|duration| duration.as_nanos() as u64),
            request_bytes: summary.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes: summary.response_bytes,
            error: summary.error,
        }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("client-address", |cx: Cx<'_>, (): ()| {
        Ok(state(&cx).map_or_else(Box::default, |state| state.client.ip.clone()))
    })?;
    interface
        .func_flat("client-port", |cx: Cx<'_>, (): ()| Ok(state(&cx).map_or(0, |state| state.client.address.port())))?;
    interface.func("route", |cx: Cx<'_>, (): ()| {
        Ok(state(&cx).map_or_else(Default::default, |state| state.route.clone()))
    })?;
    interface
        .func("http-version", |cx: Cx<'_>, (): ()| Ok(state(&cx).map_or("", |state| version(state.request.version))))?;
    interface.func("tls-info", |cx: Cx<'_>, (): ()| {
        Ok(state(&cx).and_then(|state| state.client.tls.as_deref()).map(Tls::from))
    })?;
    interface.func("upstream", |cx: Cx<'_>, (): ()| Ok(state(&cx).and_then(|state| state.summary.upstream.clone())))?;
    super::report::link(interface)?;
    interface.func("summary-so-far", |cx: Cx<'_>, (): ()| Ok(state(&cx).map(Summary::from).unwrap_or_default()))
}

fn state<'a>(cx: &'a Cx<'_>) -> Option<&'a State> {
    cx.data().state.as_deref()
}

/// The version that the client speaks.
pub(super) fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        http::Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
