//! HTTP/3: connections of QUIC, and their requests, which go the way of all others.

mod upload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::quinn;
use http::header::{CONNECTION, DATE, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tracing::debug;

use super::clients::Place;
use super::request::handle;
use super::watch::{Patience, Watch};
use super::worker::{Command, Count, Worker};
use crate::chain::{Client, Reply};
use crate::config::Address;
use crate::http::Body;
use crate::net::{QuicArrival, QuicEndpoint, QuicLimits, QuicSecured, RestOfHandshake};
use crate::snapshot::Listener;

/// How often to look at a connection.
const LOOK: Duration = Duration::from_secs(1);
/// How long a client has to take what was written last, when its connection ends.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Shares the clients of an endpoint between workers, one after the other.
pub(super) async fn accept(endpoint: QuicEndpoint, workers: Vec<UnboundedSender<Command>>, at: Address) {
    let at = Arc::new(at);
    let mut turns = workers.iter().cycle();
    while let (Some(arrival), Some(worker)) = (endpoint.accept().await, turns.next()) {
        // A worker that has ended refuses by dropping it.
        let _ = worker.send(Command::Arrived(at.clone(), Box::new(arrival)));
    }
}

/// Serves a connection to its end. `crowded` says that many are open: then a client must prove where it is.
pub(super) async fn serve(worker: Arc<Worker>, arrival: QuicArrival, at: &Address, crowded: bool) {
    let Some(listener) = worker.pinner.pin().listeners.get(at).cloned() else { return arrival.refuse() };
    let Listener { tls: Some(tls), edge, number, trusted, .. } = listener else { return arrival.refuse() };
    let Some(arrival) = (if crowded { arrival.prove() } else { Some(arrival) }) else { return };
    let address = arrival.address();
    let limits = {
        let pin = worker.pinner.pin();
        QuicLimits { streams: pin.config().limits.streams, idle: pin.config().timeouts.idle }
    };
    let Some(handshake) = worker.shared.handshake(worker.pinner.pin().config().limits.handshakes) else {
        worker.metrics.connection_refused(worker.index, "handshakes");
        return arrival.refuse();
    };
    let secured = tokio::select! {
        secured = arrival.secure(&tls, limits) => secured,
        () = worker.shared.drained() => return,
    };
    worker.metrics.handshake(worker.index, secured.as_ref().map_or_else(|error| error.reason, |_| "quic"));
    let QuicSecured { connection, info, rest } = match secured {
        Ok(secured) => secured,
        Err(error) => return debug!(%address, reason = error.reason, "no QUIC handshake: {error}"),
    };
    let speaks_for_itself = trusted.as_ref().is_none_or(|trusted| !trusted.from.contains(address.ip()));
    let client = Client { edge, listener: number, trusted, ..Client::new(worker.index, address, Some(info)) };
    let client = Arc::new(client);
    let place = place(&worker, rest, handshake, address, speaks_for_itself);
    let served = match client.is_early() {
        false => match place.await {
            Some(_place) => requests(&worker, connection, &client).await,
            None => return,
        },
        true => tokio::select! {
            // Whoever sends something right behind the handshake finds it complete.
            biased;
            () = async {
                if let Some(_place) = place.await {
                    std::future::pending::<()>().await;
                }
            } => return,
            served = requests(&worker, connection.clone(), &client) => served,
        },
    };
    if let Err(error) = served {
        debug!(%address, "the connection broke off: {error}");
    }
}

/// Takes a place among the client's connections when its handshake is complete: before, anybody could have written this
/// address, and taken another's places. Nothing where there is no place, or no handshake.
async fn place(
    worker: &Worker,
    rest: Option<RestOfHandshake>,
    handshake: Count,
    address: SocketAddr,
    speaks_for_itself: bool,
) -> Option<Option<Place>> {
    if let Some(rest) = rest
        && let Err(error) = rest.await
    {
        debug!(%address, reason = error.reason, "no QUIC handshake: {error}");
        return None;
    }
    drop(handshake);
    if !speaks_for_itself {
        return Some(None);
    }
    let most = worker.pinner.pin().config().limits.connections_per_client;
    let place = Place::take(&worker.shared, address.ip(), most);
    if place.is_none() {
        worker.metrics.connection_refused(worker.index, "client");
        debug!(%address, most, "a connection is refused: the client has too many");
    }
    place.map(Some)
}

/// Serves the requests of a connection, until the client has ended it, it was idle for too long, or gofe drains and all
/// of them have ended.
async fn requests(
    worker: &Arc<Worker>,
    connection: quinn::Connection,
    client: &Arc<Client>,
) -> Result<(), h3::error::ConnectionError> {
    let (patience, most) = {
        let pin = worker.pinner.pin();
        let (timeouts, limits) = (&pin.config().timeouts, &pin.config().limits);
        (
            Patience { head: timeouts.header_read, idle: timeouts.idle, rest: None, resets: None },
            limits.header_size as u64,
        )
    };
    let watch = Arc::new(Watch::new());
    let mut builder = h3::server::builder();
    let mut http3 = builder.max_field_section_size(most).build(h3_quinn::Connection::new(connection.clone())).await?;
    // Dropped with the connection, it ends what nobody waits for any more.
    let mut running = JoinSet::new();
    let mut drained = std::pin::pin!(worker.shared.drained());
    let mut draining = false;
    let mut look = tokio::time::interval(LOOK.min(patience.longest()));
    loop {
        tokio::select! {
            accepted = http3.accept() => match accepted {
                Ok(Some(resolver)) => {
                    running.spawn(request(worker.clone(), client.clone(), watch.clone(), resolver));
                }
                Ok(None) => break,
                Err(error) if error.is_h3_no_error() => return Ok(()),
                Err(error) => return Err(error),
            },
            () = &mut drained, if !draining => {
                draining = true;
                http3.shutdown(0).await?;
            }
            Some(_) = running.join_next() => {}
            _ = look.tick() => {
                let waited = watch.left(&patience).is_some_and(|(left, _)| left.is_zero());
                if waited && running.is_empty() {
                    http3.shutdown(0).await?;
                    break;
                }
            }
        }
        if draining && running.is_empty() {
            break;
        }
    }
    while running.join_next().await.is_some() {}
    let _ = tokio::time::timeout(CLOSE_GRACE, connection.closed()).await;
    Ok(())
}

/// One request, from its first byte to the last of its response.
async fn request(
    worker: Arc<Worker>,
    client: Arc<Client>,
    watch: Arc<Watch>,
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
) {
    let (patience, most) = {
        let pin = worker.pinner.pin();
        (pin.config().timeouts.header_read, pin.config().limits.header_count)
    };
    let (request, mut stream) = match tokio::time::timeout(patience, resolver.resolve_request()).await {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(error)) => return debug!("no request: {error}"),
        // Dropped, the stream is reset.
        Err(_) => return debug!("no request within {patience:?}"),
    };
    let length = upload::length(request.headers());
    let (Ok(length), true) = (length, is_proper(request.headers())) else {
        stream.stop_sending(Code::H3_MESSAGE_ERROR);
        return stream.stop_stream(Code::H3_MESSAGE_ERROR);
    };
    let (mut send, receive) = stream.split();
    let response = if request.headers().len() > most {
        let reply = Reply::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        Response::builder().status(reply.status).body(reply.body).unwrap_or_default()
    } else {
        let (parts, ()) = request.into_parts();
        let body = upload::body(receive, length).await;
        let Ok(response) = handle(worker, client, watch, Request::from_parts(parts, body)).await;
        response
    };
    if let Err(error) = respond(&mut send, response).await {
        debug!("the response broke off: {error}");
        send.stop_stream(Code::H3_INTERNAL_ERROR);
    }
}

/// Whether a field section has nothing that belongs to a connection of HTTP/1.1 (RFC 9114, section 4.2).
fn is_proper(headers: &HeaderMap) -> bool {
    let of_connections = [CONNECTION, TRANSFER_ENCODING, UPGRADE];
    !of_connections.iter().any(|name| headers.contains_key(name))
        && !headers.contains_key("keep-alive")
        && !headers.contains_key("proxy-connection")
        && headers.get_all(TE).iter().all(|value| value == "trailers")
}

/// Sends a response as fast as the client takes it.
async fn respond(
    send: &mut RequestStream<h3_quinn::SendStream<Bytes>, Bytes>,
    response: Response<Body>,
) -> Result<(), String> {
    let text = |error: h3::error::StreamError| error.to_string();
    let (mut parts, mut body) = response.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        parts.headers.remove(name);
    }
    // The other versions of HTTP have it from hyper.
    if !parts.headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(std::time::SystemTime::now()))
    {
        parts.headers.insert(DATE, now);
    }
    send.send_response(Response::from_parts(parts, ())).await.map_err(text)?;
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| error.to_string())?.into_data() {
            Ok(data) => send.send_data(data).await.map_err(text)?,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => send.send_trailers(trailers).await.map_err(text)?,
                Err(_) => continue,
            },
        }
    }
    send.finish().await.map_err(text)
}
