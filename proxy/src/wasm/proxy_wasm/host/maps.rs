//! Header fields, trailers and metadata. `:method`, `:path`, `:authority`, `:scheme` and `:status` are fields here.

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Map, Side, Status};
use super::super::data::{Event, Host};
use super::super::pairs;
use super::{function, give, memory, parts, put_u32};
use crate::chain::{Phase, State};
use crate::http::{assignable_method, final_status};
use crate::wasm::fields;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_get_header_map_size", get_size, (map: u32, size_at: u32));
    function!(linker, "proxy_get_header_map_pairs", get_pairs, (map: u32, pointer_at: u32, length_at: u32));
    function!(linker, "proxy_set_header_map_pairs", set_pairs, (map: u32, at: u32, length: u32));
    function!(linker, "proxy_get_header_map_value", get_value, (
        map: u32, name: u32, name_length: u32, pointer_at: u32, length_at: u32
    ));
    function!(linker, "proxy_add_header_map_value", add_value, (
        map: u32, name: u32, name_length: u32, value: u32, value_length: u32
    ));
    function!(linker, "proxy_replace_header_map_value", replace_value, (
        map: u32, name: u32, name_length: u32, value: u32, value_length: u32
    ));
    function!(linker, "proxy_remove_header_map_value", remove_value, (map: u32, name: u32, name_length: u32));
    Ok(())
}

/// A field that a guest writes.
pub(super) fn field(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), Status> {
    let name = HeaderName::from_bytes(name).map_err(|_| Status::BadArgument)?;
    Ok((name, checked(value)?))
}

fn checked(value: &[u8]) -> Result<HeaderValue, Status> {
    fields::value(value).map_err(|_| Status::BadArgument)
}

/// Fields of the connection are the proxy's: they are not forwarded, whoever writes them (RFC 9110, section 7.6.1).
fn of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade")
}

impl Host {
    /// The fields of a map, where it is in hand.
    fn fields(&self, map: Map) -> Option<&HeaderMap> {
        match (map, &self.event) {
            (Map::Headers(Side::Request), _) => Some(&self.state()?.request.headers),
            (Map::Headers(Side::Response), _) => Some(&self.state()?.response.as_ref()?.headers),
            (Map::Trailers(side), _) => {
                let state = self.state()?;
                state.trailers.as_ref().filter(|_| super::super::stream::side(state.phase) == Some(side))
            }
            (Map::GrpcInitial, Event::GrpcInitial(fields)) | (Map::GrpcTrailing, Event::GrpcTrailing(fields)) => {
                Some(fields)
            }
            (Map::CallHeaders, Event::HttpCall { headers, .. }) => Some(headers),
            (Map::CallTrailers, Event::HttpCall { trailers, .. }) => Some(trailers),
            _ => None,
        }
    }

    /// What a map has that HTTP does not write as a field.
    fn pseudo(&self, map: Map) -> Vec<(&'static str, &[u8])> {
        match (map, &self.event) {
            (Map::Headers(Side::Request), _) => match self.state() {
                Some(state) => [":method", ":path", ":authority", ":scheme"]
                    .into_iter()
                    .filter_map(|name| Some((name, of_request(state, name)?)))
                    .collect(),
                None => Vec::new(),
            },
            (Map::Headers(Side::Response), _) => {
                let response = self.state().and_then(|state| state.response.as_ref());
                response.map(|response| (":status", response.status.as_str().as_bytes())).into_iter().collect()
            }
            (Map::CallHeaders, Event::HttpCall { status, .. }) => vec![(":status", status.as_str().as_bytes())],
            _ => Vec::new(),
        }
    }

    /// One of these by its name.
    fn pseudo_value(&self, map: Map, name: &[u8]) -> Option<&[u8]> {
        match (map, &self.event, name) {
            (Map::Headers(Side::Request), _, name) => of_request(self.state()?, std::str::from_utf8(name).ok()?),
            (Map::Headers(Side::Response), _, b":status") => {
                Some(self.state()?.response.as_ref()?.status.as_str().as_bytes())
            }
            (Map::CallHeaders, Event::HttpCall { status, .. }, b":status") => Some(status.as_str().as_bytes()),
            _ => None,
        }
    }

    /// The pairs of a map as the guest sees them. `host` is there as `:authority`.
    fn pairs(&self, map: Map) -> Vec<(&[u8], &[u8])> {
        let pseudo = self.pseudo(map).into_iter().map(|(name, value)| (name.as_bytes(), value));
        let request = map == Map::Headers(Side::Request);
        let fields = self.fields(map).into_iter().flatten();
        let fields = fields.filter(|(name, _)| !request || *name != HOST);
        pseudo.chain(fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))).collect()
    }

    /// The fields of a map that may be changed now.
    fn fields_mut(&mut self, map: Map) -> Result<&mut HeaderMap, Status> {
        let state = self.state_mut().ok_or(Status::BadArgument)?;
        let side = super::super::stream::side(state.phase);
        match map {
            Map::Headers(Side::Request) if state.request_open => Ok(&mut state.request.headers),
            Map::Headers(Side::Response) if state.response_open => {
                state.response.as_mut().map(|response| &mut response.headers).ok_or(Status::BadArgument)
            }
            // Where no trailers came, some can be added behind the last of the body.
            Map::Trailers(of)
                if side == Some(of)
                    && state.body_end
                    && matches!(state.phase, Phase::RequestBody | Phase::ResponseBody) =>
            {
                Ok(state.trailers.get_or_insert_default())
            }
            _ => Err(Status::BadArgument),
        }
    }
}

fn of_request<'a>(state: &'a State, name: &str) -> Option<&'a [u8]> {
    match name {
        ":method" => Some(state.request.method.as_str().as_bytes()),
        ":path" => Some(state.request.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes()),
        ":authority" | "host" => state.request.headers.get(HOST).map(HeaderValue::as_bytes),
        ":scheme" => Some(if state.client.tls.is_some() { b"https" } else { b"http" }),
        _ => None,
    }
}

fn get_size(cx: &mut Cx<'_>, map: u32, size_at: u32) -> Answer {
    let pairs = cx.data().pairs(Map::of(map)?);
    let size = if pairs.is_empty() { 0 } else { pairs::size(pairs.into_iter()) };
    put_u32(cx, size_at, size as u32)
}

fn get_pairs(cx: &mut Cx<'_>, map: u32, pointer_at: u32, length_at: u32) -> Answer {
    let map = Map::of(map)?;
    let mut scratch = std::mem::take(&mut cx.data_mut().scratch);
    scratch.clear();
    let pairs = cx.data().pairs(map);
    if !pairs.is_empty() {
        pairs::write(&mut scratch, pairs.into_iter());
    }
    let given = give(cx, &scratch, pointer_at, length_at);
    if scratch.capacity() <= fields::LONGEST {
        cx.data_mut().scratch = scratch;
    }
    given
}

fn get_value(cx: &mut Cx<'_>, map: u32, name: u32, name_length: u32, pointer_at: u32, length_at: u32) -> Answer {
    let map = Map::of(map)?;
    let (memory, host) = parts(cx)?;
    let name = memory::read(memory, name, name_length)?;
    if name.first() == Some(&b':') || (name == b"host" && map == Map::Headers(Side::Request)) {
        let value = host.pseudo_value(map, name).ok_or(Status::NotFound)?.to_vec();
        return give(cx, &value, pointer_at, length_at);
    }
    let name = host.names.parse(name).map_err(|_| Status::NotFound)?;
    // A value is shared and not copied; where a name has several, they are one list.
    let fields = host.fields(map).ok_or(Status::NotFound)?;
    let mut values = fields.get_all(&name).iter();
    let first = values.next().ok_or(Status::NotFound)?.clone();
    match values.next() {
        None => give(cx, first.as_bytes(), pointer_at, length_at),
        Some(second) => {
            let all = std::iter::once(second).chain(values);
            let list = all.fold(first.as_bytes().to_vec(), |mut list, value| {
                list.push(b',');
                list.extend_from_slice(value.as_bytes());
                list
            });
            give(cx, &list, pointer_at, length_at)
        }
    }
}

fn add_value(cx: &mut Cx<'_>, map: u32, name: u32, name_length: u32, value: u32, value_length: u32) -> Answer {
    change(cx, map, (name, name_length), (value, value_length), true)
}

fn replace_value(cx: &mut Cx<'_>, map: u32, name: u32, name_length: u32, value: u32, value_length: u32) -> Answer {
    change(cx, map, (name, name_length), (value, value_length), false)
}

fn change(cx: &mut Cx<'_>, map: u32, name: (u32, u32), value: (u32, u32), add: bool) -> Answer {
    let map = Map::of(map)?;
    let (memory, host) = parts(cx)?;
    let name = memory::read(memory, name.0, name.1)?;
    let value = memory::read(memory, value.0, value.1)?;
    if name.first() == Some(&b':') || (name == b"host" && map == Map::Headers(Side::Request)) {
        return Ok(set_pseudo(host, map, name, value)?);
    }
    let name = host.names.parse(name).map_err(|_| Status::BadArgument)?;
    let value = checked(value)?;
    let own = host.fields_mut(map)?;
    if of_connection(&name) {
        return Ok(());
    }
    if name == CONTENT_LENGTH {
        // The length is what the body turns out to be.
        own.remove(name);
        return Ok(());
    }
    let written = if add { fields::add(own, name, value) } else { fields::set(own, name, value) };
    Ok(written.map_err(|_| Status::InternalFailure)?)
}

fn remove_value(cx: &mut Cx<'_>, map: u32, name: u32, name_length: u32) -> Answer {
    let map = Map::of(map)?;
    let (memory, host) = parts(cx)?;
    let name = memory::read(memory, name, name_length)?;
    // A request has all of these, and a response its status.
    if name.first() == Some(&b':') {
        return Err(Status::BadArgument.into());
    }
    let name = host.names.parse(name).map_err(|_| Status::BadArgument)?;
    let fields = host.fields_mut(map)?;
    if name != HOST {
        fields.remove(name);
    }
    Ok(())
}

fn set_pseudo(host: &mut Host, map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let bad = |_| Status::BadArgument;
    let state = host.state_mut().ok_or(Status::BadArgument)?;
    match (map, name) {
        (Map::Headers(Side::Request), name) if state.request_open => match name {
            b":method" => state.request.method = assignable_method(value).ok_or(Status::BadArgument)?,
            b":path" => {
                let path = std::str::from_utf8(value).map_err(|_| Status::BadArgument)?;
                if path != "*" && !path.starts_with('/') {
                    return Err(Status::BadArgument);
                }
                state.set_target(Uri::from(path.parse::<PathAndQuery>().map_err(|_| Status::BadArgument)?));
            }
            b":authority" | b"host" => {
                std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse::<Authority>().ok())
                    .ok_or(Status::BadArgument)?;
                let value = HeaderValue::from_bytes(value).map_err(|_| Status::BadArgument)?;
                state.request.headers.insert(HOST, value);
            }
            // Whether it is HTTPS, the upstream's connection decides.
            b":scheme" if value == b"http" || value == b"https" => {}
            _ => return Err(Status::BadArgument),
        },
        (Map::Headers(Side::Response), b":status") if state.response_open => {
            let status = StatusCode::from_bytes(value).map_err(bad)?;
            let status = final_status(status.as_u16().into()).ok_or(Status::BadArgument)?;
            state.response.as_mut().ok_or(Status::BadArgument)?.status = status;
        }
        _ => return Err(Status::BadArgument),
    }
    Ok(())
}

/// All or nothing: what is wrong in one pair leaves the map as it was.
fn set_pairs(cx: &mut Cx<'_>, map: u32, at: u32, length: u32) -> Answer {
    let map = Map::of(map)?;
    let (memory, host) = parts(cx)?;
    let pairs = pairs::read(memory::read(memory, at, length)?).ok_or(Status::BadArgument)?;
    if pairs.len() > fields::MOST {
        return Err(Status::BadArgument.into());
    }
    let own = host.fields_mut(map)?.get(HOST).cloned();
    let mut made = HeaderMap::with_capacity(pairs.len());
    let mut pseudo = Vec::new();
    for (name, value) in pairs {
        if name.first() == Some(&b':') || (name == b"host" && map == Map::Headers(Side::Request)) {
            pseudo.push((name, value));
            continue;
        }
        let (name, value) = field(name, value)?;
        if !of_connection(&name) && name != CONTENT_LENGTH {
            fields::add(&mut made, name, value).map_err(|_| Status::BadArgument)?;
        }
    }
    for (name, value) in pseudo {
        set_pseudo(host, map, name, value)?;
    }
    let own = if map == Map::Headers(Side::Request) { host.fields_mut(map)?.get(HOST).cloned().or(own) } else { own };
    if let (Map::Headers(Side::Request), Some(own)) = (map, own) {
        made.insert(HOST, own);
    }
    *host.fields_mut(map)? = made;
    Ok(())
}
