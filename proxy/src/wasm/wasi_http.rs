//! `wasi:http`: components that answer requests themselves, as upstreams, and those that stand before another handler, as
//! steps of chains.
//!
//! An instance is a task of the worker that made it; the crate wasmtime-wasi-http drives it, gives it requests, and lets it
//! go when [`expiry`] says so. What the guest sends goes through [`hooks`]; what it hands on, through [`next`].

mod body;
mod call;
mod expiry;
mod function;
mod guest;
mod hooks;
mod instance;
mod life;
mod linked;
mod middleware;
mod next;

use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{InstantiationError, ProxyHandler, TrapOrPanicError};

use super::{Artifact, Engine, Env, LoadError};
use crate::chain::{Fault, FaultKind};
use crate::http::final_status;
use call::{Call, Ticket};
use instance::Maker;
use linked::{Linked, Terms};

pub use function::EdgeFunction;
pub use middleware::Middleware;

/// One version of a component and its instances.
struct Fleet {
    env: Arc<Env>,
    /// One for each worker, whose instances are tasks of that worker.
    handlers: Box<[ProxyHandler<Maker>]>,
}

/// A request that an instance works on.
type Handling = Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Fault>> + Send>>;

impl Fleet {
    /// Makes a component ready: links it, and makes an instance to see that it starts.
    async fn new(engine: &Engine, artifact: &Artifact, env: Env, terms: Terms) -> Result<Self, LoadError> {
        let linked = Arc::new(Linked::new(engine, artifact, Arc::new(env), terms)?);
        linked.try_out().await?;
        let env = linked.env.clone();
        let handlers = (0..env.workers.max(1)).map(|worker| ProxyHandler::new(Maker::new(linked.clone(), worker)));
        Ok(Self { handlers: handlers.collect(), env })
    }

    /// Gives a request to an instance of this worker, on its runtime.
    fn handle(&self, worker: usize, call: Arc<Call>, ticket: Ticket, request: Request<WasiBody>) -> Handling {
        let handler = self.handlers[worker % self.handlers.len()].clone();
        Box::pin(async move { handler.handle(ticket, request).await.map_err(|error| fault(&error, &call)) })
    }
}

/// The guest's response, where its status is that of a final one (RFC 9110, section 15): a guest can give it any number. What
/// came as it is may go on as it is.
fn is_final(response: Response<WasiBody>, came: Option<StatusCode>) -> Result<Response<WasiBody>, Fault> {
    let status = response.status();
    if final_status(status.as_u16().into()).is_some() || came == Some(status) {
        return Ok(response);
    }
    let message =
        format!("it answers with {}, which is not the status of a final response (200 to 599)", status.as_u16());
    Err(Fault { kind: FaultKind::Failed, message })
}

/// Why there is no response: what ended the instance, where that is known.
fn fault(error: &wasmtime::Error, call: &Call) -> Fault {
    if let Some(fault) = call.fault() {
        return fault;
    }
    if let Some(error) = error.downcast_ref::<InstantiationError<Ticket>>() {
        return Fault { kind: FaultKind::Unavailable, message: format!("there is no instance: {:#}", error.error) };
    }
    let trapped = error.is::<TrapOrPanicError>() || error.is::<wasmtime::Trap>();
    let kind = if trapped { FaultKind::Trap } else { FaultKind::Failed };
    Fault { kind, message: format!("{error:#}") }
}
