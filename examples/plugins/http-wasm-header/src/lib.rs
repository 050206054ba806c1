//! Adds a header to requests, in the ABI of Traefik's plugins.
#![cfg(target_family = "wasm")]

use http_wasm_guest::host::{Request, Response};
use http_wasm_guest::{Guest, register};

struct Handler;

impl Guest for Handler {
    fn handle_request(&self, request: &Request, _: &Response) -> (bool, i32) {
        request.header.set(b"x-http-wasm", b"seen");
        (true, 0)
    }
}

/// The host calls this once, before any request.
#[expect(unsafe_code, reason = "the ABI asks for an export of this name")]
#[unsafe(no_mangle)]
pub extern "C" fn _start() {
    register(Handler);
}
