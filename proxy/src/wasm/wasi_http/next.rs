//! `wasi:http/handler`, imported: what stands behind a component, which is the rest of its chain.

use http::{Method, Request, Response};
use tokio::sync::oneshot;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, GuestTaskId, Linker, Resource};
use wasmtime_wasi_http::p3::{self, bindings::http::types::ErrorCode};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use super::guest::Guest;

/// Where an instance hands a request on.
pub(super) type Next = oneshot::Sender<Handed>;

/// A request that an instance has handed on, and where it waits for the response.
pub(super) struct Handed {
    pub(super) request: Request<WasiBody>,
    pub(super) answer: oneshot::Sender<Response<WasiBody>>,
}

/// The requests of an instance that it may still hand on, by the guest's task.
#[derive(Default)]
pub(super) struct Pending(Vec<(GuestTaskId, Next)>);

impl Pending {
    /// A request begins.
    pub(super) fn put(&mut self, task: GuestTaskId, next: Next) {
        self.0.retain(|(_, next)| !next.is_closed());
        self.0.push((task, next));
    }

    /// The one that a task works on, or that it works for.
    fn take(&mut self, stack: &[GuestTaskId]) -> Option<Next> {
        let at = self.0.iter().position(|(task, _)| stack.contains(task))?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Links the handler that stands behind a component.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/handler@0.3.0")?.func_wrap_concurrent(
        "handle",
        |accessor: &Accessor<Guest>, (request,): (Resource<p3::Request>,)| {
            Box::pin(async move { Ok((hand_on(accessor, request).await?,)) })
        },
    )
}

async fn hand_on(
    accessor: &Accessor<Guest>,
    request: Resource<p3::Request>,
) -> wasmtime::Result<Result<Resource<p3::Response>, ErrorCode>> {
    let taken = accessor.with(|mut access| {
        let stack: Vec<GuestTaskId> = access.as_context_mut().async_call_stack()?.collect();
        let next = access.data_mut().next.take(&stack);
        let request = access.data_mut().http().table.delete(request)?;
        match request.into_http_with_getter(access.as_context_mut(), async { Ok(()) }, Guest::http) {
            Ok((request, _)) => Ok(Ok((request, next))),
            Err(error) => error.downcast().map(Err),
        }
    });
    let (request, next) = match taken? {
        Ok(taken) => taken,
        Err(code) => return Ok(Err(code)),
    };
    if *request.method() == Method::CONNECT {
        return Ok(Err(ErrorCode::HttpRequestMethodInvalid));
    }
    // What stands behind it answers once: the request is gone then.
    let Some(next) = next else { return Ok(Err(ErrorCode::LoopDetected)) };
    let (answer, answered) = oneshot::channel();
    if next.send(Handed { request, answer }).is_err() {
        return Ok(Err(ErrorCode::ConnectionTerminated));
    }
    let Ok(response) = answered.await else { return Ok(Err(ErrorCode::ConnectionTerminated)) };
    accessor.with(|mut access| {
        let view = access.data_mut().http();
        let (response, _) = p3::Response::from_http(view.hooks, response);
        Ok(Ok(view.table.push(response)?))
    })
}
