//! A request that asks its endpoint for another protocol than HTTP. It gets a connection of its own: when the endpoint
//! agrees, the connection is the tunnel; when it does not, its answer passes on and the connection serves others.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use hyper::client::conn::http1::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::slot::{Failure, Flight, Terms};
use super::{Driver, Link, finish, log_end, open};
use crate::http::Body;
use crate::http::upgrade::{Duplex, Switched};

/// Sends the request, and waits for the head of its response. One with status 101 carries the tunnel.
pub(super) async fn exchange(
    flight: Flight,
    request: Box<Request<Body>>,
    terms: &Terms<'_>,
) -> Result<Response<Body>, Failure> {
    let slot = &flight.slot;
    let Link { mut sender, driver, relay, life } = match open(slot, terms).await {
        Ok(link) => link,
        Err(error) => return Err(Failure { error, unsent: Some(request) }),
    };
    // Nobody but the holder drives a new connection.
    let Driver::Holder(mut connection) = driver else {
        return Err(Failure { error: slot.closed(), unsent: Some(request) });
    };
    let mut driven = Driven { connection: &mut connection, ended: false };
    let mut sent = pin!(sender.try_send_request(*request));
    let response = poll_fn(|cx| {
        driven.drive(cx);
        sent.as_mut().poll(cx)
    });
    let response = match response.await {
        Ok(response) => response,
        Err(mut failed) => {
            let unsent = failed.take_message().map(Box::new);
            return Err(Failure { error: slot.explain(failed.into_error(), &terms.watch), unsent });
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let driver = if driven.ended { Driver::Ended } else { Driver::Holder(connection) };
        return finish(response, Link { sender, driver, relay, life }, flight);
    }
    poll_fn(|cx| if driven.drive(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    let (parts, _) = response.into_parts();
    let rest = connection.into_parts();
    let mut response = Response::from_parts(parts, Body::Empty);
    let tunnel = Tunnel { io: rest.io.into_inner(), read: rest.read_buf, _flight: flight };
    response.extensions_mut().insert(Switched::new(tunnel));
    Ok(response)
}

/// Drives a connection that must outlive its end.
struct Driven<'a, T: hyper::rt::Read + hyper::rt::Write> {
    connection: &'a mut Connection<T, Body>,
    ended: bool,
}

impl<T: hyper::rt::Read + hyper::rt::Write + Unpin> Driven<'_, T> {
    /// Whether it has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended
            && let Poll::Ready(ended) = Pin::new(&mut *self.connection).poll(cx)
        {
            log_end(ended);
            self.ended = true;
        }
        self.ended
    }
}

/// The endpoint's side of a tunnel, which counts as a request in flight to the end.
struct Tunnel<T> {
    io: T,
    /// What came behind the response.
    read: Bytes,
    _flight: Flight,
}

impl<T: Duplex> AsyncRead for Tunnel<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<T: Duplex> AsyncWrite for Tunnel<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
