//! An HTTP client whose bodies are fed chunk by chunk, for HTTP/1.1 and HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::upstream::Body;

/// Where a test feeds a body; it ends when this is dropped.
pub type Feed = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;

/// A body that the test feeds, with room for one chunk.
pub fn fed() -> (Feed, Body) {
    let (feed, frames) = mpsc::channel(1);
    (feed, Fed(frames).boxed())
}

struct Fed(mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>);

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx)
    }
}

/// A client with one connection.
pub enum Peer {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Peer {
    /// Connects and speaks HTTP/1.1.
    pub async fn http1(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    /// Connects and speaks HTTP/2.
    pub async fn http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Sends a request for this path; HTTP/1.1 gets the same authority as `Host`.
    pub async fn try_send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => {
                request.headers_mut().insert("host", "test".parse().unwrap());
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let path = request.uri().clone();
                *request.uri_mut() = format!("http://test{path}").parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// The same, where it must succeed.
    pub async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// Sends a GET and returns the body of the answer.
    pub async fn get(&mut self, path: &str) -> String {
        let response = self.send(Request::get(path).body(super::upstream::full("")).unwrap()).await;
        assert!(response.status().is_success(), "{response:?}");
        text(response.into_body()).await
    }
}

/// A whole body as text.
pub async fn text(body: Incoming) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
