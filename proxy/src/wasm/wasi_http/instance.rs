//! One instance: which requests it takes, and how it ends.

use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{HandlerState, Instance, ShouldAccept, WorkerState};

use super::super::Env;
use super::super::store::{Count, fault};
use super::call::Ticket;
use super::expiry::Expiry;
use super::guest::Guest;
use super::life::Life;
use super::linked::{Linked, Made, Reuse};

/// Makes the instances of one worker.
pub(super) struct Maker {
    linked: Arc<Linked>,
    worker: usize,
}

impl Maker {
    pub(super) fn new(linked: Arc<Linked>, worker: usize) -> Self {
        Self { linked, worker }
    }
}

impl HandlerState for Maker {
    type StoreData = Guest;
    type WorkerExpiration = Expiry;
    type WorkerState = Work;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiry, Work>> {
        let Made { store, proxy, life, count } =
            self.linked.instantiate(self.worker).await.map_err(wasmtime::Error::new)?;
        let reuse = self.linked.reuse;
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiry::new(life.clone(), reuse.idle, reuse.alone, self.linked.used()),
            state: Work { env: self.linked.env.clone(), worker: self.worker, life, reuse, count: Mutex::new(count) },
        })
    }
}

/// What an instance does.
pub(super) struct Work {
    env: Arc<Env>,
    worker: usize,
    life: Arc<Life>,
    reuse: Reuse,
    count: Mutex<Count>,
}

impl WorkerState for Work {
    type StoreData = Guest;
    type RequestData = Ticket;

    fn should_accept_request(&self, _: usize, total: usize) -> ShouldAccept {
        if total >= self.reuse.requests {
            ShouldAccept::Never
        } else if self.life.open() >= self.reuse.concurrency {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        mut ticket: Ticket,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        let guest = store.data_mut();
        self.count.lock().memory(guest.memory.used);
        guest.budget.grant(self.env.limits.time);
        if let Some(next) = ticket.next.take() {
            guest.next.put(task, next);
        }
        ticket.call.taken(&self.life);
        Box::pin(ticket.given_up())
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        let (calls, expired) = self.life.gone();
        let Err(error) = result else { return };
        if expired {
            return;
        }
        let fault = fault(&store, &error);
        if calls.is_empty() {
            self.env.metrics.fault(self.worker, fault.kind.name());
            let (plugin, kind) = (&*self.env.name, fault.kind.name());
            warn!(plugin, kind, "it failed after its last response: {}", fault.message);
        }
        calls.iter().for_each(|call| call.failed(fault.clone()));
    }
}
