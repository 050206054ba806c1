//! Says hello, and who asked for what.

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "what exports the handler is made by a macro of another crate")]

use std::io::Write;

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

wasip2::http::proxy::export!(Hello);

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let name = std::env::var("NAME").unwrap_or_else(|_| "nobody".to_owned());
        let path = request.path_with_query().unwrap_or_default();
        let mut stream = body.write().expect("the stream is taken once");
        // Whoever asked may have gone away.
        let _ = writeln!(stream, "hello from {name}, you asked for {path}");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
