//! One request at an instance: who waits for it, and who works on it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::life::Life;
use super::next::Next;
use crate::chain::Fault;

/// What both sides know of one request.
#[derive(Default)]
pub(super) struct Call(Mutex<State>);

#[derive(Default)]
struct State {
    /// The instance that took it.
    life: Option<Arc<Life>>,
    /// Nobody waits any more.
    over: bool,
    /// What ended the instance.
    fault: Option<Fault>,
}

/// The hold of whoever waits for the response, up to the end of its body. Dropped before that, the request is given up.
pub(super) struct Hold {
    call: Arc<Call>,
    gone: Option<oneshot::Sender<()>>,
}

/// What goes with the request to the instance.
pub(super) struct Ticket {
    pub(super) call: Arc<Call>,
    /// Where the instance hands the request on, where there is somewhere.
    pub(super) next: Option<Next>,
    gone: oneshot::Receiver<()>,
}

/// A request begins.
pub(super) fn begin(next: Option<Next>) -> (Arc<Call>, Hold, Ticket) {
    let call = Arc::new(Call::default());
    let (sender, gone) = oneshot::channel();
    (call.clone(), Hold { call: call.clone(), gone: Some(sender) }, Ticket { call, next, gone })
}

impl Call {
    /// An instance takes the request.
    pub(super) fn taken(self: &Arc<Self>, life: &Arc<Life>) {
        let mut state = self.0.lock();
        state.life = Some(life.clone());
        if !state.over {
            life.begin(self.clone());
        }
    }

    /// The request goes on: a part of a body was taken or given.
    pub(super) fn goes_on(&self) {
        if let Some(life) = &self.0.lock().life {
            life.goes_on();
        }
    }

    /// The instance has ended.
    pub(super) fn failed(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    /// What ended the instance, where it has ended.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.lock().fault.clone()
    }

    fn over(&self, whole: bool) {
        let mut state = self.0.lock();
        state.over = true;
        if let Some(life) = state.life.take() {
            life.end(self, whole);
        }
    }
}

impl Hold {
    /// The response has ended.
    pub(super) fn complete(mut self) {
        self.gone = None;
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let gone = self.gone.take();
        self.call.over(gone.is_none());
        if let Some(gone) = gone {
            // Where the instance is done with the request, nobody listens.
            let _ = gone.send(());
        }
    }
}

impl Ticket {
    /// Waits until the request is given up.
    pub(super) async fn given_up(self) {
        if self.gone.await.is_err() {
            // It was answered, to the end.
            std::future::pending::<()>().await;
        }
    }
}
