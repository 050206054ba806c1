//! Host functions of http-wasm.

use std::fmt::Write;
use std::sync::LazyLock;

use gofe::chain::Phase;
use gofe::wasm::HttpWasm;

use crate::plugin;

/// The bytes of a call: the function's number, and five numbers of 32 bits.
const CALL: usize = 21;

static FILTER: LazyLock<HttpWasm> = LazyLock::new(|| {
    let module = plugin::module(include_str!("../../tests/hostile/http-wasm.wat"));
    let (engine, artifact, env) = plugin::parts(&module);
    plugin::RUNTIME.block_on(HttpWasm::load(&engine, &artifact, env)).expect("the guest starts")
});

/// The guest does what a field of the request says.
pub(crate) fn run(input: &[u8]) {
    let mut program = String::new();
    for call in input.chunks_exact(CALL).take(64) {
        let _ = write!(program, "{:02x}", call[0] % 19);
        for byte in &call[1..] {
            let _ = write!(program, "{byte:02x}");
        }
    }
    let mut exchange = plugin::exchange(("x-program", &program), b"the body of a request");
    plugin::call(&*FILTER, &mut exchange, &[Phase::RequestHeaders, Phase::ResponseHeaders]);
}
