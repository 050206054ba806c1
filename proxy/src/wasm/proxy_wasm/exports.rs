//! The callbacks that a guest exports.

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use super::abi::Side;
use super::data::Host;
use crate::chain::Way;

/// The callbacks that a guest exports, looked up once.
pub(super) struct Exports {
    pub(super) context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub(super) vm_start: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) validate: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) configure: Option<TypedFunc<(u32, u32), u32>>,
    request_headers: Headers,
    request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    request_trailers: Option<TypedFunc<(u32, u32), u32>>,
    response_headers: Headers,
    response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    response_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) new_connection: Option<TypedFunc<u32, u32>>,
    downstream_data: Option<TypedFunc<(u32, u32, u32), u32>>,
    upstream_data: Option<TypedFunc<(u32, u32, u32), u32>>,
    downstream_closed: Option<TypedFunc<(u32, u32), ()>>,
    upstream_closed: Option<TypedFunc<(u32, u32), ()>>,
    pub(super) done: Option<TypedFunc<u32, u32>>,
    pub(super) log: Option<TypedFunc<u32, ()>>,
    pub(super) delete: Option<TypedFunc<u32, ()>>,
    pub(super) tick: Option<TypedFunc<u32, ()>>,
    pub(super) queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub(super) http_call: Option<HttpCallDone>,
    pub(super) grpc_initial: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_receive: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_trailing: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_close: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) foreign: Option<TypedFunc<(u32, u32, u32), ()>>,
}

/// Context, call, and the numbers of header fields, bytes of the body and trailers.
pub(super) type HttpCallDone = TypedFunc<(u32, u32, u32, u32, u32), ()>;

/// A callback for headers: 0.1.0 does not say whether a body follows.
pub(super) enum Headers {
    None,
    V01(TypedFunc<(u32, u32), u32>),
    V02(TypedFunc<(u32, u32, u32), u32>),
}

impl Exports {
    /// That for the headers of a side.
    pub(super) fn headers(&self, side: Side) -> &Headers {
        match side {
            Side::Request => &self.request_headers,
            Side::Response => &self.response_headers,
        }
    }

    /// That for the body of a side.
    pub(super) fn body(&self, side: Side) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        match side {
            Side::Request => self.request_body.as_ref(),
            Side::Response => self.response_body.as_ref(),
        }
    }

    /// That for the trailers of a side.
    pub(super) fn trailers(&self, side: Side) -> Option<&TypedFunc<(u32, u32), u32>> {
        match side {
            Side::Request => self.request_trailers.as_ref(),
            Side::Response => self.response_trailers.as_ref(),
        }
    }

    /// That for the bytes that come a way.
    pub(super) fn data(&self, way: Way) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        match way {
            Way::Downstream => self.downstream_data.as_ref(),
            Way::Upstream => self.upstream_data.as_ref(),
        }
    }

    /// That for the end of a connection.
    pub(super) fn closed(&self, way: Way) -> Option<&TypedFunc<(u32, u32), ()>> {
        match way {
            Way::Downstream => self.downstream_closed.as_ref(),
            Way::Upstream => self.upstream_closed.as_ref(),
        }
    }

    /// Finds the callbacks; one of another type than the ABI's is an error.
    pub(super) fn of(instance: &Instance, store: &mut Store<Host>) -> Result<Self, String> {
        Ok(Self {
            context_create: find(instance, store, "proxy_on_context_create")?,
            vm_start: find(instance, store, "proxy_on_vm_start")?,
            validate: find(instance, store, "proxy_validate_configuration")?,
            configure: find(instance, store, "proxy_on_configure")?,
            request_headers: Headers::find(instance, store, "proxy_on_request_headers")?,
            request_body: find(instance, store, "proxy_on_request_body")?,
            request_trailers: find(instance, store, "proxy_on_request_trailers")?,
            response_headers: Headers::find(instance, store, "proxy_on_response_headers")?,
            response_body: find(instance, store, "proxy_on_response_body")?,
            response_trailers: find(instance, store, "proxy_on_response_trailers")?,
            new_connection: find(instance, store, "proxy_on_new_connection")?,
            downstream_data: find(instance, store, "proxy_on_downstream_data")?,
            upstream_data: find(instance, store, "proxy_on_upstream_data")?,
            downstream_closed: find(instance, store, "proxy_on_downstream_connection_close")?,
            upstream_closed: find(instance, store, "proxy_on_upstream_connection_close")?,
            done: find(instance, store, "proxy_on_done")?,
            log: find(instance, store, "proxy_on_log")?,
            delete: find(instance, store, "proxy_on_delete")?,
            tick: find(instance, store, "proxy_on_tick")?,
            queue_ready: find(instance, store, "proxy_on_queue_ready")?,
            http_call: find(instance, store, "proxy_on_http_call_response")?,
            grpc_initial: find(instance, store, "proxy_on_grpc_receive_initial_metadata")?,
            grpc_receive: find(instance, store, "proxy_on_grpc_receive")?,
            grpc_trailing: find(instance, store, "proxy_on_grpc_receive_trailing_metadata")?,
            grpc_close: find(instance, store, "proxy_on_grpc_close")?,
            foreign: find(instance, store, "proxy_on_foreign_function")?,
        })
    }
}

fn find<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<Host>,
    name: &str,
) -> Result<Option<TypedFunc<P, R>>, String> {
    match instance.get_func(&mut *store, name) {
        None => Ok(None),
        Some(function) => function.typed(&*store).map(Some).map_err(|error| format!("its `{name}`: {error:#}")),
    }
}

impl Headers {
    pub(super) fn v01(&self) -> Option<&TypedFunc<(u32, u32), u32>> {
        if let Self::V01(callback) = self { Some(callback) } else { None }
    }

    pub(super) fn v02(&self) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        if let Self::V02(callback) = self { Some(callback) } else { None }
    }

    fn find(instance: &Instance, store: &mut Store<Host>, name: &str) -> Result<Self, String> {
        match find(instance, store, name) {
            Ok(found) => Ok(found.map_or(Self::None, Self::V02)),
            Err(reason) => match find(instance, store, name) {
                Ok(found) => Ok(found.map_or(Self::None, Self::V01)),
                Err(_) => Err(reason),
            },
        }
    }
}
