//! The request in hand, while it is lent to an instance.

use crate::chain::{Exchange, State};

/// What a request can be lent to: an instance of any ABI.
pub(super) trait Borrower {
    /// Where the request is while it is lent.
    fn state(&mut self) -> &mut Option<Box<State>>;
}

/// The exchange, lent to an instance: it comes back when this is dropped, also when a call is cut off because the
/// client went away.
pub(super) struct Lent<'a, I: Borrower> {
    pub(super) instance: &'a mut I,
    exchange: &'a mut Exchange,
}

impl<'a, I: Borrower> Lent<'a, I> {
    pub(super) fn new(instance: &'a mut I, exchange: &'a mut Exchange) -> Self {
        *instance.state() = Some(exchange.lend());
        Self { instance, exchange }
    }
}

impl<I: Borrower> Drop for Lent<'_, I> {
    fn drop(&mut self) {
        if let Some(state) = self.instance.state().take() {
            self.exchange.restore(state);
        }
    }
}
