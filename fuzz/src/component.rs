//! Host functions of gofe's own contract, called by a core module that carries its world.

use std::fmt::Write;
use std::sync::LazyLock;

use gofe::chain::Phase;
use gofe::wasm::Plugin;

use crate::plugin;

/// Every function of `wit/`: interface, name, parameters (`i` has 32 bits, `l` 64, `d` is a float), and the result.
const FUNCTIONS: [(&str, &str, &str, &str); 72] = [
    ("request", "method", "i", ""),
    ("request", "set-method", "iii", ""),
    ("request", "scheme", "i", ""),
    ("request", "authority", "i", ""),
    ("request", "set-authority", "iii", ""),
    ("request", "path-with-query", "i", ""),
    ("request", "original-path-with-query", "i", ""),
    ("request", "set-path-with-query", "iii", ""),
    ("request", "header", "iii", ""),
    ("request", "header-values", "iii", ""),
    ("request", "headers", "i", ""),
    ("request", "set-header", "iiiii", ""),
    ("request", "add-header", "iiiii", ""),
    ("request", "remove-header", "iii", ""),
    ("request", "set-headers", "iii", ""),
    ("response", "status", "", "i"),
    ("response", "set-status", "ii", ""),
    ("response", "header", "iii", ""),
    ("response", "header-values", "iii", ""),
    ("response", "headers", "i", ""),
    ("response", "set-header", "iiiii", ""),
    ("response", "add-header", "iiiii", ""),
    ("response", "remove-header", "iii", ""),
    ("response", "set-headers", "iii", ""),
    ("response", "prepare-headers", "iii", ""),
    ("body", "size", "", "l"),
    ("body", "read", "lli", ""),
    ("body", "replace", "ii", ""),
    ("reply", "send", "iiiiii", ""),
    ("reply", "fail", "ii", ""),
    ("connection", "client-address", "i", ""),
    ("connection", "client-port", "", "i"),
    ("connection", "route", "i", ""),
    ("connection", "http-version", "i", ""),
    ("connection", "tls-info", "i", ""),
    ("connection", "upstream", "i", ""),
    ("connection", "summary-so-far", "i", ""),
    ("connection", "report-so-far", "i", ""),
    ("attributes", "get", "iii", ""),
    ("attributes", "set", "iiii", "i"),
    ("attributes", "remove", "ii", ""),
    ("routing", "set-upstream", "iii", ""),
    ("routing", "set-subset", "iii", ""),
    ("routing", "has-upstream", "ii", "i"),
    ("routing", "upstream", "i", ""),
    ("routing", "set-hash-key", "iii", ""),
    ("routing", "timeout", "", "l"),
    ("routing", "set-timeout", "li", ""),
    ("routing", "retry", "i", ""),
    ("routing", "set-retry", "iiilii", ""),
    ("log", "enabled", "i", "i"),
    ("log", "log", "iii", ""),
    ("output", "write-line", "ii", "i"),
    ("clock", "now", "", "l"),
    ("clock", "monotonic", "", "l"),
    ("random", "get-u64", "", "l"),
    ("random", "get-bytes", "ii", ""),
    ("key-value", "get", "iii", ""),
    ("key-value", "set", "iiiili", ""),
    ("key-value", "delete", "iii", ""),
    ("limiter", "take", "iilllli", ""),
    ("limiter", "add", "iill", "l"),
    ("limiter", "get", "ii", "l"),
    ("metrics", "add", "iiiili", ""),
    ("metrics", "set", "iiiidi", ""),
    ("metrics", "observe", "iiiidi", ""),
    ("secrets", "get", "iii", ""),
    ("outbound", "allowed", "ii", "i"),
    ("outbound", "send", "iiiiiiiili", ""),
    // Once more, those that matter most.
    ("request", "header", "iii", ""),
    ("request", "set-headers", "iii", ""),
    ("response", "set-headers", "iii", ""),
];

/// The bytes of a call: the function's number, and ten numbers of 16 bits.
const CALL: usize = 22;

static PLUGIN: LazyLock<Plugin> = LazyLock::new(|| {
    let mut module = plugin::module(&guest());
    module.extend_from_slice(world());
    let (engine, artifact, env) = plugin::parts(&module);
    plugin::RUNTIME.block_on(Plugin::load(&engine, &artifact, env)).expect("the guest starts")
});

/// The guest does what the request's body says, and again what it says when the response is there.
pub(crate) fn run(input: &[u8]) {
    let mut exchange = plugin::exchange(("x-name", "value"), input);
    exchange.body_end = true;
    let phases = [Phase::RequestHeaders, Phase::RequestBody, Phase::ResponseHeaders, Phase::Complete];
    plugin::call(&*PLUGIN, &mut exchange, &phases);
}

/// The section that makes a module a plugin, from one that is there.
fn world() -> &'static [u8] {
    let module: &[u8] = include_bytes!("../../plugins/dist/router.wasm");
    let mut rest = &module[8..];
    while let Some((kind, after)) = rest.split_first() {
        // The section's size, in LEB128.
        let bytes = 1 + after.iter().take_while(|byte| **byte >= 0x80).count();
        let size = after[..bytes].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (section, next) = rest.split_at(1 + bytes + size);
        // The name has a byte for its length in front.
        if *kind == 0 && section[1 + bytes + 1..].starts_with(b"component-type") {
            return section;
        }
        rest = next;
    }
    unreachable!("every plugin carries its world")
}

fn types(letters: &str) -> String {
    let name = |letter| match letter {
        'l' => " i64",
        'd' => " f64",
        _ => " i32",
    };
    letters.chars().map(name).collect()
}

/// The guest as text. Its script is at 8192 and its heap behind 65536; what the host gives goes to either.
fn guest() -> String {
    let mut text = String::from("(module\n");
    for (at, (interface, name, parameters, result)) in FUNCTIONS.iter().enumerate() {
        let (parameters, result) = (types(parameters), types(result));
        let _ = writeln!(
            text,
            "(import \"gofe:plugin/{interface}@0.1.0\" \"{name}\" (func $f{at} (param{parameters}) (result{result})))"
        );
    }
    text += BEGIN;
    for (at, (_, _, parameters, result)) in FUNCTIONS.iter().enumerate() {
        let argument = |(nth, letter): (usize, char)| {
            let argument = format!("(call $argument (i32.add (local.get $at) (i32.const {})))", 2 + 2 * nth);
            match letter {
                'l' => format!("(i64.extend_i32_s {argument})"),
                'd' => format!("(f64.convert_i32_s {argument})"),
                _ => argument,
            }
        };
        let arguments: String = parameters.chars().enumerate().map(argument).collect();
        let drop = if result.is_empty() { "" } else { "drop" };
        let _ =
            writeln!(text, "(if (i32.eq (local.get $which) (i32.const {at})) (then (call $f{at} {arguments}) {drop}))");
    }
    text.replace("COUNT", &FUNCTIONS.len().to_string()) + &END.replace("CALL", &CALL.to_string())
}

/// What stands before the calls. `configure` asks for all phases but the tick, and for the request's body as it comes.
const BEGIN: &str = r#"
(memory (export "memory") 2 4)
(data (i32.const 512) "\00\00\00\00\00\00\00\00\17\00\00\00\00\00\00\00\01")
(data (i32.const 1024) "x-namevalue/path?query\01\00\00\00")
(global $top (mut i32) (i32.const 65536))
(global $length (mut i32) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32) (local $at i32)
  (if (i32.gt_u (local.get $size) (i32.const 60000)) (then unreachable))
  (if (i32.gt_u (i32.add (global.get $top) (local.get $size)) (i32.const 130000)) (then (global.set $top (i32.const 65536))))
  (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
  (local.set $at (global.get $top))
  (global.set $top (i32.add (global.get $top) (local.get $size)))
  (local.get $at))
(func (export "gofe:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) i32.const 512)
(func $argument (param $at i32) (result i32) (local $value i32)
  (local.set $value (i32.load16_s (local.get $at)))
  (if (result i32) (i32.eq (i32.and (local.get $value) (i32.const 7)) (i32.const 7))
    (then (i32.shl (local.get $value) (i32.const 2)))
    (else (local.get $value))))
(func $call (param $at i32) (local $which i32)
  (local.set $which (i32.rem_u (i32.load8_u (local.get $at)) (i32.const COUNT)))
"#;

/// What stands behind them.
const END: &str = r#")
(func $run (local $at i32)
  (local.set $at (i32.const 8192))
  (block $over (loop $next
    (br_if $over (i32.gt_u (i32.add (local.get $at) (i32.const CALL)) (i32.add (i32.const 8192) (global.get $length))))
    (call $call (local.get $at))
    (local.set $at (i32.add (local.get $at) (i32.const CALL)))
    (br $next))))
(func (export "gofe:plugin/on-request-headers@0.1.0#request-headers"))
(func (export "gofe:plugin/on-request-body@0.1.0#request-body") (param i32)
  (call $f26 (i64.const 0) (i64.const 8192) (i32.const 16))
  (global.set $length (i32.load (i32.const 20)))
  (memory.copy (i32.const 8192) (i32.load (i32.const 16)) (global.get $length))
  (call $run))
(func (export "gofe:plugin/on-response-headers@0.1.0#response-headers") (call $run))
(func (export "gofe:plugin/on-complete@0.1.0#complete") (call $run)))
"#;
