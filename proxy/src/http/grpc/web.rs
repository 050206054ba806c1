//! gRPC-Web: browsers cannot read trailers, so these are the last message of the body; and some cannot read bytes
//! either, so all of it is in Base64.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::BASE64;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::{Form, GRPC};
use crate::http::{Body, BodyError};

/// Makes gRPC of a call as browsers write it.
pub fn request(form: Form, headers: &mut HeaderMap, body: Body) -> Body {
    let prefix = if form == Form::WebText { "application/grpc-web-text" } else { "application/grpc-web" };
    rename(headers, prefix, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if form == Form::WebText && !matches!(body, Body::Empty) {
        headers.remove(CONTENT_LENGTH);
        return Body::layered(Decoded { body, rest: BytesMut::new() });
    }
    body
}

/// Makes an answer that browsers can read of one of gRPC.
pub fn response(form: Form, headers: &mut HeaderMap, body: Body) -> Body {
    let prefix = if form == Form::WebText { "application/grpc-web-text" } else { "application/grpc-web" };
    if !rename(headers, GRPC, prefix) || matches!(body, Body::Empty) {
        return body;
    }
    headers.remove(CONTENT_LENGTH);
    Body::layered(Encoded { body, text: form == Form::WebText, over: false })
}

/// Changes what the content type begins with; whether it began with that.
fn rename(headers: &mut HeaderMap, from: &str, to: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(rest) = kind.and_then(|kind| kind.strip_prefix(from)) else { return false };
    let Ok(kind) = HeaderValue::try_from(format!("{to}{rest}")) else { return false };
    headers.insert(CONTENT_TYPE, kind);
    true
}

/// A body in Base64, as bytes. Each chunk is decoded as it comes, but for the letters of a group that is not there yet.
struct Decoded {
    body: Body,
    rest: BytesMut,
}

impl Decoded {
    /// The bytes of all groups that are whole. Padding may come between groups, since a sender may encode each of its
    /// messages by itself.
    fn decode(&mut self, data: &[u8]) -> Result<Bytes, BodyError> {
        self.rest.extend_from_slice(data);
        let whole = self.rest.split_to(self.rest.len() / 4 * 4);
        let bytes = BASE64.decode(&whole).map_err(|error| BodyError::Broken(format!("no Base64: {error}")))?;
        Ok(bytes.into())
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                None if !this.rest.is_empty() => {
                    this.rest.clear();
                    return Poll::Ready(Some(Err(BodyError::Broken("the Base64 ends within a group".to_owned()))));
                }
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
                Ok(data) => match this.decode(&data) {
                    Ok(bytes) if bytes.is_empty() => {}
                    decoded => return Poll::Ready(Some(decoded.map(Frame::data))),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// A body whose trailers are its last message.
struct Encoded {
    body: Body,
    /// In Base64, each chunk by itself.
    text: bool,
    over: bool,
}

impl Encoded {
    fn write(&self, data: Bytes) -> Frame<Bytes> {
        Frame::data(if self.text { BASE64.encode(&data).into() } else { data })
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose()? else {
            this.over = true;
            return Poll::Ready(None);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                this.over = true;
                message(&frame.into_trailers().unwrap_or_default())
            }
        };
        Poll::Ready(Some(Ok(this.write(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

/// The message that trailers become: a flag, a length of four bytes, and lines as in HTTP/1.1.
fn message(trailers: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    let mut message = BytesMut::with_capacity(5 + lines.len());
    message.put_u8(0x80);
    message.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    message.extend_from_slice(&lines);
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_in_any_pieces() {
        let mut decoded = Decoded { body: Body::Empty, rest: BytesMut::new() };
        // Two messages, each encoded by itself.
        let text = b"AAAAAAFhYg==AAAAAAFj";
        let mut bytes = Vec::new();
        for piece in text.chunks(3) {
            bytes.extend_from_slice(&decoded.decode(piece).unwrap());
        }
        assert_eq!(bytes, b"\0\0\0\0\x01ab\0\0\0\0\x01c");
        assert!(decoded.rest.is_empty());
        assert!(decoded.decode(b"****").is_err());
    }

    #[test]
    fn trailers_are_a_message() {
        let trailers = HeaderMap::from_iter([(super::super::GRPC_STATUS, HeaderValue::from_static("0"))]);
        assert_eq!(&message(&trailers)[..], b"\x80\0\0\0\x10grpc-status: 0\r\n");
    }

    #[test]
    fn content_types_keep_their_format() {
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web-text+proto"))]);
        request(Form::WebText, &mut headers, Body::Empty);
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers[TE]),
            (&"application/grpc+proto".parse().unwrap(), &"trailers".parse().unwrap())
        );
        response(Form::WebText, &mut headers, Body::Empty);
        assert_eq!(headers[CONTENT_TYPE], "application/grpc-web-text+proto");
    }
}
