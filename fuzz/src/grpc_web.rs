//! gRPC-Web in both directions: Base64 that comes in any pieces, and trailers that become a message.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gofe::http::grpc::{Form, web};
use gofe::http::{Body, BodyError};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt;

use crate::plugin::RUNTIME;

/// A body of these pieces, and the last of them as a trailer.
struct Pieces(Vec<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(piece) = self.0.pop() else { return Poll::Ready(None) };
        if !self.0.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let trailers = HeaderValue::from_maybe_shared(piece).ok();
        let trailers = trailers.map(|value| (HeaderName::from_static("grpc-message"), value));
        Poll::Ready(Some(Ok(Frame::trailers(trailers.into_iter().collect()))))
    }
}

pub(crate) fn run(input: &[u8]) {
    // The first byte says how long the pieces are.
    let Some((length, input)) = input.split_first() else { return };
    let pieces = || Pieces(input.chunks(usize::from(*length).max(1)).rev().map(Bytes::copy_from_slice).collect());
    let kind =
        |kind: &'static str| HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    for (form, name) in [(Form::Web, "application/grpc-web"), (Form::WebText, "application/grpc-web-text")] {
        let request = web::request(form, &mut kind(name), Body::layered(pieces()));
        let response = web::response(form, &mut kind("application/grpc"), Body::layered(pieces()));
        for body in [request, response] {
            let _ = RUNTIME.block_on(body.collect());
        }
    }
}
