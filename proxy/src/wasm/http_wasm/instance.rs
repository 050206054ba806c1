//! One instance of a guest, and its calls.

use wasmtime::{Store, TypedFunc};

use super::super::lent::{Borrower, Lent};
use super::super::store::{Count, begin, fault, store};
use super::call::{BUFFER_RESPONSE, Call, Stop, TRAILERS};
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
        match self.start(&mut store).await {
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

    async fn start(&self, store: &mut Store<Guest>) -> wasmtime::Result<Exports> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        store.data_mut().linear = instance.get_memory(&mut *store, "memory");
        for name in ["_initialize", "_start"] {
            let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, name) else { continue };
            match start.call_async(&mut *store, ()).await {
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
    /// Calls `handle_request`; true where the next handler shall be called.
    pub(super) async fn handle_request(&mut self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let features = self.store.data().features;
        self.store.data_mut().call = Call::new(features);
        let function = self.handle_request.clone();
        let called = {
            let lent = Lent::new(self, exchange);
            lent.instance.begin();
            function.call_async(&mut lent.instance.store, ()).await
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
    pub(super) async fn handle_response(&mut self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let Some(function) = self.handle_response.clone() else { return Ok(false) };
        let call = &mut self.store.data_mut().call;
        call.after_next = true;
        call.merge(exchange);
        if call.has(TRAILERS) && call.has(BUFFER_RESPONSE) {
            // Trailers are known when the body is.
            self.read_response(exchange).await;
        }
        let failed = exchange.summary.error.is_some();
        let context = self.context;
        let called = match self.store.data().call.stop {
            Some(_) => Ok(()),
            None => {
                let lent = Lent::new(self, exchange);
                lent.instance.begin();
                function.call_async(&mut lent.instance.store, (context, failed.into())).await
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
        let message = &mut guest.call.response;
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

    fn begin(&mut self) {
        let time = self.store.data().env.limits.time;
        begin(&mut self.store, time);
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

impl Borrower for Instance {
    fn state(&mut self) -> &mut Option<Box<State>> {
        &mut self.store.data_mut().state
    }
}
