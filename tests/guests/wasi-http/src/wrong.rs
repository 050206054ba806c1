//! What no guest should do, and what becomes of it.

mod refused;

use std::io::Write;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest as Request, OutgoingResponse, ResponseOutparam,
    Scheme,
};

use super::{answered, begin, begin_request, header, text};
use refused::{refused, room};

/// Answers requests for these paths; the number that some need is behind a question mark.
pub(crate) fn answer(path: &str, request: &IncomingRequest, out: ResponseOutparam) {
    let target = request.path_with_query().unwrap_or_default();
    let number = target.split_once('?').and_then(|(_, number)| number.parse().ok()).unwrap_or_default();
    match path {
        "/set-status" => status(out, number),
        "/refused" => {
            let request = Request::new(Fields::new());
            text(out, 200, &refused(&request, &request.headers()));
        }
        "/many-fields" => text(out, 200, &room().to_string()),
        "/longer" => longer(out),
        "/bodiless" => bodiless(out, number),
        "/dropped" => dropped(out),
        "/overlapping" => text(out, 200, &overlapping().to_string()),
        "/endless" => endless(out),
        "/many" => text(out, 200, &many(&header(request, "x-url"), number)),
        "/order" => text(out, 200, &order(request)),
        _ => text(out, 404, "no such thing"),
    }
}

fn status(out: ResponseOutparam, status: u16) {
    let response = OutgoingResponse::new(Fields::new());
    if response.set_status_code(status).is_err() {
        return text(out, 200, "refused");
    }
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    drop(OutgoingBody::finish(body, None));
}

/// Sends more than it says.
fn longer(out: ResponseOutparam) {
    let headers = Fields::new();
    headers.set("content-length", &[b"5".to_vec()]).unwrap();
    let body = begin(out, 200, headers);
    let mut stream = body.write().unwrap();
    let _ = stream.write_all(b"seven b");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Sends a body with a response that has none.
fn bodiless(out: ResponseOutparam, status: u16) {
    let body = begin(out, status, Fields::new());
    let mut stream = body.write().unwrap();
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Gives up in the middle of its body.
fn dropped(out: ResponseOutparam) {
    let body = begin(out, 200, Fields::new());
    let mut stream = body.write().unwrap();
    stream.write_all(b"the first half").unwrap();
    stream.flush().unwrap();
    drop((stream, body));
}

/// Gives a field a thousand values, all of which are the same bytes in its memory.
#[expect(unsafe_code, reason = "in Rust a value has one owner")]
fn overlapping() -> bool {
    let mut one = std::mem::ManuallyDrop::new(vec![b'a'; 60_000]);
    // SAFETY: nobody writes to them, and nobody drops them.
    let value = |_| unsafe { Vec::from_raw_parts(one.as_mut_ptr(), one.len(), one.capacity()) };
    let values = std::mem::ManuallyDrop::new((0..1000).map(value).collect::<Vec<_>>());
    Fields::new().set("x-a", &values).is_ok()
}

/// Goes on until nobody takes it.
fn endless(out: ResponseOutparam) {
    let body = begin(out, 200, Fields::new());
    let mut stream = body.write().unwrap();
    while stream.write_all(&[b'a'; 4096]).is_ok() {}
}

/// Asks a server so many times at once.
fn many(url: &str, number: u16) -> String {
    let sent = (0..number)
        .map(|_| outgoing_handler::handle(begin_request(url, &Method::Get)?, None).map_err(|error| error.to_string()));
    let sent = sent.collect::<Vec<_>>();
    let answers = sent.iter().map(|sent| answered(sent.as_ref().map_err(Clone::clone)?));
    tell(answers.map(|answer| answer.map(drop)))
}

fn tell(answers: impl Iterator<Item = Result<(), String>>) -> String {
    let (mut answered, mut refused, mut reason) = (0, 0, String::new());
    for answer in answers {
        match answer {
            Ok(()) => answered += 1,
            Err(error) => (refused, reason) = (refused + 1, error),
        }
    }
    format!("{answered} {refused} {reason}")
}

/// Takes things twice that there are once.
fn order(request: &IncomingRequest) -> String {
    let consumed = request.consume().unwrap();
    let twice = request.consume().is_err();
    let stream = consumed.stream().unwrap();
    let streams = consumed.stream().is_err();
    drop(stream);
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().unwrap();
    let bodies = response.body().is_err();
    let writer = body.write().unwrap();
    let writers = body.write().is_err();
    drop(writer);
    format!("{twice} {streams} {bodies} {writers}")
}
