//! The benchmark's filter in the http-wasm ABI: reads one request header, sets one request header and one response
//! header.
#![cfg(target_family = "wasm")]

use http_wasm_guest::host::{Request, Response, admin, feature};
use http_wasm_guest::{Guest, register};

struct Filter;

impl Guest for Filter {
    fn handle_request(&self, request: &Request, response: &Response) -> (bool, i32) {
        if request.header.get(b"x-api-key").is_none_or(|key| &key[..] != b"secret") {
            response.set_status(401);
            response.header.set(b"www-authenticate", b"key");
            response.body.write(b"denied\n");
            return (false, 0);
        }
        request.header.set(b"x-user", b"alice");
        (true, 0)
    }

    fn handle_response(&self, _: i32, _: &Request, response: &Response, _: bool) {
        response.header.set(b"x-proxied-by", b"wasm");
    }
}

/// The host calls this once, before any request.
#[expect(unsafe_code, reason = "the ABI asks for an export of this name")]
#[unsafe(no_mangle)]
pub extern "C" fn _start() {
    // Traefik lets a guest change response headers only when it buffers the response.
    admin::enable(feature::BufferResponse);
    register(Filter);
}
