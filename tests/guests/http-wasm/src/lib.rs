//! A test guest of the http-wasm ABI: does what the request header `x-do` says.

#![cfg(target_family = "wasm")]

use http_wasm_guest::host::{Request, Response, admin, feature, log};
use http_wasm_guest::{Guest, register};

struct Doer;

/// What `handle_request` tells `handle_response`.
const CHANGE_RESPONSE: i32 = 7;
const CHANGE_TOO_LATE: i32 = 8;
const SAY_ERROR: i32 = 9;

impl Guest for Doer {
    fn handle_request(&self, request: &Request, response: &Response) -> (bool, i32) {
        let wanted = request.header.get(b"x-do").unwrap_or_default();
        if tells(&wanted, request, response) {
            return (false, 0);
        }
        match &wanted[..] {
            b"log" => {
                log::write(1, b"a warning of the guest");
                (true, 0)
            }
            b"consume" => {
                let length = request.body.read().len().to_string();
                request.header.set(b"x-length", length.as_bytes());
                (true, 0)
            }
            b"peek" => {
                admin::enable(feature::BufferRequest);
                let length = request.body.read().len().to_string();
                request.header.set(b"x-length", length.as_bytes());
                (true, 0)
            }
            b"rewrite" => {
                let body = request.body.read().to_ascii_uppercase();
                request.set_method(b"PUT");
                request.set_uri(b"/rewritten?by=guest");
                request.body.write(&body);
                (true, 0)
            }
            b"answer" => {
                response.set_status(418);
                response.header.set(b"x-made-by", b"guest");
                response.body.write(b"two ");
                response.body.write(b"pieces");
                (false, 0)
            }
            b"before" => {
                response.header.set(b"x-before", b"guest");
                response.body.write(b"before, ");
                (true, 0)
            }
            b"after" => {
                admin::enable(feature::BufferResponse);
                (true, CHANGE_RESPONSE)
            }
            b"late" => (true, CHANGE_TOO_LATE),
            b"error" => {
                admin::enable(feature::BufferResponse);
                (true, SAY_ERROR)
            }
            b"spin" => loop {
                std::hint::spin_loop();
            },
            b"grow" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&kept);
                }
            }
            _ => (true, 0),
        }
    }

    fn handle_response(&self, context: i32, _request: &Request, response: &Response, is_error: bool) {
        match context {
            CHANGE_RESPONSE => {
                let body = response.body.read();
                let status = response.status();
                response.set_status(203);
                response.header.set(b"x-status", status.to_string().as_bytes());
                response.header.remove(b"x-upstream");
                response.body.write(b"after: ");
                response.body.write(&body);
            }
            CHANGE_TOO_LATE => response.header.set(b"x-late", b"guest"),
            SAY_ERROR => response.header.set(b"x-error", is_error.to_string().as_bytes()),
            _ => {}
        }
    }
}

/// Answers with what the guest is told, where that is what is wanted.
fn tells(wanted: &[u8], request: &Request, response: &Response) -> bool {
    match wanted {
        b"config" => {
            response.body.write(&admin::config());
        }
        b"info" => {
            let parts = [request.method(), request.uri(), request.version(), request.source_addr()];
            response.body.write(&parts.join(&b' '));
        }
        b"levels" => {
            let levels = [-1, 0, 1, 2, 3].map(|level| if log::enabled(level) { b'1' } else { b'0' });
            response.body.write(&levels);
        }
        b"fields" => {
            let mut names = request.header.names();
            names.sort();
            for name in names {
                let line = [&name[..], &request.header.values(&name).join(&b',')].join(&b'=');
                response.body.write(&[&line, &b"\n"[..]].concat());
            }
        }
        _ => return false,
    }
    true
}

/// Called once, before the first request.
#[expect(unsafe_code, reason = "a reactor's start has a fixed name")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    register(Doer);
}
