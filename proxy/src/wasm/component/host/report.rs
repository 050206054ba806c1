//! `gofe:plugin/connection.report-so-far`: the request in one look.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::component::{ComponentType, Lower};

use super::connection::version;
use super::request::{scheme, target};
use super::{Cx, Interface, stored_record};
use crate::chain::State;

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
}

stored_record!(Report {
    time: u64,
    duration: u64,
    upstream_duration: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    status: u16,
    client_port: u16,
    texts: String,
});

/// About how long the texts are; more makes the string grow.
const USUAL: usize = 384;

/// The texts, each with a line feed behind it.
fn texts(state: &State) -> String {
    let (upstream, endpoint) = state.summary.upstream.as_ref().map_or(("", ""), |(name, endpoint)| (name, endpoint));
    let (route, upstream) = (one_line(&state.route), one_line(upstream));
    let all = [
        &*state.client.ip,
        &*route,
        state.request.method.as_str(),
        scheme(state),
        state.host(),
        target(&state.request.uri),
        state.original_uri.as_ref().map_or("", target),
        version(state.request.version),
        &*upstream,
        endpoint,
        state.summary.error.unwrap_or_default(),
    ];
    let mut texts = String::with_capacity(USUAL);
    for text in all {
        texts.push_str(text);
        texts.push('\n');
    }
    texts
}

/// A name of the configuration, which may hold anything.
fn one_line(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte == b'\n') { Cow::Owned(name.replace('\n', " ")) } else { Cow::Borrowed(name) }
}

impl From<&State> for Report {
    fn from(state: &State) -> Self {
        let summary = &state.summary;
        let duration = summary.duration.unwrap_or_else(|| summary.started.elapsed());
        Self {
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64,
            duration: duration.as_nanos() as u64,
            upstream_duration: summary.upstream_duration.map(|duration| duration.as_nanos() as u64),
            request_bytes: summary.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes: summary.response_bytes,
            status: state.response.as_ref().map_or(0, |response| response.status.as_u16()),
            client_port: state.client.address.port(),
            texts: texts(state),
        }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("report-so-far", |cx: Cx<'_>, (): ()| {
        Ok(cx.data().state.as_deref().map(Report::from).unwrap_or_default())
    })
}
