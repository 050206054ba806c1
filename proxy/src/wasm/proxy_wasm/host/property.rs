//! Properties: what the proxy knows of the request, its connections and its configuration, under the paths that Envoy
//! documents. Numbers, times and durations have 64 bits, little-endian, in nanoseconds where they are times; truths are one
//! byte; maps are written as header maps are.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, Version};
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status};
use super::super::data::Host;
use super::super::pairs;
use super::{copied, function, give, memory, parts};
use crate::chain::{Client, State};

/// What a plugin sets is an attribute of the request under this and the path.
const OWN: &str = "wasm.";

/// The most bytes of a path.
const MAX_PATH: usize = 4096;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_get_property", get, (path: u32, path_length: u32, pointer_at: u32, length_at: u32));
    function!(linker, "proxy_set_property", set, (path: u32, path_length: u32, value: u32, value_length: u32));
    Ok(())
}

fn get(cx: &mut Cx<'_>, path: u32, path_length: u32, pointer_at: u32, length_at: u32) -> Answer {
    let (memory, host) = parts(cx)?;
    let path = memory::read(memory, path, path_length)?;
    let path = std::str::from_utf8(path).map_err(|_| Status::SerializationFailure)?;
    if path.len() > MAX_PATH {
        return Err(Status::NotFound.into());
    }
    let value = value(host, path).ok_or(Status::NotFound)?;
    give(cx, &value, pointer_at, length_at)
}

fn set(cx: &mut Cx<'_>, path: u32, path_length: u32, value: u32, value_length: u32) -> Answer {
    let path = copied(cx, path, path_length)?;
    let path = String::from_utf8(path).ok().filter(|path| path.len() <= MAX_PATH).ok_or(Status::NotFound)?;
    let (memory, host) = parts(cx)?;
    let value = Bytes::copy_from_slice(memory::read(memory, value, value_length)?);
    let attributes = host.attributes_mut().ok_or(Status::NotFound)?;
    let name = format!("{OWN}{}", path.replace('\0', "."));
    if attributes.set(&name, value) { Ok(()) } else { Err(Status::InternalFailure.into()) }
}

/// The value at a path whose parts stand with a NUL between them.
fn value(host: &Host, path: &str) -> Option<Vec<u8>> {
    let mut parts = path.trim_end_matches('\0').split('\0');
    let (first, rest) = (parts.next()?, (parts.next(), parts.next()));
    let known = match (first, rest.0) {
        ("plugin_name", None) => Some(text(&host.env.name)),
        ("plugin_root_id", None) => Some(text(&host.env.vm.root_id)),
        ("plugin_vm_id", None) => Some(text(&host.env.vm.id)),
        ("listener_direction", None) => Some(number(1)),
        ("node", Some("id")) => Some(text("gofe")),
        ("route_name", None) => host.state().map(|state| text(&state.route)),
        ("cluster_name", None) | ("xds", Some("cluster_name")) => host.upstream().map(|(name, _)| text(name)),
        ("source", Some(attribute)) => host.client().and_then(|client| source(client, attribute)),
        ("connection", Some(attribute)) => host.client().and_then(|client| connection(client, attribute)),
        ("upstream", Some(attribute)) => host.upstream().and_then(|(_, endpoint)| upstream(endpoint?, attribute)),
        (first, second) => host.state().and_then(|state| of_request(state, first, second, rest.1)),
    };
    known.or_else(|| {
        let name = path.trim_end_matches('\0').replace('\0', ".");
        host.attributes()?.get(&format!("{OWN}{name}")).map(|value| value.to_vec())
    })
}

fn of_request(state: &State, first: &str, second: Option<&str>, third: Option<&str>) -> Option<Vec<u8>> {
    match (first, second?) {
        ("request", attribute) => request(state, attribute, third),
        ("response", attribute) => response(state, attribute, third),
        ("destination", attribute) => destination(state, attribute),
        ("xds", "route_name") => Some(text(&state.route)),
        _ => None,
    }
}

fn request(state: &State, attribute: &str, key: Option<&str>) -> Option<Vec<u8>> {
    let request = &state.request;
    let header = |name| request.headers.get(name).map(|value| value.as_bytes().to_vec());
    let bytes = || state.summary.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed));
    Some(match attribute {
        "path" => text(request.uri.path_and_query().map_or("/", |path| path.as_str())),
        "url_path" => text(request.uri.path()),
        "query" => text(request.uri.query().unwrap_or_default()),
        "host" => header(HOST)?,
        "scheme" => text(if state.client.tls.is_some() { "https" } else { "http" }),
        "method" => text(request.method.as_str()),
        "headers" => return fields(&request.headers, key),
        "referer" => header(REFERER)?,
        "useragent" => header(USER_AGENT)?,
        "id" => request.headers.get("x-request-id")?.as_bytes().to_vec(),
        "protocol" => text(version(request.version)),
        "time" => {
            let began = SystemTime::now() - state.summary.started.elapsed();
            duration(began.duration_since(UNIX_EPOCH).unwrap_or_default())
        }
        "duration" => duration(state.summary.duration?),
        "size" => number(bytes()),
        "total_size" => number(bytes() + size(&request.headers)),
        _ => return None,
    })
}

fn response(state: &State, attribute: &str, key: Option<&str>) -> Option<Vec<u8>> {
    let response = state.response.as_ref()?;
    Some(match attribute {
        "code" => number(u64::from(response.status.as_u16())),
        "code_details" => text(state.summary.error.unwrap_or(match state.summary.upstream {
            Some(_) => "via_upstream",
            None => "direct_response",
        })),
        "headers" => return fields(&response.headers, key),
        "trailers" => return fields(state.trailers.as_ref()?, key),
        "grpc_status" => {
            let status = state.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
            let status = status.or_else(|| response.headers.get("grpc-status"))?;
            number(status.to_str().ok()?.parse().ok()?)
        }
        "size" => number(state.summary.response_bytes),
        "total_size" => number(state.summary.response_bytes + size(&response.headers)),
        "flags" => number(0),
        "backend_latency" => duration(state.summary.upstream_duration?),
        _ => return None,
    })
}

fn source(client: &Client, attribute: &str) -> Option<Vec<u8>> {
    Some(match attribute {
        "address" => text(&client.address.to_string()),
        "port" => number(u64::from(client.address.port())),
        _ => return None,
    })
}

/// The server that the client asked for.
fn destination(state: &State, attribute: &str) -> Option<Vec<u8>> {
    let host: http::uri::Authority = state.host().parse().ok()?;
    let port = host.port_u16().unwrap_or(if state.client.tls.is_some() { 443 } else { 80 });
    Some(match attribute {
        "address" => text(&format!("{}:{port}", host.host())),
        "port" => number(u64::from(port)),
        _ => return None,
    })
}

fn connection(client: &Client, attribute: &str) -> Option<Vec<u8>> {
    let tls = client.tls.as_deref();
    Some(match attribute {
        "mtls" => vec![u8::from(tls.is_some_and(|tls| tls.client_fingerprint.is_some()))],
        "requested_server_name" => text(tls?.server_name.as_deref()?),
        "tls_version" => text(tls?.version),
        "subject_peer_certificate" => text(tls?.client_subject.as_deref()?),
        "sha256_peer_certificate_digest" => text(tls?.client_fingerprint.as_deref()?),
        _ => return None,
    })
}

fn upstream(endpoint: &str, attribute: &str) -> Option<Vec<u8>> {
    Some(match attribute {
        "address" => text(endpoint),
        "port" => number(endpoint.rsplit_once(':')?.1.parse().ok()?),
        _ => return None,
    })
}

/// One field, or all of them.
fn fields(fields: &HeaderMap, key: Option<&str>) -> Option<Vec<u8>> {
    if let Some(key) = key {
        return fields.get(key).map(|value| value.as_bytes().to_vec());
    }
    let all: Vec<_> = fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
    let mut bytes = Vec::new();
    pairs::write(&mut bytes, all.into_iter());
    Some(bytes)
}

fn size(fields: &HeaderMap) -> u64 {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() as u64
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn number(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn duration(duration: Duration) -> Vec<u8> {
    number(duration.as_nanos() as u64)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
