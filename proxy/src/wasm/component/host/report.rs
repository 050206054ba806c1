//! `gofe:plugin/connection.report-so-far`: the request in one look.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower};

use super::connection::version;
use super::request::{scheme, target};
use super::{Guest, Interface};
use crate::chain::State;

#[derive(ComponentType, Lower, Default)]
#[component(record)]
struct Ends {
    #[component(name = "client-address")]
    client_address: u32,
    route: u32,
    method: u32,
    scheme: u32,
    authority: u32,
    #[component(name = "path-with-query")]
    path_with_query: u32,
    #[component(name = "original-path-with-query")]
    original_path_with_query: u32,
    #[component(name = "http-version")]
    http_version: u32,
    upstream: u32,
    endpoint: u32,
    error: u32,
}

#[derive(ComponentType, Lower, Default)]
#[component(record)]
struct Report {
    time: u64,
    duration: u64,
    #[component(name = "upstream-duration")]
    upstream_duration: Option<u64>,
    #[component(name = "request-bytes")]
    request_bytes: u64,
    #[component(name = "response-bytes")]
    response_bytes: u64,
    status: u16,
    #[component(name = "client-port")]
    client_port: u16,
    texts: String,
    ends: Ends,
}

/// Texts, one behind the other.
struct Texts(String);

impl Texts {
    /// Adds a text, and says where it ends. A head has a limit far below 4 GiB, and so have these.
    fn add(&mut self, text: &str) -> u32 {
        self.0.push_str(text);
        self.0.len() as u32
    }
}

/// About how long the texts are; more makes the string grow.
const USUAL: usize = 384;

impl From<&State> for Report {
    fn from(state: &State) -> Self {
        let summary = &state.summary;
        let (upstream, endpoint) = summary.upstream.as_ref().map_or(("", ""), |(name, endpoint)| (name, endpoint));
        let mut texts = Texts(String::with_capacity(USUAL));
        let ends = Ends {
            client_address: texts.add(&state.client.ip),
            route: texts.add(&state.route),
            method: texts.add(state.request.method.as_str()),
            scheme: texts.add(scheme(state)),
            authority: texts.add(state.host()),
            path_with_query: texts.add(target(&state.request.uri)),
            original_path_with_query: texts.add(state.original_uri.as_ref().map_or("", target)),
            http_version: texts.add(version(state.request.version)),
            upstream: texts.add(upstream),
            endpoint: texts.add(endpoint),
            error: texts.add(summary.error.unwrap_or_default()),
        };
        let duration = summary.duration.unwrap_or_else(|| summary.started.elapsed());
        Self {
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64,
            duration: duration.as_nanos() as u64,
            upstream_duration: summary.upstream_duration.map(|duration| duration.as_nanos() as u64),
            request_bytes: summary.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes: summary.response_bytes,
            status: state.response.as_ref().map_or(0, |response| response.status.as_u16()),
            client_port: state.client.address.port(),
            texts: texts.0,
            ends,
        }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("report-so-far", |cx: StoreContextMut<'_, Guest>, (): ()| {
        Ok((cx.data().state.as_deref().map(Report::from).unwrap_or_default(),))
    })
}
