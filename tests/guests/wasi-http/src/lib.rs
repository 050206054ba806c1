//! Answers requests by `wasi:http` 0.2, as its path says.

#![cfg(target_family = "wasm")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a guest prints is a log")]
#![allow(unsafe_code, reason = "what exports the handler is made by a macro of another crate")]

mod wrong;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

wasip2::http::proxy::export!(Guest);

struct Guest;

static REQUESTS: AtomicUsize = AtomicUsize::new(0);

impl wasip2::exports::http::incoming_handler::Guest for Guest {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.path_with_query().unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/hello" => text(out, 200, "hello from 0.2\n"),
            "/count" => text(out, 200, &count.to_string()),
            "/target" => text(out, 200, &target(&request)),
            "/headers" => headers(&request, out),
            "/echo" => echo(&request, out),
            "/forward" => forward(&request, out),
            "/fetch" => text(out, 200, &fetch(&header(&request, "x-url"))),
            "/environment" => environment(out),
            "/status" => text(out, 418, "teapot"),
            "/lies" => lies(out),
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("by choice".to_owned())))),
            "/silent" => drop(out),
            "/trap" => panic!("by choice"),
            "/trap-in-body" => trap_in_body(&request, out),
            "/loop" => endless(),
            "/memory" => text(out, 200, &vec![1_u8; 1 << 30].len().to_string()),
            "/sleep" => never(),
            "/afterwards" => afterwards(out),
            "/resources" => resources(out),
            other => wrong::answer(other, &request, out),
        }
    }
}

fn header(request: &IncomingRequest, name: &str) -> String {
    let values = request.headers().get(name);
    String::from_utf8_lossy(values.first().map_or(&[][..], |value| value)).into_owned()
}

/// A response whose head is on its way, and its body.
fn begin(out: ResponseOutparam, status: u16, headers: Fields) -> OutgoingBody {
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    body
}

fn text(out: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    headers.set("content-type", &[b"text/plain".to_vec()]).unwrap();
    headers.set("content-length", &[text.len().to_string().into_bytes()]).unwrap();
    let body = begin(out, status, headers);
    let mut stream = body.write().unwrap();
    // Whoever asked by HEAD reads nothing.
    let _ = stream.write_all(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn target(request: &IncomingRequest) -> String {
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        _ => "none",
    };
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Other(other) => other,
        _ => "else".to_owned(),
    };
    let (authority, path) = (request.authority().unwrap_or_default(), request.path_with_query().unwrap_or_default());
    format!("{method} {scheme}://{authority}{path}")
}

/// Gives the request's fields back that begin with `x-`, and one of its own.
fn headers(request: &IncomingRequest, out: ResponseOutparam) {
    let headers = Fields::new();
    for (name, value) in request.headers().entries().into_iter().filter(|(name, _)| name.starts_with("x-")) {
        headers.append(&name, &value).unwrap();
    }
    headers.append("set-cookie", b"a=1").unwrap();
    headers.append("set-cookie", b"b=2").unwrap();
    let refused = headers.append("connection", b"close").is_err();
    headers.append("x-connection-refused", refused.to_string().as_bytes()).unwrap();
    drop(OutgoingBody::finish(begin(out, 200, headers), None));
}

/// Gives the body back as it comes, and the trailers behind it.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().unwrap();
    let headers = Fields::new();
    headers.set("trailer", &[b"x-sum, x-by".to_vec()]).unwrap();
    let body = begin(out, 200, headers);
    let trailers = copy(incoming, &body);
    if let Some(trailers) = &trailers {
        trailers.append("x-by", b"guest").unwrap();
    }
    OutgoingBody::finish(body, trailers).unwrap();
}

/// Copies a body; the trailers behind it are given back.
fn copy(from: IncomingBody, to: &OutgoingBody) -> Option<Fields> {
    let (input, mut output) = (from.stream().unwrap(), to.write().unwrap());
    loop {
        match input.blocking_read(16 << 10) {
            Ok(bytes) => output.write_all(&bytes).unwrap(),
            Err(StreamError::Closed) => break,
            Err(error) => {
                eprintln!("the body broke off: {error}");
                break;
            }
        }
        output.flush().unwrap();
    }
    drop((input, output));
    let trailers = IncomingBody::finish(from);
    trailers.subscribe().block();
    // Those that came cannot be changed.
    trailers.get()?.ok()?.ok()?.map(|trailers| Fields::from_list(&trailers.entries()).unwrap())
}

fn begin_request(url: &str, method: &Method) -> Result<OutgoingRequest, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(method).map_err(|()| "method")?;
    request.set_scheme(Some(if scheme == "https" { &Scheme::Https } else { &Scheme::Http })).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(|()| "path")?;
    Ok(request)
}

fn answered(sent: &wasip2::http::types::FutureIncomingResponse) -> Result<IncomingResponse, String> {
    sent.subscribe().block();
    let response = sent.get().ok_or("nothing")?.map_err(|()| "taken")?;
    response.map_err(|error| error.to_string())
}

/// What a server says, or why it says nothing.
fn fetch(url: &str) -> String {
    let fetched = || {
        let request = begin_request(url, &Method::Get)?;
        let sent = outgoing_handler::handle(request, None).map_err(|error| error.to_string())?;
        let response = answered(&sent)?;
        let body = response.consume().map_err(|()| "no body")?;
        let mut text = String::new();
        let read = body.stream().map_err(|()| "no stream")?.read_to_string(&mut text);
        read.map_err(|error| format!("the answer broke off: {error}"))?;
        Ok::<_, String>(format!("{} {text}", response.status()))
    };
    fetched().unwrap_or_else(|reason| format!("failed: {reason}"))
}

/// Lets another server answer: both bodies flow as they come.
fn forward(request: &IncomingRequest, out: ResponseOutparam) {
    let onward = begin_request(&header(request, "x-url"), &Method::Post).unwrap();
    let body = onward.body().unwrap();
    let sent = outgoing_handler::handle(onward, None).unwrap();
    let trailers = copy(request.consume().unwrap(), &body);
    OutgoingBody::finish(body, trailers).unwrap();
    let response = answered(&sent).unwrap();
    let body = begin(out, response.status(), Fields::new());
    let trailers = copy(response.consume().unwrap(), &body);
    OutgoingBody::finish(body, trailers).unwrap();
}

fn environment(out: ResponseOutparam) {
    println!("on stdout");
    eprintln!("on stderr");
    let file = std::fs::read("/etc/hostname").is_ok();
    let region = std::env::var("REGION").unwrap_or_default();
    text(out, 200, &format!("region={region} variables={} file={file}", std::env::vars().count()));
}

/// Says that more comes than does.
fn lies(out: ResponseOutparam) {
    let headers = Fields::new();
    headers.set("content-length", &[b"100".to_vec()]).unwrap();
    let body = begin(out, 200, headers);
    body.write().unwrap().write_all(b"short").unwrap();
    drop(OutgoingBody::finish(body, None));
}

/// Fails in the middle of its answer, when the request has ended.
fn trap_in_body(request: &IncomingRequest, out: ResponseOutparam) {
    let body = begin(out, 200, Fields::new());
    let mut stream = body.write().unwrap();
    stream.write_all(b"the first half").unwrap();
    stream.flush().unwrap();
    let incoming = request.consume().unwrap();
    let input = incoming.stream().unwrap();
    while input.blocking_read(100).is_ok() {}
    panic!("by choice");
}

fn endless() {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}

/// Never answers.
fn never() {
    println!("sleeps");
    subscribe_duration(3_600_000_000_000).block();
}

/// Goes on after its answer.
fn afterwards(out: ResponseOutparam) {
    text(out, 200, "answered");
    subscribe_duration(10_000_000).block();
    println!("afterwards");
}

/// Asks for more things than it may have.
fn resources(out: ResponseOutparam) {
    let mut all = Vec::new();
    for _ in 0..100_000 {
        all.push(Fields::new());
    }
    text(out, 200, &all.len().to_string());
}
