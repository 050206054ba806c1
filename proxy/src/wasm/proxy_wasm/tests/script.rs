//! A guest that calls the host functions that a request's body says, with the arguments that it says. The property test
//! and the fuzz target drive the host with it.

use std::fmt::Write;

/// Every function of the ABI: its module, its name, and its parameters (`i` has 32 bits, `l` has 64).
pub(crate) const FUNCTIONS: [(&str, &str, &str); 52] = [
    ("env", "proxy_log", "iii"),
    ("env", "proxy_get_log_level", "i"),
    ("env", "proxy_get_current_time_nanoseconds", "i"),
    ("env", "proxy_set_tick_period_milliseconds", "i"),
    ("env", "proxy_set_buffer_bytes", "iiiii"),
    ("env", "proxy_get_buffer_bytes", "iiiii"),
    ("env", "proxy_get_buffer_status", "iii"),
    ("env", "proxy_get_header_map_size", "ii"),
    ("env", "proxy_get_header_map_pairs", "iii"),
    ("env", "proxy_set_header_map_pairs", "iii"),
    ("env", "proxy_get_header_map_value", "iiiii"),
    ("env", "proxy_add_header_map_value", "iiiii"),
    ("env", "proxy_replace_header_map_value", "iiiii"),
    ("env", "proxy_remove_header_map_value", "iii"),
    ("env", "proxy_continue_stream", "i"),
    ("env", "proxy_close_stream", "i"),
    ("env", "proxy_get_status", "iii"),
    ("env", "proxy_send_local_response", "iiiiiiii"),
    ("env", "proxy_http_call", "iiiiiiiiii"),
    ("env", "proxy_grpc_call", "iiiiiiiiiiii"),
    ("env", "proxy_grpc_stream", "iiiiiiiii"),
    ("env", "proxy_grpc_send", "iiii"),
    ("env", "proxy_grpc_cancel", "i"),
    ("env", "proxy_grpc_close", "i"),
    ("env", "proxy_set_shared_data", "iiiii"),
    ("env", "proxy_get_shared_data", "iiiii"),
    ("env", "proxy_register_shared_queue", "iii"),
    ("env", "proxy_resolve_shared_queue", "iiiii"),
    ("env", "proxy_enqueue_shared_queue", "iii"),
    ("env", "proxy_dequeue_shared_queue", "iii"),
    ("env", "proxy_define_metric", "iiii"),
    ("env", "proxy_record_metric", "il"),
    ("env", "proxy_increment_metric", "il"),
    ("env", "proxy_get_metric", "ii"),
    ("env", "proxy_get_property", "iiii"),
    ("env", "proxy_set_property", "iiii"),
    ("env", "proxy_call_foreign_function", "iiiiii"),
    ("env", "proxy_set_effective_context", "i"),
    ("env", "proxy_done", ""),
    ("env", "proxy_continue_request", ""),
    ("env", "proxy_continue_response", ""),
    ("env", "proxy_clear_route_cache", ""),
    ("env", "proxy_get_configuration", "ii"),
    ("wasi_snapshot_preview1", "fd_write", "iiii"),
    ("wasi_snapshot_preview1", "clock_time_get", "ili"),
    ("wasi_snapshot_preview1", "random_get", "ii"),
    ("wasi_snapshot_preview1", "environ_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "environ_get", "ii"),
    ("wasi_snapshot_preview1", "args_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "args_get", "ii"),
    ("wasi_snapshot_preview1", "sched_yield", ""),
    ("wasi_snapshot_preview1", "fd_close", "i"),
];

/// The most arguments of a function.
pub(crate) const ARGUMENTS: usize = 12;
/// The bytes of one call: the function's place in the table above, and its arguments.
pub(crate) const CALL: usize = 4 + 4 * ARGUMENTS;

/// The guest as text. What its memory has below 4096 is what the script's bytes have there too, so that arguments can point
/// at something.
pub(crate) fn guest() -> String {
    let mut text = String::from("(module\n");
    for (at, (module, name, parameters)) in FUNCTIONS.iter().enumerate() {
        let types: String = parameters.chars().map(|p| if p == 'l' { " i64" } else { " i32" }).collect();
        let _ = writeln!(text, "(import \"{module}\" \"{name}\" (func $f{at} (param{types}) (result i32)))");
    }
    text += "(memory (export \"memory\") 2 4) (global $top (mut i32) (i32.const 65536))
        (func (export \"proxy_abi_version_0_2_1\"))
        (func (export \"proxy_on_context_create\") (param i32 i32))
        (func (export \"proxy_on_done\") (param i32) (result i32) i32.const 0)
        (func (export \"proxy_on_foreign_function\") (param i32 i32 i32))
        (func (export \"proxy_on_tick\") (param i32))
        (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) i32.const 0)
        (func (export \"proxy_on_response_headers\") (param i32 i32 i32) (result i32) i32.const 0)
        (func (export \"malloc\") (param $size i32) (result i32) (local $at i32)
            (local.set $at (global.get $top))
            (if (i32.gt_u (local.get $size) (i32.const 60000)) (then (return (i32.const 0))))
            (global.set $top (i32.add (global.get $top) (local.get $size)))
            (if (i32.gt_u (global.get $top) (i32.const 130000)) (then (global.set $top (i32.const 65536))))
            (local.get $at))\n";
    let _ = writeln!(text, "(func $call (param $at i32)");
    for (at, (_, _, parameters)) in FUNCTIONS.iter().enumerate() {
        let arguments: String = parameters
            .chars()
            .enumerate()
            .map(|(nth, p)| {
                let load = format!("(i32.load offset={} (local.get $at))", 4 + 4 * nth);
                if p == 'l' { format!("(i64.extend_i32_s {load})") } else { load }
            })
            .collect();
        let _ = writeln!(
            text,
            "(if (i32.eq (i32.load (local.get $at)) (i32.const {at})) (then (drop (call $f{at} {arguments}))))"
        );
    }
    let _ = write!(
        text,
        ") (func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32) (local $at i32) (local $end i32)
            (drop (call $f5 (i32.const 0) (i32.const 0) (local.get 1) (i32.const 8) (i32.const 12)))
            (local.set $at (i32.load (i32.const 8)))
            (local.set $end (i32.add (local.get $at) (i32.load (i32.const 12))))
            (memory.copy (i32.const 16) (local.get $at) (i32.sub (local.get $end) (local.get $at)))
            (block $over (loop $next
                (br_if $over (i32.gt_u (i32.add (local.get $at) (i32.const {CALL})) (local.get $end)))
                (call $call (local.get $at))
                (local.set $at (i32.add (local.get $at) (i32.const {CALL})))
                (br $next)))
            (i32.and (local.get $end) (i32.const 1))))"
    );
    text
}
