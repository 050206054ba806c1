//! What no guest should do, and what becomes of it.

#[path = "../../wasi-http/src/wrong/refused.rs"]
mod refused;

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::{spawn_local, wit_future, wit_stream};

use super::{fields, header, no_trailers, onward, respond, text};
use refused::{refused, room};

/// Answers requests for these paths; the number that some need is behind a question mark.
pub(crate) async fn answer(path: &str, request: &Request) -> Response {
    let target = request.get_path_with_query().unwrap_or_default();
    let number = target.split_once('?').and_then(|(_, number)| number.parse().ok()).unwrap_or_default();
    match path {
        "/set-status" => status(number),
        "/refused" => {
            let (request, _) = Request::new(Fields::new(), None, no_trailers(), None);
            text(200, &refused(&request, &request.get_headers()))
        }
        "/many-fields" => text(200, &room().to_string()),
        "/longer" => body(200, &[("content-length", "5")], b"seven b"),
        "/bodiless" => body(number, &[], b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"),
        "/dropped" => dropped(),
        "/endless" => endless(),
        "/many" => text(200, &many(&header(request, "x-url"), number).await),
        _ => text(404, "no such thing"),
    }
}

fn status(status: u16) -> Response {
    let (response, _) = Response::new(Fields::new(), None, no_trailers());
    if response.set_status_code(status).is_err() {
        return text(200, "refused");
    }
    response
}

fn body(status: u16, headers: &[(&str, &str)], bytes: &'static [u8]) -> Response {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move { drop(writer.write_all(bytes.to_vec()).await) });
    respond(status, fields(headers), Some(reader), no_trailers())
}

/// Gives up in the middle of its body.
fn dropped() -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        drop(writer.write_all(b"the first half".to_vec()).await);
        drop(writer);
        drop(end.write(Err(ErrorCode::InternalError(None))).await);
    });
    respond(200, Fields::new(), Some(reader), ended)
}

/// Goes on until nobody takes it.
fn endless() -> Response {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move { while writer.write_all(vec![b'a'; 4096]).await.is_empty() {} });
    respond(200, Fields::new(), Some(reader), no_trailers())
}

/// Asks a server so many times at once.
async fn many(url: &str, number: u16) -> String {
    type Sent = Pin<Box<dyn Future<Output = Result<Response, String>>>>;
    let send = |_| -> Sent {
        let request = onward(url, None, no_trailers(), &Method::Get).unwrap();
        Box::pin(async move { client::send(request).await.map_err(|error| error.to_string()) })
    };
    let mut sent = (0..number).map(send).collect::<Vec<_>>();
    let (mut answered, mut refused, mut reason) = (0, 0, String::new());
    std::future::poll_fn(|cx| {
        sent.retain_mut(|sent| match sent.as_mut().poll(cx) {
            Poll::Ready(Ok(_)) => {
                answered += 1;
                false
            }
            Poll::Ready(Err(error)) => {
                refused += 1;
                reason = error;
                false
            }
            Poll::Pending => true,
        });
        if sent.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    format!("{answered} {refused} {reason}")
}
