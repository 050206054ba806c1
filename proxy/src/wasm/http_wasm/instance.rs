//! One instance of a guest, and its calls.

use wasmtime::{Store, TypedFunc};

use super::super::lent::{Borrower, Lent};
use super::super::pace;
use super::super::store::{self, Count, fault, store};
use super::call::{BUFFER_RESPONSE, Side, Stop, TRAILERS};
use super::guest::Guest;
use super::{HttpWasm, LoadError};
use crate::chain::{Exchange, Fault, Reply, State};
use crate::http::Body;

/// One instance.
pub(super) struct Instance {
    store: Store<Guest>,
    handle_request: TypedFunc<(), u64>,
    handle_response: Option<TypedFunc<(u32, u32), ()>>,
    /// What `handle_request` gave, for `handle_response`.
    context: u32,
    count: Count,
}

impl HttpWasm {
    /// Makes an instance and lets it start: a command's `_start` or a reactor's `_initialize`.
    pub(super) async fn instantiate(&self) -> Result<Box<Instance>, LoadError> {
        let count = Count::new(&self.live, &self.env)?;
        let guest = Guest::new(self.env.clone(), self.engine.clock().clone());
        let mut store = store(&self.engine, guest);
        let yields = self.pace.yields();
        store.data_mut().yields = yields;
        match self.start(&mut store, yields).await {
            Ok((handle_request, handle_response)) => {
                let features = store.data().call.features;
                store.data_mut().features = features;
                let mut instance = Instance { store, handle_request, handle_response, context: 0, count };
                instance.count.memory(instance.store.data().memory.used);
                Ok(Box::new(instance))
            }
            Err(error) => Err(LoadError::Failed(fault(&store, &error).message)),
        }
    }

    async fn start(&self, store: &mut Store<Guest>, yields: bool) -> wasmtime::Result<Exports> {
        let instance = match yields {
            true => self.pre.instantiate_async(&mut *store).await?,
            false => self.pre.instantiate(&mut *store)?,
        };
        store.data_mut().linear = instance.get_memory(&mut *store, "memory");
        for name in ["_initialize", "_start"] {
            let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, name) else { continue };
            match pace::call(&start, store, (), yields).await {
                // A command that is done says so by leaving with 0.
                Err(error) if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_none_or(|exit| exit.0 != 0) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        let handle_request = instance.get_typed_func(&mut *store, "handle_request")?;
        let handle_response = instance.get_typed_func(&mut *store, "handle_response").ok();
        Ok((handle_request, handle_response))
    }
}

type Exports = (TypedFunc<(), u64>, Option<TypedFunc<(u32, u32), ()>>);

impl Instance {
    /// Whether the last call took longer than a tick.
    pub(super) fn overran(&self) -> bool {
        self.store.data().budget.overran()
    }

    /// Calls `handle_request`, on a stack of its own where it shall yield; true where the next handler shall be called.
    pub(super) async fn handle_request(&mut self, exchange: &mut Exchange, yields: bool) -> Result<bool, Fault> {
        let guest = self.store.data_mut();
        guest.call.begin(guest.features);
        let called = {
            let lent = Lent::new(self, exchange);
            let Self { store, handle_request, .. } = &mut *lent.instance;
            begin(store, yields);
            pace::call(handle_request, store, (), yields).await
        };
        let Some(result) = self.end(called, exchange)? else { return Ok(false) };
        let call = &mut self.store.data_mut().call;
        if result & 1 == 0 {
            exchange.reply = Some(call.reply());
            return Ok(false);
        }
        call.finish_request(exchange);
        self.context = (result >> 32) as u32;
        Ok(true)
    }

    /// Calls `handle_response`; true where an answer of gofe takes the response's place.
    pub(super) async fn handle_response(&mut self, exchange: &mut Exchange, yields: bool) -> Result<bool, Fault> {
        let call = &mut self.store.data_mut().call;
        call.after_next = true;
        call.merge(exchange);
        if call.has(TRAILERS) && call.has(BUFFER_RESPONSE) {
            // Trailers are known when the body is. Boxed, as few guests ask for them.
            Box::pin(self.read_response(exchange)).await;
        }
        let failed = exchange.summary.error.is_some();
        let context = self.context;
        let called = match self.store.data().call.stop {
            Some(_) => Ok(()),
            None => {
                let lent = Lent::new(self, exchange);
                let Self { store, handle_response, .. } = &mut *lent.instance;
                let Some(function) = handle_response else { return Ok(false) };
                begin(store, yields);
                pace::call(function, store, (context, failed.into()), yields).await
            }
        };
        if self.end(called, exchange)?.is_none() {
            return Ok(true);
        }
        self.store.data_mut().call.finish_response(exchange);
        Ok(false)
    }

    /// Reads the whole response, so that its trailers are here.
    async fn read_response(&mut self, exchange: &mut Exchange) {
        let guest = self.store.data_mut();
        let limit = guest.env.limits.body;
        let message = guest.call.message(Side::Response);
        let mut whole = bytes::BytesMut::new();
        while !message.ended {
            if let Err(error) = message.pull(&mut exchange.message).await {
                guest.call.stop = Some(Stop::Broken(error));
                return;
            }
            whole.extend_from_slice(&std::mem::take(&mut message.rest));
            if whole.len() as u64 > limit {
                guest.call.stop = Some(Stop::TooLarge);
                return;
            }
        }
        message.rest = whole.freeze();
    }

    /// What a call came to; nothing where a body cut it off, whose answer is then in the exchange.
    fn end<R>(&mut self, called: wasmtime::Result<R>, exchange: &mut Exchange) -> Result<Option<R>, Fault> {
        self.count.memory(self.store.data().memory.used);
        let after_next = self.store.data().call.after_next;
        let status = match self.store.data_mut().call.stop.take() {
            None => return called.map(Some).map_err(|error| fault(&self.store, &error)),
            Some(Stop::Broken(error)) => {
                exchange.broken = Some(error);
                http::StatusCode::BAD_GATEWAY
            }
            Some(Stop::TooLarge) if after_next => http::StatusCode::BAD_GATEWAY,
            Some(Stop::TooLarge) => http::StatusCode::PAYLOAD_TOO_LARGE,
        };
        exchange.message = Body::Empty;
        exchange.reply = Some(Reply::plain(status));
        Ok(None)
    }
}

/// A call begins, on a stack of its own or on the worker's.
fn begin(store: &mut Store<Guest>, yields: bool) {
    let guest = store.data_mut();
    guest.yields = yields;
    let time = guest.env.limits.time;
    store::begin(store, time);
}

impl Borrower for Instance {
    fn state(&mut self) -> &mut Option<Box<State>> {
        &mut self.store.data_mut().state
    }
}
