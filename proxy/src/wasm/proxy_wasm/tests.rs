//! Whatever a guest says, the host stands.

mod answers;
mod script;

use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use proptest::prelude::*;

use super::ProxyWasmFilter;
use crate::chain::{Exchange, FaultKind, Filter, Outcome, Phase};
use crate::wasm::fixtures::{artifact, env, exchange, runtime};
use crate::wasm::{Engine, LoadError};
use script::{ARGUMENTS, CALL, FUNCTIONS, guest};

fn load(engine: &Engine, module: &str) -> Result<ProxyWasmFilter, LoadError> {
    ProxyWasmFilter::load(engine, &artifact(engine, module), env("null"))
}

/// Runs a phase as far as it gets at once; what is paused is given up.
fn phase(filter: &ProxyWasmFilter, phase: Phase, exchange: &mut Exchange) {
    exchange.phase = phase;
    let mut call = Box::pin(filter.call(phase, exchange));
    let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// Runs the callback on the request's headers to its end: a worker's tick in the middle of it makes it give way once.
fn answered(filter: &ProxyWasmFilter, exchange: &mut Exchange) -> Outcome {
    exchange.phase = Phase::RequestHeaders;
    runtime().block_on(filter.call(Phase::RequestHeaders, exchange))
}

fn through(filter: &ProxyWasmFilter, script: &[u8]) {
    let mut exchange = exchange();
    phase(filter, Phase::RequestHeaders, &mut exchange);
    exchange.body = Bytes::copy_from_slice(script);
    exchange.body_end = script.len().is_multiple_of(3);
    phase(filter, Phase::RequestBody, &mut exchange);
    // Whatever happened, the request is whole.
    assert_eq!(exchange.route.as_ref(), "r");
    exchange.begin_response(Response::new(()).into_parts().0);
    exchange.response_open = true;
    phase(filter, Phase::ResponseHeaders, &mut exchange);
    phase(filter, Phase::Complete, &mut exchange);
}

/// Numbers that matter: small ones, places in the script, the ends of memory and of the numbers.
fn argument() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..16, 16_u32..512, Just(u32::MAX), Just(i32::MIN as u32), 131_000_u32..131_100, any::<u32>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // covers proxy-wasm: proxy_get_buffer_status, proxy_get_header_map_size, proxy_continue_response
    // covers proxy-wasm: proxy_clear_route_cache, fd_write, clock_time_get, random_get, environ_sizes_get, environ_get
    // covers proxy-wasm: args_sizes_get, args_get
    /// Any function with any arguments, in any order: the guest gets a status or its call ends, and the host stands.
    #[test]
    fn any_call_is_answered(
        calls in proptest::collection::vec((0..FUNCTIONS.len() as u32, [(); ARGUMENTS].map(|()| argument())), 1..40),
    ) {
        let engine = Engine::new().unwrap();
        let runtime = runtime();
        let _entered = runtime.enter();
        let filter = load(&engine, &guest()).unwrap();
        let script: Vec<u8> = calls
            .iter()
            .flat_map(|(function, arguments)| std::iter::once(function).chain(arguments))
            .flat_map(|number| number.to_le_bytes())
            .collect();
        prop_assert_eq!(script.len(), calls.len() * CALL);
        through(&filter, &script);
        // The next request finds a VM, the same or another.
        through(&filter, b"");
    }
}

/// A guest whose allocator and callbacks are these.
fn small(allocator: &str, body: &str) -> String {
    format!(
        "(module
            (import \"env\" \"proxy_get_header_map_value\" (func $get (param i32 i32 i32 i32 i32) (result i32)))
            (import \"env\" \"proxy_send_local_response\"
                (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export \"memory\") 1) (data (i32.const 16) \"x-a\")
            (func (export \"proxy_abi_version_0_2_0\"))
            (func $malloc (export \"malloc\") (param i32) (result i32) {allocator})
            (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) {body}))"
    )
}

/// Answers with the status that `$get` gave, added to 200.
const ASK: &str = "(drop (call $reply
    (i32.add (i32.const 200) (call $get (i32.const 0) (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 36)))
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))) i32.const 1";

#[test]
fn what_an_allocator_says_is_checked() {
    let engine = Engine::new().unwrap();
    let status = |allocator: &str| {
        let filter = load(&engine, &small(allocator, ASK)).unwrap();
        let mut exchange = exchange();
        match answered(&filter, &mut exchange) {
            Outcome::Respond => Ok(exchange.reply.as_ref().unwrap().status.as_u16() - 200),
            Outcome::Fault(fault) => Err(fault.message),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(status("i32.const 1024"), Ok(0));
    // Nothing, the last byte but one of nothing, below zero: memory that is not there.
    for nowhere in ["i32.const 0", "i32.const 65536", "i32.const -1"] {
        assert_eq!(status(nowhere), Ok(6), "{nowhere}");
    }
    assert!(status("unreachable").is_err());
    // An allocator that wants memory from the host for itself.
    let recursive = "(drop (call $get (i32.const 0) (i32.const 16) (i32.const 3) (i32.const 40) (i32.const 44)))
        (i32.add (i32.const 1024) (i32.load (i32.const 44)))";
    assert_eq!(status(recursive), Ok(0));
}

// covers proxy-wasm: proc_exit
#[test]
fn modules_that_do_not_keep_to_the_abi_are_refused() {
    let engine = Engine::new().unwrap();
    let refused = |module: &str| load(&engine, module).map(|_| ()).unwrap_err().to_string();
    let version = "(func (export \"proxy_abi_version_0_2_1\"))";
    let memory = "(memory (export \"memory\") 1)";
    let malloc = "(func (export \"malloc\") (param i32) (result i32) i32.const 0)";
    assert!(refused(&format!("(module {version} {malloc})")).contains("memory"));
    assert!(refused(&format!("(module {version} {memory})")).contains("malloc"));
    let wrong = "(func (export \"proxy_on_tick\") (param f32))";
    assert!(refused(&format!("(module {version} {memory} {malloc} {wrong})")).contains("proxy_on_tick"));
    let unknown = "(import \"env\" \"proxy_no_such\" (func))";
    assert!(refused(&format!("(module {unknown} {version} {memory} {malloc})")).contains("proxy_no_such"));
    let exit = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (func (export \"_start\") (call $exit (i32.const 3)))";
    let exit =
        exit.split_once(")\n").map(|(import, start)| format!("{import}) {version} {memory} {malloc} {start}")).unwrap();
    assert!(refused(&format!("(module {exit})")).contains("proc_exit(3)"));
}

// covers proxy-wasm: proxy_continue_request, proxy_get_configuration
#[test]
fn version_0_1_0_has_its_own_callbacks_and_functions() {
    let engine = Engine::new().unwrap();
    let module = "(module
        (import \"env\" \"proxy_get_configuration\" (func $get (param i32 i32) (result i32)))
        (import \"env\" \"proxy_continue_request\" (func $continue (result i32)))
        (memory (export \"memory\") 1)
        (func (export \"proxy_abi_version_0_1_0\"))
        (func (export \"malloc\") (param i32) (result i32) i32.const 1024)
        (func (export \"proxy_on_configure\") (param i32 i32) (result i32)
            (i32.eqz (call $get (i32.const 8) (i32.const 12))))
        (func (export \"proxy_on_request_headers\") (param i32 i32) (result i32) (drop (call $continue)) i32.const 1))";
    let filter = load(&engine, module).unwrap();
    assert!(matches!(answered(&filter, &mut exchange()), Outcome::Continue));
}

/// Calls hold their worker up for their limit at the most, and never two of them in a row.
#[test]
fn others_have_their_turn_between_two_calls_that_take_long() {
    let engine = Engine::new().unwrap();
    let looping = small("i32.const 1024", "(loop $again (br $again)) i32.const 0");
    let mut env = env("null");
    env.limits.time = Duration::from_millis(5);
    let filter = ProxyWasmFilter::load(&engine, &artifact(&engine, &looping), env).unwrap();
    let runtime = runtime();
    let (sender, events) = std::sync::mpsc::channel();
    let told = sender.clone();
    runtime.block_on(async move {
        let neighbour = tokio::spawn(async move {
            while told.send("neighbour").is_ok() {
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..3 {
            let mut exchange = exchange();
            exchange.lap();
            let outcome = filter.call(Phase::RequestHeaders, &mut exchange).await;
            assert!(matches!(outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Deadline));
            sender.send("loop").unwrap();
        }
        neighbour.abort();
    });
    let events: Vec<_> = events.try_iter().collect();
    assert_eq!(events.iter().filter(|event| **event == "loop").count(), 3);
    assert!(!events.windows(2).any(|two| two == ["loop", "loop"]), "{events:?}");
}

/// The page's table has every function and every callback, and the tests that it names are there.
#[test]
fn the_page_on_coverage_is_whole() {
    let page = include_str!("../../../../docs/proxy-wasm.md");
    let tests = [
        include_str!("tests.rs"),
        include_str!("tests/answers.rs"),
        include_str!("../../../../tests/it/proxy_wasm.rs"),
        include_str!("../../../../tests/it/proxy_wasm/bodies.rs"),
        include_str!("../../../../tests/it/proxy_wasm/bytes.rs"),
        include_str!("../../../../tests/it/proxy_wasm/callouts.rs"),
        include_str!("../../../../tests/it/proxy_wasm/lifecycle.rs"),
    ]
    .concat();
    let rows = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    for (_, name, _) in FUNCTIONS.iter().filter(|function| !matches!(function.1, "sched_yield" | "fd_close")) {
        assert!(rows(name).is_some(), "the page has no row for {name}");
    }
    let callbacks = include_str!("exports.rs").split('"').filter(|text| text.starts_with("proxy_on_"));
    for name in callbacks.filter(|name| *name != "proxy_on_memory_allocate") {
        assert!(rows(name).is_some(), "the page has no row for {name}");
    }
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        for named in row
            .split('`')
            .skip(3)
            .step_by(2)
            .filter(|word| word.matches('_').count() > 2 && !word.starts_with("proxy_"))
        {
            assert!(tests.contains(&format!("fn {named}(")), "there is no test {named}");
        }
    }
}
