//! Upstreams against real peers, most of which misbehave.

mod broken;
mod choice;
mod http1;
mod http2;
mod peer;
mod reuse;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body::Frame;
use http_body_util::BodyExt;

use super::*;
use crate::config::{self, Backend, Balance, Endpoint, Fallback, HashKey, Policy, Protocol};
use crate::http::{Body, BodyError};

/// An upstream of these addresses.
fn config(addresses: &[SocketAddr]) -> config::Upstream {
    let endpoint = |address: &SocketAddr| Endpoint {
        authority: address.to_string().parse().expect("an address is an authority"),
        socket: None,
        labels: BTreeMap::new(),
        weight: 1,
        priority: 0,
    };
    config::Upstream {
        backend: Backend::Endpoints(addresses.iter().map(endpoint).collect()),
        balance: Balance::default(),
        health: None,
        outliers: None,
        protocol: Protocol::Http1,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        idle_connections: 128,
        sending: config::Sending::default(),
    }
}

/// A cluster for one worker.
fn cluster(addresses: &[SocketAddr]) -> Cluster {
    Cluster::new("users", &config(addresses), None, 1)
}

fn request(method: Method, body: Body) -> Box<Request<Body>> {
    let request = Request::builder().method(method).uri("/a/b?c=d").header("host", "example.com");
    Box::new(request.body(body).expect("a request"))
}

fn get() -> Box<Request<Body>> {
    request(Method::GET, Body::Empty)
}

fn post(text: &'static str) -> Box<Request<Body>> {
    request(Method::POST, Body::full(text))
}

/// Labels that the endpoint must have.
fn to(subset: &[(String, String)]) -> Hint<'_> {
    Hint { subset, ..Hint::default() }
}

/// The response's body as text.
async fn text(sent: Sent) -> Result<String, BodyError> {
    let body = sent.response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Sends a request to which there must be an answer, and gives its body.
async fn ask(cluster: &Cluster, request: Box<Request<Body>>) -> String {
    text(cluster.send(0, request, Hint::default()).await.expect("a response")).await.expect("a whole body")
}

/// A body of these frames, as it would come from a client.
struct Frames(Vec<Result<Frame<Bytes>, BodyError>>);

impl Frames {
    fn body(mut frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Body {
        frames.reverse();
        Body::layered(Self(frames))
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.get_mut().0.pop())
    }
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn trailers(name: &'static str, value: &'static str) -> Result<Frame<Bytes>, BodyError> {
    let mut map = HeaderMap::new();
    map.insert(name, http::HeaderValue::from_static(value));
    Ok(Frame::trailers(map))
}
