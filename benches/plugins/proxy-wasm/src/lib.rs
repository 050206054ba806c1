//! The benchmark's filter in the proxy-wasm ABI: reads one request header, sets one request header and one response
//! header.
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_http_context(|_, _| Box::new(Filter));
}}

struct Filter;

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if self.get_http_request_header_bytes("x-api-key").as_deref() != Some(b"secret") {
            self.send_http_response(401, vec![("www-authenticate", "key")], Some(b"denied\n"));
            return Action::Pause;
        }
        self.set_http_request_header("x-user", Some("alice"));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-proxied-by", Some("wasm"));
        Action::Continue
    }
}
