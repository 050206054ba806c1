//! Header and trailer fields.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::{Caller, Linker, bail};

use super::super::call::{BUFFER_RESPONSE, Call, Side, TRAILERS};
use super::super::guest::Guest;
use super::{MODULE, memory, split};
use crate::chain::State;
use crate::wasm::fields;

/// Which fields a guest means.
#[derive(Clone, Copy)]
struct Kind {
    side: Side,
    trailers: bool,
}

impl Kind {
    fn of(kind: u32) -> wasmtime::Result<Self> {
        Ok(match kind {
            0 => Self { side: Side::Request, trailers: false },
            1 => Self { side: Side::Response, trailers: false },
            2 => Self { side: Side::Request, trailers: true },
            3 => Self { side: Side::Response, trailers: true },
            _ => bail!("{kind} is not a kind of header"),
        })
    }

    /// The fields as they are. Without the feature there are no trailers.
    fn read<'a>(self, state: &'a State, call: &'a Call) -> Option<&'a HeaderMap> {
        match self.side {
            _ if self.trailers && call.features & TRAILERS == 0 => None,
            side if self.trailers => call.trailers(side),
            Side::Request => Some(&state.request.headers),
            Side::Response if !call.after_next => Some(&call.headers),
            Side::Response => state.response.as_ref().map(|response| &response.headers),
        }
    }

    /// The fields, to be changed.
    fn write<'a>(self, state: &'a mut State, call: &'a mut Call) -> wasmtime::Result<&'a mut HeaderMap> {
        if call.after_next && self.side == Side::Request {
            bail!("the request's fields cannot be changed after the next handler");
        }
        if call.after_next && !call.has(BUFFER_RESPONSE) {
            bail!("the response's fields can be changed after the next handler only with the feature buffer_response");
        }
        if self.trailers {
            if !call.has(TRAILERS) {
                bail!("trailers can be changed only with the feature trailers");
            }
            let message = call.message(self.side);
            message.trailers_changed = true;
            return Ok(&mut message.trailers);
        }
        match (self.side, call.after_next, &mut state.response) {
            (Side::Request, ..) => Ok(&mut state.request.headers),
            (Side::Response, true, Some(response)) => Ok(&mut response.headers),
            (Side::Response, ..) => Ok(&mut call.headers),
        }
    }
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "get_header_names", |mut caller: Caller<'_, Guest>, kind: u32, at: u32, room: u32| {
        let kind = Kind::of(kind)?;
        let (bytes, guest) = split(&mut caller)?;
        let (state, call) = guest.in_hand()?;
        let fields = kind.read(state, call);
        list(bytes, at, room, || fields.into_iter().flat_map(HeaderMap::keys).map(|name| name.as_str().as_bytes()))
    })?;
    linker.func_wrap(
        MODULE,
        "get_header_values",
        |mut caller: Caller<'_, Guest>, kind: u32, name: u32, length: u32, at: u32, room: u32| {
            let kind = Kind::of(kind)?;
            let (bytes, guest) = split(&mut caller)?;
            let spelled = memory::read(bytes, name, length)?;
            if spelled.is_empty() {
                bail!("the name of a field cannot be empty");
            }
            let name = guest.names.parse(spelled).ok();
            if name.is_none() {
                // A text that is no name is the name of no field.
                std::str::from_utf8(spelled)?;
            }
            let (state, call) = guest.in_hand()?;
            let fields = name.as_ref().and_then(|name| Some(kind.read(state, call)?.get_all(name)));
            list(bytes, at, room, || fields.iter().flatten().map(HeaderValue::as_bytes))
        },
    )?;
    linker.func_wrap(MODULE, "set_header_value", |caller: Caller<'_, Guest>, kind, name, length, value, size| {
        change(caller, kind, (name, length), Some((value, size)), true)
    })?;
    linker.func_wrap(MODULE, "add_header_value", |caller: Caller<'_, Guest>, kind, name, length, value, size| {
        change(caller, kind, (name, length), Some((value, size)), false)
    })?;
    linker.func_wrap(MODULE, "remove_header", |caller: Caller<'_, Guest>, kind, name, length| {
        change(caller, kind, (name, length), None, true)
    })?;
    Ok(())
}

/// Pointer and length.
type Place = (u32, u32);

fn change(
    mut caller: Caller<'_, Guest>,
    kind: u32,
    name: Place,
    value: Option<Place>,
    replaces: bool,
) -> wasmtime::Result<()> {
    let kind = Kind::of(kind)?;
    let (bytes, guest) = split(&mut caller)?;
    let name = guest.names.parse(memory::read(bytes, name.0, name.1)?)?;
    let value = match value {
        Some((at, length)) => Some(fields::value(memory::read(bytes, at, length)?)?),
        None => None,
    };
    let (state, call) = guest.in_hand()?;
    let pending = kind.side == Side::Response && !kind.trailers && !call.after_next;
    let known = kind.write(state, call)?;
    // gofe frames messages itself, and connections are its own: what a guest says about them goes nowhere.
    if belongs_to_proxy(&name) {
        return Ok(());
    }
    let set = (pending && replaces).then(|| name.clone());
    match value {
        Some(value) if replaces => fields::set(known, name, value)?,
        Some(value) => fields::add(known, name, value)?,
        None => drop(known.remove(&name)),
    }
    if let Some(name) = set.filter(|name| !call.set.contains(name)) {
        if call.set.len() >= fields::MOST {
            return Err(fields::NoRoom.into());
        }
        call.set.push(name);
    }
    Ok(())
}

/// Fields of framing and of the connection.
fn belongs_to_proxy(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "content-length" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Writes texts that end with NUL where the guest has room for all of them. The result is how many there are, and their
/// length.
fn list<'a, T: Iterator<Item = &'a [u8]>>(
    memory: &mut [u8],
    at: u32,
    room: u32,
    texts: impl Fn() -> T,
) -> wasmtime::Result<u64> {
    let (count, length) =
        texts().fold((0_u64, 0_u64), |(count, length), text| (count + 1, length + text.len() as u64 + 1));
    if length > 0 && length <= u64::from(room) {
        let mut place = memory::slot(memory, at, u32::try_from(length)?)?;
        for text in texts() {
            let (here, rest) = place.split_at_mut(text.len() + 1);
            here[..text.len()].copy_from_slice(text);
            here[text.len()] = 0;
            place = rest;
        }
    }
    Ok(count << 32 | length.min(u64::from(u32::MAX)))
}
