//! A test guest of the proxy-wasm ABI: what it does stands in the request's `x-test`, and what came of it in its answer.
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro makes a public function")]

mod bytes;
mod http;
mod root;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
