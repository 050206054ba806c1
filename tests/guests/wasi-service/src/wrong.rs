//! What no guest should do, and what becomes of it.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::{spawn_local, wit_future, wit_stream};

use super::{fields, header, no_trailers, onward, respond, text};

/// Answers requests for these paths; the number that some need is behind a question mark.
pub(crate) async fn answer(path: &str, request: &Request) -> Response {
    let target = request.get_path_with_query().unwrap_or_default();
    let number = target.split_once('?').and_then(|(_, number)| number.parse().ok()).unwrap_or_default();
    match path {
        "/set-status" => status(number),
        "/refused" => text(200, &refused()),
        "/many-fields" => text(200, &many_fields().to_string()),
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

/// What of these the host does not take.
fn refused() -> String {
    let fields = Fields::new();
    let names =
        ["host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "", "x a", "x\n"];
    let names = names.into_iter().filter(|name| fields.append(name, b"1").is_err()).map(str::trim).collect::<Vec<_>>();
    let values = ["a\r\nb", "a\0", "fine"];
    let values = values.iter().filter(|value| fields.append("x-a", value.as_bytes()).is_err()).count();
    let lengths = ["+5", "-5", "5, 5", "0x5", "", "5"];
    let lengths = lengths.iter().filter(|length| fields.append("content-length", length.as_bytes()).is_err()).count();
    let second = fields.append("content-length", b"6").is_err();
    let (request, _) = Request::new(Fields::new(), None, no_trailers(), None);
    let methods = ["G T", "", "GET\r\nx: y", "PURGE"];
    let methods =
        methods.iter().filter(|name| request.set_method(&Method::Other((**name).to_owned())).is_err()).count();
    let paths = ["x", "http://other/", "/a b", "/\r\nx: y", "/fine"];
    let paths = paths.iter().filter(|path| request.set_path_with_query(Some(path)).is_err()).count();
    let hosts = ["a b", "a/b", "", "a\r\nx: y", "fine:80"];
    let hosts = hosts.iter().filter(|host| request.set_authority(Some(host)).is_err()).count();
    let schemes = ["a b", "", "fine"];
    let schemes =
        schemes.iter().filter(|name| request.set_scheme(Some(&Scheme::Other((**name).to_owned()))).is_err()).count();
    let immutable = request.get_headers().append("x-a", b"1").is_err();
    format!(
        "{} values={values} lengths={lengths} second={second} methods={methods} paths={paths} hosts={hosts} \
         schemes={schemes} immutable={immutable}",
        names.join(",")
    )
}

/// How many fields of a kilobyte there is room for.
fn many_fields() -> usize {
    let (fields, value) = (Fields::new(), [b'a'; 1024]);
    (0..1000).take_while(|number| fields.append(&format!("x-{number}"), &value).is_ok()).count()
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
