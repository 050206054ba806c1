//! Host functions of proxy-wasm.

use std::sync::LazyLock;

use gofe::chain::Phase;
use gofe::wasm::ProxyWasmFilter;

use crate::plugin;

#[path = "../../proxy/src/wasm/proxy_wasm/tests/script.rs"]
mod script;

static FILTER: LazyLock<ProxyWasmFilter> = LazyLock::new(|| {
    let (engine, artifact, env) = plugin::parts(&plugin::module(&script::guest()));
    ProxyWasmFilter::load(&engine, &artifact, env).expect("the guest starts")
});

/// The guest does what the request's body says.
pub(crate) fn run(input: &[u8]) {
    let mut exchange = plugin::exchange(("x-name", "value"), input);
    exchange.body_end = input.len().is_multiple_of(2);
    plugin::call(&*FILTER, &mut exchange, &[Phase::RequestHeaders, Phase::RequestBody, Phase::Complete]);
}
