//! `gofe:plugin/connection`: facts about the client, and what the proxy knows of the request.

use std::sync::atomic::Ordering;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower};

use super::{Guest, Interface};
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
    interface.func_wrap("client-address", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).map_or_else(Box::default, |state| state.client.ip.clone()),))
    })?;
    interface.func_wrap("client-port", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).map_or(0, |state| state.client.address.port()),))
    })?;
    interface.func_wrap("route", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).map_or_else(Default::default, |state| state.route.clone()),))
    })?;
    interface.func_wrap("http-version", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).map_or("", |state| version(state.request.version)),))
    })?;
    interface.func_wrap("tls-info", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).and_then(|state| state.client.tls.as_deref()).map(Tls::from),))
    })?;
    interface.func_wrap("upstream", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).and_then(|state| state.summary.upstream.clone()),))
    })?;
    super::report::link(interface)?;
    interface.func_wrap("summary-so-far", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((state(&cx).map(Summary::from).unwrap_or_default(),))
    })
}

fn state<'a>(cx: &'a StoreContextMut<'_, Guest>) -> Option<&'a State> {
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
