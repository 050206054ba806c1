//! Requests of the plugin's own, to hosts and upstreams that YAML grants.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Uri};
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status, Stop};
use super::super::callout::{self, Kind, Outgoing, Sender, Target};
use super::super::data::Host;
use super::super::pairs;
use super::{function, is_place, memory, parts, put_u32};
use crate::http::assignable_method;

/// How long a gRPC stream may be open.
const STREAM_TIME: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_http_call", http_call, (
        upstream: u32, upstream_length: u32, headers: u32, headers_length: u32, body: u32, body_length: u32,
        trailers: u32, trailers_length: u32, timeout: u32, token_at: u32
    ));
    function!(linker, "proxy_grpc_call", grpc_call, (
        upstream: u32, upstream_length: u32, service: u32, service_length: u32, method: u32, method_length: u32,
        metadata: u32, metadata_length: u32, message: u32, message_length: u32, timeout: u32, token_at: u32
    ));
    function!(linker, "proxy_grpc_stream", grpc_stream, (
        upstream: u32, upstream_length: u32, service: u32, service_length: u32, method: u32, method_length: u32,
        metadata: u32, metadata_length: u32, token_at: u32
    ));
    function!(linker, "proxy_grpc_send", grpc_send, (token: u32, message: u32, message_length: u32, end: u32));
    function!(linker, "proxy_grpc_cancel", grpc_cancel, (token: u32));
    function!(linker, "proxy_grpc_close", grpc_close, (token: u32));
    Ok(())
}

impl Host {
    /// Whom a name stands for, where the configuration grants it: an upstream that `allow.http` names, or a host that it
    /// does. Also what the target's URI begins with, where it is a host.
    fn target(&mut self, name: &[u8]) -> Option<(Target, Option<(&'static str, Authority)>)> {
        let name = std::str::from_utf8(name).ok()?;
        if self.env.upstreams.contains(name) && self.env.allow.http.iter().any(|granted| granted.as_str() == name) {
            return Some((Target::Upstream(name.into()), None));
        }
        let (scheme, host) = match name.split_once("://") {
            Some(("http", host)) => ("http", host),
            Some(("https", host)) => ("https", host),
            Some(_) => return None,
            None if name.ends_with(":443") => ("https", name),
            None => ("http", name),
        };
        let authority: Authority = host.parse().ok()?;
        let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build().ok()?;
        if !self.env.allows_host(&uri) {
            self.denied(&format!("it calls `{name}`, which the configuration does not grant (`allow: {{ http: … }}`)"));
            return None;
        }
        Some((Target::Host, Some((scheme, authority))))
    }

    /// Puts a request on its way, once the callback that runs has ended.
    fn send(
        &mut self,
        request: Request<Bytes>,
        target: Target,
        trailers: Option<HeaderMap>,
        timeout: Duration,
        kind: Kind,
        messages: Option<Sender>,
    ) -> Result<u32, Status> {
        let bytes = request.body().len();
        let token = self.callout(bytes, &kind, messages).ok_or(Status::InternalFailure)?;
        self.outbox.push(Outgoing { token, target, request, trailers, timeout, kind });
        Ok(token)
    }

    /// The time that a callout may take.
    fn callout_time(&self, milliseconds: u32) -> Duration {
        self.env.outbound_timeout(u64::from(milliseconds) * 1_000_000)
    }
}

/// The parts of a request as the ABI gives them: with `:method`, `:path` and `:authority`.
fn request(
    fields: Vec<(&[u8], &[u8])>,
    base: Option<(&'static str, Authority)>,
    body: &[u8],
) -> Option<Request<Bytes>> {
    let (mut method, mut path, mut authority) = (None, None, None);
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        match name {
            b":method" => method = assignable_method(value),
            b":path" => path = std::str::from_utf8(value).ok(),
            b":authority" | b"host" => authority = HeaderValue::from_bytes(value).ok(),
            b":scheme" => {}
            _ => {
                let (name, value) = super::maps::field(name, value).ok()?;
                headers.try_append(name, value).ok()?;
            }
        }
    }
    let (method, path, authority) = (method?, path?, authority?);
    if !path.starts_with('/') {
        return None;
    }
    let uri = match base {
        None => path.parse().ok()?,
        Some((scheme, host)) => Uri::builder().scheme(scheme).authority(host).path_and_query(path).build().ok()?,
    };
    crate::http::hop::strip_request(&mut headers);
    headers.remove(TE);
    headers.insert(HOST, authority);
    let mut request = Request::new(Bytes::copy_from_slice(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}

fn trailers(memory: &[u8], at: u32, length: u32) -> Result<Option<HeaderMap>, Stop> {
    let pairs = pairs::read(memory::read(memory, at, length)?).ok_or(Status::BadArgument)?;
    let mut trailers = HeaderMap::new();
    for (name, value) in pairs {
        let (name, value) = super::maps::field(name, value)?;
        trailers.try_append(name, value).map_err(|_| Status::BadArgument)?;
    }
    Ok(Some(trailers).filter(|trailers| !trailers.is_empty()))
}

#[expect(clippy::too_many_arguments, reason = "the ABI's function has as many")]
fn http_call(
    cx: &mut Cx<'_>,
    upstream: u32,
    upstream_length: u32,
    headers: u32,
    headers_length: u32,
    body: u32,
    body_length: u32,
    trailing: u32,
    trailing_length: u32,
    timeout: u32,
    token_at: u32,
) -> Answer {
    is_place(cx, token_at)?;
    let (memory, host) = parts(cx)?;
    let upstream = memory::read(memory, upstream, upstream_length)?;
    let fields = pairs::read(memory::read(memory, headers, headers_length)?).ok_or(Status::BadArgument)?;
    let body = memory::read(memory, body, body_length)?;
    let trailers = trailers(memory, trailing, trailing_length)?;
    let (target, base) = host.target(upstream).ok_or(Status::BadArgument)?;
    let request = request(fields, base, body).ok_or(Status::BadArgument)?;
    let time = host.callout_time(timeout);
    let token = host.send(request, target, trailers, time, Kind::Http, None)?;
    put_u32(cx, token_at, token)
}

/// The request of a gRPC call or stream.
fn grpc_request(
    host: &mut Host,
    memory: &[u8],
    [upstream, service, method, metadata]: [(u32, u32); 4],
) -> Result<(Target, Request<Bytes>), Stop> {
    let read = |(at, length)| memory::read(memory, at, length);
    let (upstream, service, method) = (read(upstream)?, read(service)?, read(method)?);
    let metadata = pairs::read(read(metadata)?).ok_or(Status::BadArgument)?;
    let (target, base) = host.target(upstream).ok_or(Status::ParseFailure)?;
    let path = [b"/", service, b"/", method].concat();
    let authority = base.as_ref().map_or(upstream, |(_, authority)| authority.as_str().as_bytes()).to_vec();
    let mut fields: Vec<(&[u8], &[u8])> = vec![(b":method", b"POST"), (b":path", &path), (b":authority", &authority)];
    fields.extend(metadata.into_iter().filter(|(name, _)| name.first() != Some(&b':')));
    let mut request = request(fields, base, b"").ok_or(Status::ParseFailure)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    Ok((target, request))
}

#[expect(clippy::too_many_arguments, reason = "the ABI's function has as many")]
fn grpc_call(
    cx: &mut Cx<'_>,
    upstream: u32,
    upstream_length: u32,
    service: u32,
    service_length: u32,
    method: u32,
    method_length: u32,
    metadata: u32,
    metadata_length: u32,
    message: u32,
    message_length: u32,
    timeout: u32,
    token_at: u32,
) -> Answer {
    is_place(cx, token_at)?;
    let (memory, host) = parts(cx)?;
    let message = memory::read(memory, message, message_length)?;
    let named =
        [(upstream, upstream_length), (service, service_length), (method, method_length), (metadata, metadata_length)];
    let (target, mut request) = grpc_request(host, memory, named)?;
    *request.body_mut() = callout::framed(message);
    let time = host.callout_time(timeout);
    let token = host.send(request, target, None, time, Kind::GrpcCall, None)?;
    put_u32(cx, token_at, token)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's function has as many")]
fn grpc_stream(
    cx: &mut Cx<'_>,
    upstream: u32,
    upstream_length: u32,
    service: u32,
    service_length: u32,
    method: u32,
    method_length: u32,
    metadata: u32,
    metadata_length: u32,
    token_at: u32,
) -> Answer {
    is_place(cx, token_at)?;
    let (memory, host) = parts(cx)?;
    let named =
        [(upstream, upstream_length), (service, service_length), (method, method_length), (metadata, metadata_length)];
    let (target, request) = grpc_request(host, memory, named)?;
    let (sender, receiver) = callout::messages();
    let token = host.send(request, target, None, STREAM_TIME, Kind::GrpcStream(receiver), Some(sender))?;
    put_u32(cx, token_at, token)
}

fn grpc_send(cx: &mut Cx<'_>, token: u32, message: u32, message_length: u32, end: u32) -> Answer {
    let (memory, host) = parts(cx)?;
    let message = memory::read(memory, message, message_length)?;
    let limit = host.env.limits.memory;
    let callout = host.callouts.get_mut(&token).filter(|callout| callout.grpc).ok_or(Status::NotFound)?;
    let messages = callout.messages.as_ref().filter(|_| callout.stream).ok_or(Status::BadArgument)?;
    // What waits for a server that does not read is bounded by what the guest may have.
    if !messages.send(message, limit) {
        return Err(Status::InternalFailure.into());
    }
    if end != 0 {
        callout.messages = None;
    }
    Ok(())
}

fn grpc_cancel(cx: &mut Cx<'_>, token: u32) -> Answer {
    let host = cx.data_mut();
    host.callouts.get(&token).filter(|callout| callout.grpc).ok_or(Status::NotFound)?;
    if let Some(callout) = host.settled(token) {
        callout.abort();
    }
    Ok(())
}

/// A stream's own end is closed, and the server's is waited for; a call is over.
fn grpc_close(cx: &mut Cx<'_>, token: u32) -> Answer {
    let host = cx.data_mut();
    let callout = host.callouts.get_mut(&token).filter(|callout| callout.grpc).ok_or(Status::NotFound)?;
    if callout.stream {
        callout.messages = None;
        return Ok(());
    }
    grpc_cancel(cx, token)
}
