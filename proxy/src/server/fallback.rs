//! What answers when a route's upstream does not.

use http_body_util::BodyExt;

use super::flight::Flight;
use super::request::Answer;
use super::rescue::Trouble;
use crate::chain::{Reply, Routing, Verdict};
use crate::http::Body;
use crate::snapshot::Fallback;

/// The longest body that is held so that a second upstream can have it.
const HELD: u64 = 64 << 10;

impl Flight {
    /// Sends the request, and lets the route's fallback answer when that fails.
    pub(super) async fn send_or_fall_back(&mut self, body: Body) -> Result<Answer, Trouble> {
        let pin = self.pin.clone();
        let Some(treatment) = pin.routes[self.route].treatment.as_deref() else { return self.send(body).await };
        let Some(fallback) = &treatment.fallback else { return self.send(body).await };
        let (body, again) = match fallback {
            Fallback::Upstream(_) => hold(body).await?,
            Fallback::Fixed(_) | Fallback::Chain(_) => (body, None),
        };
        // What a plugin chose holds for the other upstream as well, but for the upstream and its endpoints.
        let routing = match again {
            Some(_) => Routing { upstream: None, subset: Vec::new(), ..self.hand.lock().await.routing.clone() },
            None => Routing::default(),
        };
        let first = Box::pin(self.send(body)).await;
        let failed = match &first {
            Ok(Answer::Upstream(response)) => treatment.fails(response.status()),
            Ok(Answer::Reply(_)) => false,
            Err(trouble) => trouble.is_upstreams(),
        };
        if !failed {
            return first;
        }
        let answer = match (fallback, again) {
            (Fallback::Fixed(fixed), _) => Some(Answer::Reply(fixed.reply())),
            (Fallback::Chain(_), _) => self.ask_fallback(fallback).await.map(Answer::Reply),
            (Fallback::Upstream(name), Some(body)) => {
                let mut exchange = self.hand.lock().await;
                exchange.routing = Routing { upstream: Some(name.clone()), ..routing };
                drop(exchange);
                return Box::pin(self.send(body)).await;
            }
            (Fallback::Upstream(_), None) => None,
        };
        match answer {
            Some(answer) => {
                if let Err(trouble) = &first {
                    // The client does not see it, the operator shall.
                    drop(self.rescue(trouble).await);
                }
                Ok(answer)
            }
            None => first,
        }
    }

    /// What a plugin of the fallback's chain answers.
    async fn ask_fallback(&mut self, fallback: &Fallback) -> Option<Reply> {
        let Fallback::Chain(chain) = fallback else { return None };
        let mut exchange = self.hand.lock().await;
        // The steps of the route's own chain are counted anew by the other one.
        let own = (exchange.reached, exchange.disabled, exchange.phase);
        (exchange.disabled, exchange.request_open) = (0, true);
        let verdict = chain.request_headers(&mut exchange).await;
        (exchange.reached, exchange.disabled, exchange.phase) = own;
        exchange.request_open = false;
        match verdict {
            Verdict::Reply(reply) => Some(reply),
            Verdict::Continue => None,
        }
    }

    /// The fixed answer of the route's fallback, for when the time of the request is over.
    pub(super) fn fixed_fallback(&self) -> Option<Reply> {
        match self.route().treatment.as_ref()?.fallback.as_ref()? {
            Fallback::Fixed(fixed) => Some(fixed.reply()),
            Fallback::Upstream(_) | Fallback::Chain(_) => None,
        }
    }
}

impl Trouble {
    /// Whether the upstream is what failed, and not the client or gofe.
    fn is_upstreams(&self) -> bool {
        match self {
            Self::Upstream(_) => !self.closes(),
            Self::NoUpstream(_) => true,
            _ => false,
        }
    }
}

/// A body that can be sent twice, and its copy: one that is short, and whose length is known.
async fn hold(body: Body) -> Result<(Body, Option<Body>), Trouble> {
    if matches!(body, Body::Empty) {
        return Ok((Body::Empty, Some(Body::Empty)));
    }
    if http_body::Body::size_hint(&body).upper().is_none_or(|length| length > HELD) {
        return Ok((body, None));
    }
    let bytes = body.collect().await.map_err(Trouble::Body)?.to_bytes();
    Ok((Body::full(bytes.clone()), Some(Body::full(bytes))))
}
