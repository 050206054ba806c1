//! HTTP/2 or HTTP/1.1 towards an endpoint, as is agreed upon in TLS (RFC 7301).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::{Request, Response};

use super::slot::{Failure, Flight, Slot, Terms};
use super::{Error, http1, http2};
use crate::config::Alpn;
use crate::http::Body;
use crate::net::Offer;

/// What a request goes out on.
enum Way {
    /// A connection of HTTP/1.1: one that was just made, or one at hand.
    Http1(Option<http1::Link>),
    /// A connection of HTTP/2.
    Http2,
}

/// Sends a request by the protocol of a connection at hand, or of a new one.
pub(super) async fn exchange(
    flight: Flight,
    request: Box<Request<Body>>,
    terms: &Terms<'_>,
) -> Result<Response<Body>, Failure> {
    let slot = Arc::clone(&flight.slot);
    match way(&slot, terms).await {
        Ok(Way::Http1(fresh)) => http1::exchange(flight, request, terms, fresh).await,
        Ok(Way::Http2) => http2::exchange(flight, request, terms).await,
        Err(error) => Err(Failure { error, unsent: Some(request) }),
    }
}

async fn way(slot: &Arc<Slot>, terms: &Terms<'_>) -> Result<Way, Error> {
    if let Some(way) = at_hand(slot, terms) {
        return Ok(way);
    }
    // Of HTTP/2 one connection is enough for many requests at once, of HTTP/1.1 each needs its own.
    let opening = if slot.speaks_http1.load(Relaxed) { None } else { Some(slot.links.opening().await) };
    if opening.is_some()
        && let Some(way) = at_hand(slot, terms)
    {
        return Ok(way);
    }
    let (wire, alpn) = slot.connect(terms, Offer::Either).await?;
    slot.speaks_http1.store(alpn != Some(Alpn::Http2), Relaxed);
    if alpn == Some(Alpn::Http2) {
        http2::adopt(slot, wire, terms).await?;
        Ok(Way::Http2)
    } else {
        http1::adopt(slot, wire, terms).await.map(|link| Way::Http1(Some(link)))
    }
}

fn at_hand(slot: &Slot, terms: &Terms<'_>) -> Option<Way> {
    if slot.links.has_one(terms.client(slot)) {
        return Some(Way::Http2);
    }
    slot.parked.lock().has_one(terms.client(slot)).then_some(Way::Http1(None))
}
