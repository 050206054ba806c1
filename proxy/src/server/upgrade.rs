//! A request that asks for another protocol than HTTP: what of it the route allows, and how it becomes a tunnel.

use http::{Request, Response, response};

use super::flight::Flight;
use super::rescue::{Refusal, Trouble};
use super::tunnel::Tunnel;
use crate::http::Body;
use crate::http::upgrade::{Duplex, Wish};
use crate::snapshot::{Route, Upstream};

/// What of the client's wish a route allows. Where it allows nothing, or the request has a body too, the request goes
/// on as an ordinary one, which RFC 9110, section 7.8, allows; one that came by HTTP/2 cannot.
pub(super) fn allowed(wish: Wish, route: &Route, body: &Body) -> Result<Option<Box<Wish>>, Trouble> {
    let is_stream = wish.is_stream();
    match wish.choose(&route.upgrades).filter(|_| matches!(body, Body::Empty)) {
        None if is_stream => Err(Refusal::Upgrade.into()),
        allowed => Ok(allowed.map(Box::new)),
    }
}

impl Flight {
    /// Asks the upstream for the other protocol.
    pub(super) fn ask(&self, upstream: &Upstream, request: &mut Request<Body>) -> Result<(), Trouble> {
        let Some(wish) = &self.wish else { return Ok(()) };
        match upstream.cluster.takes_upgrades() {
            true => wish.ask(request),
            false if wish.is_stream() => return Err(Refusal::Upgrade.into()),
            false => {}
        }
        Ok(())
    }

    /// Answers that the protocol changes, and sees to it that it does.
    pub(super) fn switch(mut self, mut parts: response::Parts, upstream: Box<dyn Duplex>) -> Response<Body> {
        let stream = self.wish.take().and_then(|wish| wish.grant(&mut parts));
        let (worker, watch) = (self.worker.clone(), self.watch.clone());
        let tunnel = Tunnel::new(upstream, self);
        match stream {
            None => watch.switch(tunnel),
            Some(stream) => {
                let count = worker.shared.task();
                tokio::spawn(async move {
                    tunnel.run_on_stream(stream).await;
                    drop(count);
                });
            }
        }
        Response::from_parts(parts, Body::Empty)
    }
}
