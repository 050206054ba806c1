//! Answers requests by `wasi:http` 0.3, as its path says.

#![cfg(target_family = "wasm")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a guest prints is a log")]
#![allow(unsafe_code, reason = "what exports the handler is made by a macro of another crate")]

mod wrong;

use std::cell::Cell;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers};
use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use wasip3::{spawn_local, wit_future, wit_stream};

wasip3::http::service::export!(Guest);

struct Guest;

thread_local! {
    static REQUESTS: Cell<usize> = const { Cell::new(0) };
    static AT_A_TIME: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

type Ended = FutureReader<Result<Option<Trailers>, ErrorCode>>;

impl wasip3::exports::http::handler::Guest for Guest {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        REQUESTS.set(REQUESTS.get() + 1);
        let path = request.get_path_with_query().unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/hello" => Ok(text(200, "hello from 0.3\n")),
            "/count" => Ok(text(200, &REQUESTS.get().to_string())),
            "/target" => Ok(text(200, &target(&request))),
            "/echo" => Ok(echo(request)),
            "/forward" => forward(request).await,
            "/fetch" => Ok(text(200, &fetch(&header(&request, "x-url")).await)),
            "/environment" => Ok(environment()),
            "/together" => Ok(together(&header(&request, "x-url")).await),
            "/most" => Ok(text(200, &MOST.get().to_string())),
            "/error" => Err(ErrorCode::InternalError(Some("by choice".to_owned()))),
            "/trap" => panic!("by choice"),
            "/trap-in-body" => Ok(trap_in_body(request)),
            "/loop" => endless(),
            "/memory" => Ok(text(200, &vec![1_u8; 1 << 30].len().to_string())),
            "/sleep" => {
                println!("sleeps");
                wait_for(3_600_000_000_000).await;
                Ok(text(200, "at last"))
            }
            other => Ok(wrong::answer(other, &request).await),
        }
    }
}

fn header(request: &Request, name: &str) -> String {
    let values = request.get_headers().get(name);
    String::from_utf8_lossy(values.first().map_or(&[][..], |value| value)).into_owned()
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let fields = Fields::new();
    for (name, value) in pairs {
        fields.append(name, value.as_bytes()).unwrap();
    }
    fields
}

/// Trailers that are none.
fn no_trailers() -> Ended {
    wit_future::new(|| Ok(None)).1
}

fn respond(status: u16, headers: Fields, body: Option<StreamReader<u8>>, end: Ended) -> Response {
    let (response, _) = Response::new(headers, body, end);
    response.set_status_code(status).unwrap();
    response
}

fn text(status: u16, text: &str) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let bytes = text.as_bytes().to_vec();
    let headers = fields(&[("content-type", "text/plain"), ("content-length", &bytes.len().to_string())]);
    spawn_local(async move { drop(writer.write_all(bytes).await) });
    respond(status, headers, Some(reader), no_trailers())
}

fn target(request: &Request) -> String {
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        _ => "none",
    };
    let method = match request.get_method() {
        Method::Get => "GET".to_owned(),
        Method::Other(other) => other,
        _ => "else".to_owned(),
    };
    let authority = request.get_authority().unwrap_or_default();
    format!("{method} {scheme}://{authority}{}", request.get_path_with_query().unwrap_or_default())
}

/// Gives the body back as it comes, and the trailers behind it.
fn echo(request: Request) -> Response {
    let (_, done) = wit_future::new(|| Ok(()));
    let (mut input, trailers) = Request::consume_body(request, done);
    let (mut output, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        let mut buffer = Vec::with_capacity(16 << 10);
        loop {
            let (result, bytes) = input.read(buffer).await;
            let length = bytes.len();
            let left = output.write_all(bytes).await;
            if !left.is_empty() || !matches!(result, StreamResult::Complete(_)) || length == 0 {
                break;
            }
            buffer = left;
            buffer.reserve(16 << 10);
        }
        drop(output);
        let mut trailers = trailers.await;
        if let Ok(Some(all)) = &trailers {
            let mut entries = all.copy_all();
            entries.push(("x-by".to_owned(), b"guest".to_vec()));
            trailers = Ok(Some(Fields::from_list(&entries).unwrap()));
        }
        drop(end.write(trailers).await);
    });
    respond(200, fields(&[("trailer", "x-sum, x-by")]), Some(reader), ended)
}

fn onward(url: &str, body: Option<StreamReader<u8>>, end: Ended, method: &Method) -> Result<Request, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (request, _) = Request::new(Fields::new(), body, end, None);
    request.set_method(method).map_err(|()| "method")?;
    request.set_scheme(Some(if scheme == "https" { &Scheme::Https } else { &Scheme::Http })).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(|()| "path")?;
    Ok(request)
}

/// What a server says, or why it says nothing.
async fn fetch(url: &str) -> String {
    let fetched = async {
        let request = onward(url, None, no_trailers(), &Method::Get)?;
        let response = client::send(request).await.map_err(|error| error.to_string())?;
        let status = response.get_status_code();
        let (_, done) = wit_future::new(|| Ok(()));
        let (body, end) = Response::consume_body(response, done);
        let bytes = body.collect().await;
        end.await.map_err(|error| format!("the answer broke off: {error}"))?;
        Ok::<_, String>(format!("{status} {}", String::from_utf8_lossy(&bytes)))
    };
    fetched.await.unwrap_or_else(|reason| format!("failed: {reason}"))
}

/// Lets another server answer, with the bodies as they are.
async fn forward(request: Request) -> Result<Response, ErrorCode> {
    let url = header(&request, "x-url");
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, end) = Request::consume_body(request, done);
    client::send(onward(&url, Some(body), end, &Method::Post).unwrap()).await
}

/// Counts how many of these are in hand at a time, while a server thinks about them.
async fn together(url: &str) -> Response {
    AT_A_TIME.set(AT_A_TIME.get() + 1);
    MOST.set(MOST.get().max(AT_A_TIME.get()));
    let said = fetch(url).await;
    AT_A_TIME.set(AT_A_TIME.get() - 1);
    text(200, &said)
}

fn environment() -> Response {
    println!("on stdout");
    eprintln!("on stderr");
    let region = std::env::var("REGION").unwrap_or_default();
    text(200, &format!("region={region} variables={}", std::env::vars().count()))
}

/// Fails in the middle of its answer, when the request has ended.
fn trap_in_body(request: Request) -> Response {
    let (_, done) = wit_future::new(|| Ok(()));
    let (input, _) = Request::consume_body(request, done);
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        drop(writer.write_all(b"the first half".to_vec()).await);
        drop(input.collect().await);
        panic!("by choice");
    });
    respond(200, Fields::new(), Some(reader), no_trailers())
}

fn endless() -> Result<Response, ErrorCode> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}
