//! `gofe:plugin/request`: the request in hand.

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri, header};

use super::fields::{self, MessageError, Side};
use super::{Cx, Guest, Interface, Text};
use crate::chain::State;
use crate::http::assignable_method;

type Changed = wasmtime::Result<Result<(), MessageError>>;

impl Guest {
    /// The request, where it can still be changed.
    fn open_request(&mut self) -> Result<&mut State, MessageError> {
        self.state.as_deref_mut().filter(|state| state.request_open).ok_or(MessageError::TooLate)
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    fields::link(interface, Side::Request)?;
    link_reading(interface)?;
    interface.func("set-method", |mut cx: Cx<'_>, (method,): (Text,)| -> Changed {
        let method = assignable_method(method.read(&cx)?.as_bytes()).ok_or(MessageError::Invalid);
        Ok(method.and_then(|method| {
            cx.data_mut().open_request()?.request.method = method;
            Ok(())
        }))
    })?;
    interface.func("set-authority", |mut cx: Cx<'_>, (text,): (Text,)| -> Changed {
        let host = authority(&text.read(&cx)?);
        Ok(host.and_then(|host| {
            cx.data_mut().open_request()?.request.headers.insert(header::HOST, host);
            Ok(())
        }))
    })?;
    interface.func("set-path-with-query", |mut cx: Cx<'_>, (text,): (Text,)| -> Changed {
        let path = path_with_query(&text.read(&cx)?);
        Ok(path.and_then(|path| {
            cx.data_mut().open_request()?.set_target(Uri::from(path));
            Ok(())
        }))
    })
}

fn link_reading(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("method", |cx: Cx<'_>, (): ()| Ok(text(&cx, |state| state.request.method.as_str())))?;
    interface.func("scheme", |cx: Cx<'_>, (): ()| Ok(text(&cx, |state| scheme(state))))?;
    interface.func("authority", |cx: Cx<'_>, (): ()| Ok(text(&cx, State::host)))?;
    interface.func("path-with-query", |cx: Cx<'_>, (): ()| Ok(text(&cx, |state| target(&state.request.uri))))?;
    interface.func("original-path-with-query", |cx: Cx<'_>, (): ()| {
        Ok(text(&cx, |state| target(state.original_uri.as_ref().unwrap_or(&state.request.uri))))
    })
}

/// Path and query.
pub(super) fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The scheme that the client used.
pub(super) fn scheme(state: &State) -> &'static str {
    if state.client.tls.is_some() { "https" } else { "http" }
}

/// A text of the request; empty where there is no request.
fn text(cx: &Cx<'_>, read: impl for<'a> Fn(&'a State) -> &'a str) -> Box<str> {
    cx.data().state.as_deref().map_or_else(Box::default, |state| read(state).into())
}

fn authority(text: &str) -> Result<HeaderValue, MessageError> {
    text.parse::<Authority>().map_err(|_| MessageError::Invalid)?;
    HeaderValue::from_str(text).map_err(|_| MessageError::Invalid)
}

/// An origin-form (RFC 9112, section 3.2.1), or `*`.
fn path_with_query(text: &str) -> Result<PathAndQuery, MessageError> {
    if text != "*" && !text.starts_with('/') {
        return Err(MessageError::Invalid);
    }
    text.parse().map_err(|_| MessageError::Invalid)
}
