//! Header fields, for the interfaces `request` and `response`, and the rules that both keep.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Cx, Guest, Interface, Octets, Text, stored_enum};
use crate::wasm::fields;

/// `types.header-error`.
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(super) enum HeaderError {
    #[component(name = "invalid-name")]
    InvalidName,
    #[component(name = "invalid-value")]
    InvalidValue,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "too-late")]
    TooLate,
}

/// `types.message-error`.
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(super) enum MessageError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-late")]
    TooLate,
}

stored_enum!(HeaderError);
stored_enum!(MessageError);

/// `types.field`, as it goes to the guest.
pub(super) type OwnedField = (Box<str>, Box<[u8]>);

/// Which message an interface speaks of.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Request,
    Response,
}

impl Guest {
    fn fields(&self, side: Side) -> Option<&HeaderMap> {
        let state = self.state.as_deref()?;
        match side {
            Side::Request => Some(&state.request.headers),
            Side::Response => state.response.as_ref().map(|response| &response.headers),
        }
    }

    fn fields_mut(&mut self, side: Side) -> Result<&mut HeaderMap, HeaderError> {
        let state = self.state.as_deref_mut().ok_or(HeaderError::TooLate)?;
        match side {
            Side::Request if state.request_open => Ok(&mut state.request.headers),
            Side::Response if state.response_open => {
                state.response.as_mut().map(|response| &mut response.headers).ok_or(HeaderError::TooLate)
            }
            _ => Err(HeaderError::TooLate),
        }
    }
}

/// The names that a guest has used, parsed: a plugin has a handful that it uses again and again.
#[derive(Default)]
pub(in super::super) struct Names(Vec<HeaderName>);

/// How many names are kept. A plugin that makes them up as it goes gains nothing from more.
const MAX_NAMES: usize = 16;

impl Names {
    fn find(&self, name: &[u8]) -> Option<&HeaderName> {
        self.0.iter().find(|known| known.as_str().as_bytes() == name)
    }

    fn keep(&mut self, name: &HeaderName) {
        if self.0.len() < MAX_NAMES && !self.0.contains(name) {
            self.0.push(name.clone());
        }
    }
}

/// The name that a guest says.
fn name(cx: &mut Cx<'_>, name: &Text) -> wasmtime::Result<Result<HeaderName, HeaderError>> {
    if let Some(known) = cx.data().names.find(&name.bytes(cx)?) {
        return Ok(Ok(known.clone()));
    }
    let name = HeaderName::from_bytes(name.read(cx)?.as_bytes()).map_err(|_| HeaderError::InvalidName);
    if let Ok(name) = &name {
        cx.data_mut().names.keep(name);
    }
    Ok(name)
}

/// The name of a field that the guest wants to write.
pub(super) fn writable(cx: &mut Cx<'_>, text: &Text) -> wasmtime::Result<Result<HeaderName, HeaderError>> {
    let name = name(cx, text)?;
    Ok(name.and_then(|name| if belongs_to_proxy(&name) { Err(HeaderError::Forbidden) } else { Ok(name) }))
}

/// Fields of framing and of the connection belong to the proxy.
fn belongs_to_proxy(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "content-length" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

pub(super) fn value(bytes: &[u8]) -> Result<HeaderValue, HeaderError> {
    fields::value(bytes).map_err(|_| HeaderError::InvalidValue)
}

type Edited = wasmtime::Result<Result<(), HeaderError>>;

type Change = (HeaderName, Option<HeaderValue>);

/// Reads a field that a guest wants to write; one without a value is one to remove.
fn change(cx: &mut Cx<'_>, name: &Text, bytes: Option<&Octets>) -> wasmtime::Result<Result<Change, HeaderError>> {
    let name = writable(cx, name)?;
    let value = match bytes {
        Some(bytes) => value(bytes.read(cx)?).map(Some),
        None => Ok(None),
    };
    Ok(name.and_then(|name| Ok((name, value?))))
}

/// Reads several of them.
fn changes<'a>(
    cx: &mut Cx<'_>,
    list: impl ExactSizeIterator<Item = (&'a Text, Option<&'a Octets>)>,
) -> wasmtime::Result<Result<Vec<Change>, HeaderError>> {
    if list.len() > fields::MOST {
        return Err(fields::NoRoom.into());
    }
    let mut changes = Vec::with_capacity(list.len());
    for (name, bytes) in list {
        match change(cx, name, bytes)? {
            Ok(change) => changes.push(change),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(changes))
}

fn apply(guest: &mut Guest, side: Side, changes: impl IntoIterator<Item = Change>) -> Edited {
    let known = match guest.fields_mut(side) {
        Ok(known) => known,
        Err(error) => return Ok(Err(error)),
    };
    for (name, value) in changes {
        match value {
            Some(value) => fields::set(known, name, value)?,
            None => drop(known.remove(name)),
        }
    }
    Ok(Ok(()))
}

/// Links the functions on header fields.
pub(super) fn link(interface: &mut Interface<'_>, side: Side) -> wasmtime::Result<()> {
    link_reading(interface, side)?;
    interface.func("set-header", move |mut cx: Cx<'_>, (name, bytes): (Text, Octets)| -> Edited {
        match change(&mut cx, &name, Some(&bytes))? {
            Ok(change) => apply(cx.data_mut(), side, [change]),
            Err(error) => Ok(Err(error)),
        }
    })?;
    interface.func("add-header", move |mut cx: Cx<'_>, (name, bytes): (Text, Octets)| -> Edited {
        let name = writable(&mut cx, &name)?;
        let value = value(bytes.read(&cx)?);
        match name.and_then(|name| Ok((cx.data_mut().fields_mut(side)?, name, value?))) {
            Ok((known, name, value)) => Ok(Ok(fields::add(known, name, value)?)),
            Err(error) => Ok(Err(error)),
        }
    })?;
    interface.func("remove-header", move |mut cx: Cx<'_>, (name,): (Text,)| -> Edited {
        match change(&mut cx, &name, None)? {
            Ok(change) => apply(cx.data_mut(), side, [change]),
            Err(error) => Ok(Err(error)),
        }
    })?;
    interface.func("set-headers", move |mut cx: Cx<'_>, (list,): (Vec<(Text, Option<Octets>)>,)| -> Edited {
        match changes(&mut cx, list.iter().map(|(name, bytes)| (name, bytes.as_ref())))? {
            Ok(changes) => apply(cx.data_mut(), side, changes),
            Err(error) => Ok(Err(error)),
        }
    })
}

/// Links what the response has besides: fields that it shall have when it begins.
pub(super) fn link_preparing(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("prepare-headers", |mut cx: Cx<'_>, (list,): (Vec<(Text, Octets)>,)| {
        match changes(&mut cx, list.iter().map(|(name, bytes)| (name, Some(bytes))))? {
            Ok(fields) => prepare(cx.data_mut(), fields),
            Err(error) => Ok(Err(error)),
        }
    })
}

/// The most fields that plugins prepare for one response.
const MOST_PREPARED: usize = 256;

fn prepare(guest: &mut Guest, fields: Vec<Change>) -> wasmtime::Result<Result<Vec<OwnedField>, HeaderError>> {
    let Some(state) = guest.state.as_deref_mut().filter(|state| state.may_prepare()) else {
        return Ok(Err(HeaderError::TooLate));
    };
    if state.prepared.count() + fields.len() > MOST_PREPARED {
        wasmtime::bail!("prepare-headers: plugins prepare at most {MOST_PREPARED} fields for a response");
    }
    let mut replaced = Vec::new();
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if let Some((name, value)) = state.prepared.put(name, value) {
            replaced.push((name.as_str().into(), value.as_bytes().into()));
        }
    }
    Ok(Ok(replaced))
}

fn link_reading(interface: &mut Interface<'_>, side: Side) -> wasmtime::Result<()> {
    interface.func("header", move |mut cx: Cx<'_>, (text,): (Text,)| {
        let name = name(&mut cx, &text)?.ok();
        let value = cx.data().fields(side).zip(name).and_then(|(fields, name)| fields.get(name));
        Ok(value.map(|value| Box::<[u8]>::from(value.as_bytes())))
    })?;
    interface.func("header-values", move |cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?;
        let values = cx.data().fields(side).into_iter().flat_map(|fields| fields.get_all(&*name));
        Ok(values.map(|value| Box::<[u8]>::from(value.as_bytes())).collect::<Vec<_>>())
    })?;
    interface.func("headers", move |cx: Cx<'_>, (): ()| {
        let fields = cx.data().fields(side).into_iter().flatten();
        let fields = fields.map(|(name, value)| -> OwnedField { (name.as_str().into(), value.as_bytes().into()) });
        Ok(fields.collect::<Vec<_>>())
    })
}
