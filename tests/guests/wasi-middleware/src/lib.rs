//! Stands before another handler of `wasi:http` 0.3, and does what the request's path says.

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "what exports the handler is made by a macro of another crate")]

#[allow(missing_docs, unused_qualifications, clippy::all, reason = "made by a macro from WASI's own WIT")]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "guest",
        generate_all,
    });
}

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Fields, Method, Request, Response, Trailers};
use bindings::{wit_future, wit_stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local};

bindings::export!(Middleware with_types_in bindings);

struct Middleware;

type Ended = FutureReader<Result<Option<Trailers>, ErrorCode>>;

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        match path.as_str() {
            "/deny" => Ok(text(403, "not you")),
            "/environment" => {
                let region = std::env::var("REGION").unwrap_or_default();
                Ok(text(200, &format!("region={region} variables={}", std::env::vars().count())))
            }
            "/trap" => panic!("by choice"),
            "/trap-afterwards" => {
                drop(handler::handle(request).await);
                panic!("by choice");
            }
            // Statuses that announce another response.
            "/early" => Ok(text(103, "")),
            "/early-afterwards" => {
                drop(handler::handle(request).await);
                Ok(text(101, ""))
            }
            "/error" => Err(ErrorCode::InternalError(Some("by choice".to_owned()))),
            "/loop" => endless(),
            "/tunnel" => tunnel(request).await,
            "/twice" => twice(request).await,
            "/upper" => Ok(upper(handler::handle(upper_request(request)).await?)),
            "/replaced" => {
                drop(handler::handle(request).await);
                Ok(text(201, "another answer"))
            }
            _ => Ok(marked_response(handler::handle(marked(request)).await?)),
        }
    }
}

fn fields(entries: &[(String, Vec<u8>)], marks: &[(&str, &str)]) -> Fields {
    let fields = Fields::from_list(entries).unwrap();
    for (name, value) in marks {
        fields.append(name, value.as_bytes()).unwrap();
    }
    fields
}

fn text(status: u16, text: &str) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let bytes = text.as_bytes().to_vec();
    spawn_local(async move { drop(writer.write_all(bytes).await) });
    let (response, _) = Response::new(Fields::new(), Some(reader), wit_future::new(|| Ok(None)).1);
    response.set_status_code(status).unwrap();
    response
}

/// The same request with another body and other fields.
fn remade(request: Request, headers: Fields, change: fn(Vec<u8>) -> Vec<u8>) -> Request {
    let (method, scheme) = (request.get_method(), request.get_scheme());
    let (authority, path) = (request.get_authority(), request.get_path_with_query());
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, end) = Request::consume_body(request, done);
    let (body, end) =
        if change as usize == keep as fn(_) -> _ as usize { (body, end) } else { changed(body, end, change) };
    let (request, _) = Request::new(headers, Some(body), end, None);
    request.set_method(&method).unwrap();
    request.set_scheme(scheme.as_ref()).unwrap();
    request.set_authority(authority.as_deref()).unwrap();
    request.set_path_with_query(path.as_deref()).unwrap();
    request
}

fn keep(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn to_upper(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.make_ascii_uppercase();
    bytes
}

/// A body with each piece changed, trailers as they are.
fn changed(mut input: StreamReader<u8>, trailers: Ended, change: fn(Vec<u8>) -> Vec<u8>) -> (StreamReader<u8>, Ended) {
    let (mut output, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        loop {
            let (result, bytes) = input.read(Vec::with_capacity(16 << 10)).await;
            let over = !matches!(result, StreamResult::Complete(_));
            if !output.write_all(change(bytes)).await.is_empty() || over {
                break;
            }
        }
        drop(output);
        drop(end.write(trailers.await).await);
    });
    (reader, ended)
}

fn marked(request: Request) -> Request {
    let headers = fields(&request.get_headers().copy_all(), &[("x-request", "marked")]);
    remade(request, headers, keep)
}

fn marked_response(response: Response) -> Response {
    let headers = fields(&response.get_headers().copy_all(), &[("x-response", "marked")]);
    let status = response.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, end) = Response::consume_body(response, done);
    let (response, _) = Response::new(headers, Some(body), end);
    response.set_status_code(status).unwrap();
    response
}

fn upper_request(request: Request) -> Request {
    let headers = request.get_headers().copy_all();
    remade(request, fields(&headers, &[]), to_upper)
}

fn upper(response: Response) -> Response {
    let headers = fields(&response.get_headers().copy_all(), &[]);
    let status = response.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, end) = Response::consume_body(response, done);
    let (body, end) = changed(body, end, to_upper);
    let (response, _) = Response::new(headers, Some(body), end);
    response.set_status_code(status).unwrap();
    response
}

/// Hands the request on with the method that makes a tunnel.
async fn tunnel(request: Request) -> Result<Response, ErrorCode> {
    request.set_method(&Method::Connect).unwrap();
    match handler::handle(request).await {
        Ok(_) => Ok(text(500, "handed on")),
        Err(error) => Ok(text(200, &format!("{error:?}"))),
    }
}

/// Hands a second request on, which there is nobody for.
async fn twice(request: Request) -> Result<Response, ErrorCode> {
    let second = Request::new(Fields::new(), None, wit_future::new(|| Ok(None)).1, None).0;
    second.set_authority(Some("test")).unwrap();
    second.set_path_with_query(Some("/")).unwrap();
    let first = handler::handle(request).await?;
    match handler::handle(second).await {
        Ok(_) => Ok(text(500, "answered twice")),
        Err(error) => {
            let body = format!("{} {error:?}", first.get_status_code());
            Ok(text(200, &body))
        }
    }
}

fn endless() -> Result<Response, ErrorCode> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}
