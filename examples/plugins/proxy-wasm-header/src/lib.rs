//! Adds a header to requests, in the ABI of Envoy's filters.
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(Filter));
}}

struct Filter;

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_request_header("x-proxy-wasm", Some("seen"));
        Action::Continue
    }
}
