//! The exchange where the request's body and the response are worked on at the same time: who works on it has it, and
//! the others wait. All of them belong to one worker, so a wait is rare and the way without one is short.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::Exchange;

/// The exchange, for several that work on it in turn.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Place>>);

/// Where the exchange is while nobody works on it.
struct Place {
    exchange: Option<Exchange>,
    waiting: Vec<Waker>,
}

impl Shared {
    /// An exchange that is shared from now on.
    pub(super) fn new(exchange: Exchange) -> Self {
        Self(Arc::new(Mutex::new(Place { exchange: Some(exchange), waiting: Vec::new() })))
    }

    /// Waits for the exchange.
    pub(super) async fn lock(&self) -> SharedGuard<'_> {
        match self.take() {
            Some(guard) => guard,
            None => poll_fn(|cx| self.poll(cx)).await,
        }
    }

    fn take(&self) -> Option<SharedGuard<'_>> {
        let exchange = self.0.lock().exchange.take()?;
        Some(SharedGuard { shared: self, exchange })
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<SharedGuard<'_>> {
        let mut place = self.0.lock();
        if let Some(exchange) = place.exchange.take() {
            return Poll::Ready(SharedGuard { shared: self, exchange });
        }
        if !place.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            place.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// The exchange in the hands of one of those that share it.
pub struct SharedGuard<'a> {
    shared: &'a Shared,
    exchange: Exchange,
}

impl Deref for SharedGuard<'_> {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl DerefMut for SharedGuard<'_> {
    fn deref_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }
}

impl Drop for SharedGuard<'_> {
    fn drop(&mut self) {
        let exchange = std::mem::replace(&mut self.exchange, Exchange::lent());
        let waiting = {
            let mut place = self.shared.0.lock();
            place.exchange = Some(exchange);
            std::mem::take(&mut place.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
