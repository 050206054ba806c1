//! Header fields, for the interfaces `request` and `response`, and the rules that both keep.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

use super::{Guest, Interface};

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

/// A name that a plugin may change: fields of framing and of the connection belong to the proxy.
pub(super) fn writable(name: &str) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidName)?;
    let proxys = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    if proxys.contains(&name) { Err(HeaderError::Forbidden) } else { Ok(name) }
}

pub(super) fn value(bytes: &[u8]) -> Result<HeaderValue, HeaderError> {
    HeaderValue::from_bytes(bytes).map_err(|_| HeaderError::InvalidValue)
}

type Edited = wasmtime::Result<(Result<(), HeaderError>,)>;

/// Reads the name and the value that a guest wants to write.
fn edit(
    cx: &StoreContextMut<'_, Guest>,
    name: &WasmStr,
    bytes: &WasmList<u8>,
) -> wasmtime::Result<Result<(HeaderName, HeaderValue), HeaderError>> {
    let name = writable(&name.to_str(cx)?);
    Ok(name.and_then(|name| Ok((name, value(bytes.as_le_slice(cx))?))))
}

/// Links the functions on header fields.
pub(super) fn link(interface: &mut Interface<'_>, side: Side) -> wasmtime::Result<()> {
    link_reading(interface, side)?;
    interface.func_wrap(
        "set-header",
        move |mut cx: StoreContextMut<'_, Guest>, (name, bytes): (WasmStr, WasmList<u8>)| -> Edited {
            let field = edit(&cx, &name, &bytes)?;
            Ok((field.and_then(|(name, value)| {
                cx.data_mut().fields_mut(side)?.insert(name, value);
                Ok(())
            }),))
        },
    )?;
    interface.func_wrap(
        "add-header",
        move |mut cx: StoreContextMut<'_, Guest>, (name, bytes): (WasmStr, WasmList<u8>)| -> Edited {
            let field = edit(&cx, &name, &bytes)?;
            Ok((field.and_then(|(name, value)| {
                cx.data_mut().fields_mut(side)?.append(name, value);
                Ok(())
            }),))
        },
    )?;
    interface.func_wrap("remove-header", move |mut cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| -> Edited {
        let name = writable(&name.to_str(&cx)?);
        Ok((name.and_then(|name| {
            cx.data_mut().fields_mut(side)?.remove(name);
            Ok(())
        }),))
    })
}

fn link_reading(interface: &mut Interface<'_>, side: Side) -> wasmtime::Result<()> {
    interface.func_wrap("header", move |cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?;
        let value = cx.data().fields(side).and_then(|fields| fields.get(&*name));
        Ok((value.map(|value| Box::<[u8]>::from(value.as_bytes())),))
    })?;
    interface.func_wrap("header-values", move |cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?;
        let values = cx.data().fields(side).into_iter().flat_map(|fields| fields.get_all(&*name));
        Ok((values.map(|value| Box::<[u8]>::from(value.as_bytes())).collect::<Vec<_>>(),))
    })?;
    interface.func_wrap("headers", move |cx: StoreContextMut<'_, Guest>, (): ()| {
        let fields = cx.data().fields(side).into_iter().flatten();
        let fields = fields.map(|(name, value)| -> OwnedField { (name.as_str().into(), value.as_bytes().into()) });
        Ok((fields.collect::<Vec<_>>(),))
    })
}
