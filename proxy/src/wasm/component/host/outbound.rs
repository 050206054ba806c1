//! `gofe:plugin/outbound`: requests of the plugin's own, to hosts that YAML names.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::fields::OwnedField;
use super::{Cx, Guest, Interface, Stored, Text, stored_record};
use crate::chain;
use crate::wasm::component::abi::Writer;

#[derive(ComponentType, Lift)]
#[component(record)]
pub(in super::super) struct OutgoingRequest {
    pub(in super::super) method: String,
    pub(in super::super) uri: String,
    pub(in super::super) headers: Vec<(String, Vec<u8>)>,
    pub(in super::super) body: Vec<u8>,
    pub(in super::super) timeout: u64,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct IncomingResponse {
    status: u16,
    headers: Vec<OwnedField>,
    body: Box<[u8]>,
}

stored_record!(IncomingResponse { status: u16, headers: Vec<OwnedField>, body: Box<[u8]> });

#[derive(ComponentType, Lower)]
#[component(variant)]
enum OutboundError {
    #[component(name = "denied")]
    Denied,
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unreachable")]
    Unreachable(String),
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-large")]
    TooLarge,
}

impl Stored for OutboundError {
    const SIZE: u32 = 4 + <String as Stored>::SIZE;
    const ALIGN: u32 = 4;

    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        let (case, reason) = match self {
            Self::Denied => (0, None),
            Self::Invalid(reason) => (1, Some(reason)),
            Self::Unreachable(reason) => (2, Some(reason)),
            Self::Timeout => (3, None),
            Self::TooLarge => (4, None),
        };
        out.put(at, &[case])?;
        reason.map_or(Ok(()), |reason| reason.store(out, at.wrapping_add(4)))
    }
}

impl From<chain::OutboundError> for OutboundError {
    fn from(error: chain::OutboundError) -> Self {
        match error {
            chain::OutboundError::Invalid(reason) => Self::Invalid(reason),
            chain::OutboundError::Unreachable(reason) => Self::Unreachable(reason),
            chain::OutboundError::Timeout => Self::Timeout,
            chain::OutboundError::TooLarge => Self::TooLarge,
        }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("allowed", |cx: Cx<'_>, (uri,): (Text,)| {
        let uri = uri.read(&cx)?.parse::<Uri>();
        Ok(uri.is_ok_and(|uri| cx.data().env.allows_host(&uri)))
    })?;
    interface.func_waiting("send", |mut cx: Cx<'_>, (request,): (OutgoingRequest,)| {
        Box::pin(async move {
            let sending = prepare(cx.data(), request);
            let sent = match sending {
                Ok(sending) => answered(sending.await),
                Err(error) => Err(error),
            };
            cx.data_mut().waited();
            Ok(sent)
        })
    })
}

type Sending = Pin<Box<dyn Future<Output = Result<chain::OutboundResponse, chain::OutboundError>> + Send>>;

fn prepare(guest: &Guest, request: OutgoingRequest) -> Result<Sending, OutboundError> {
    let env = &guest.env;
    let timeout = env.outbound_timeout(request.timeout);
    let request = checked(request).map_err(OutboundError::Invalid)?;
    if guest.configuring || !env.allows_host(request.uri()) {
        return Err(OutboundError::Denied);
    }
    Ok(env.outbound.send(request, timeout, env.allow.http_limits.response_size))
}

fn answered(sent: Result<chain::OutboundResponse, chain::OutboundError>) -> Result<IncomingResponse, OutboundError> {
    let (parts, body) = sent?.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
    Ok(IncomingResponse { status: parts.status.as_u16(), headers, body: (*body).into() })
}

fn checked(request: OutgoingRequest) -> Result<chain::OutboundRequest, String> {
    let uri: Uri = request.uri.parse().map_err(|error| format!("URI `{}`: {error}", request.uri))?;
    let mut checked = Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("header `{name}`: {error}"))?;
        let value = HeaderValue::from_bytes(&value).map_err(|error| format!("value of header `{name}`: {error}"))?;
        checked = checked.header(name, value);
    }
    checked.body(Bytes::from(request.body)).map_err(|error| error.to_string())
}
