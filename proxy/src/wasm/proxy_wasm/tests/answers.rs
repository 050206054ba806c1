//! What single functions answer: to arguments that are right, with what they leave in memory, and to those that are not.

use http_body_util::BodyExt;

use super::{Engine, Outcome, ProxyWasmFilter, answered, artifact, env, exchange, runtime};

/// Where guests write what the test looks at, and how much of it they answer with.
const OUT: usize = 1024;
const SHOWN: usize = 64;

/// The statuses of the ABI.
const OK: u16 = 0;
const NOT_FOUND: u16 = 1;
const BAD_ARGUMENT: u16 = 2;
const SERIALIZATION_FAILURE: u16 = 3;
const INVALID_MEMORY_ACCESS: u16 = 6;

/// What the memory of each guest holds: names, values and maps.
const DATA: &str = "(data (i32.const 16) \"x-a\") (data (i32.const 32) \"value\") (data (i32.const 48) \"\\ff\\fe\")
    (data (i32.const 64) \"\\ff\\ff\\ff\\ff\") (data (i32.const 80) \"\\01\\00\\00\\00\\03\\00\\00\\00\\ff\\ff\\00\\00x-a\\00\")
    (data (i32.const 112) \"\\01\\00\\00\\00\\03\\00\\00\\00\\01\\00\\00\\00x-a\\00bc\")
    (data (i32.const 144) \"\\01\\00\\00\\00\\03\\00\\00\\00\\01\\00\\00\\00x-a\\00b\\00\")
    (data (i32.const 176) \"x a\") (data (i32.const 192) \"a\\0db\")
    (data (i32.const 208) \"\\00\\04\\00\\00\\03\\00\\00\\00\\00\\00\\00\\80\\04\\00\\00\\00\")
    (data (i32.const 240) \"out!\") (data (i32.const 256) \":method\") (data (i32.const 272) \"CONNECT\")
    (data (i32.const 288) \"PURGE\")";

/// Calls one function in the callback on request headers, with numbers; what it answers, and what is in memory then.
fn called(module: &str, function: &str, arguments: &[i64]) -> (u16, Vec<u8>) {
    let wide =
        |at: usize| matches!((function, at), ("proxy_record_metric" | "proxy_increment_metric" | "clock_time_get", 1));
    let kind = |at: usize| if wide(at) { "i64" } else { "i32" };
    let types: Vec<_> = (0..arguments.len()).map(kind).collect();
    let given = arguments.iter().enumerate().map(|(at, number)| format!("({}.const {number})", kind(at)));
    let text = format!(
        "(module
            (import \"{module}\" \"{function}\" (func $f (param {}) (result i32)))
            (import \"env\" \"proxy_send_local_response\"
                (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export \"memory\") 1) {DATA}
            (func (export \"proxy_abi_version_0_2_1\"))
            (func (export \"malloc\") (param i32) (result i32) i32.const 4096)
            (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)
                (drop (call $reply (i32.add (i32.const 200) (call $f {}))
                    (i32.const 0) (i32.const 0) (i32.const {OUT}) (i32.const {SHOWN}) (i32.const 0) (i32.const 0)
                    (i32.const -1)))
                i32.const 1))",
        types.join(" "),
        given.collect::<String>()
    );
    let engine = Engine::new().unwrap();
    let mut env = env("null");
    env.vm.environment.insert("A".to_owned(), "bc".to_owned());
    let filter = ProxyWasmFilter::load(&engine, &artifact(&engine, &text), env).unwrap();
    let mut exchange = exchange();
    let outcome = answered(&filter, &mut exchange);
    assert!(matches!(outcome, Outcome::Respond), "{function} {arguments:?}: {outcome:?}");
    let reply = exchange.reply.take().unwrap();
    let body = runtime().block_on(reply.body.collect()).unwrap();
    (reply.status.as_u16() - 200, body.to_bytes().to_vec())
}

/// The status alone.
fn status(function: &str, arguments: &[i64]) -> u16 {
    called("env", function, arguments).0
}

fn wasi(function: &str, arguments: &[i64]) -> (u16, Vec<u8>) {
    called("wasi_snapshot_preview1", function, arguments)
}

fn number(memory: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(memory[at..at + 4].try_into().unwrap())
}

// covers proxy-wasm: proxy_get_header_map_size, proxy_get_buffer_status, proxy_clear_route_cache
#[test]
fn sizes_are_told_where_the_guest_wants_them() {
    // The four that are no fields, and x-a: four bytes in front, ten around each pair.
    let (status, memory) = called("env", "proxy_get_header_map_size", &[0, OUT as i64]);
    let pairs = [(":method", "POST"), (":path", "/path"), (":authority", "a"), (":scheme", "http"), ("x-a", "1")];
    let size: usize = pairs.iter().map(|(name, value)| 10 + name.len() + value.len()).sum();
    assert_eq!((status, number(&memory, 0) as usize), (OK, 4 + size));
    let (status, memory) = called("env", "proxy_get_buffer_status", &[0, OUT as i64, OUT as i64 + 4]);
    // In the callback on headers nothing of the body is there yet.
    assert_eq!((status, &memory[..8]), (OK, &[0; 8][..]));
}

// covers proxy-wasm: fd_write, clock_time_get, random_get, environ_sizes_get, environ_get, args_sizes_get, args_get
#[test]
fn the_functions_of_wasi_do_what_a_runtime_counts_on() {
    let out = OUT as i64;
    // One piece at 208: three bytes at 1024.
    let (errno, memory) = wasi("fd_write", &[1, 208, 1, out + 8]);
    assert_eq!((errno, number(&memory, 8)), (0, 3));
    assert_eq!(wasi("fd_write", &[3, 208, 1, out]).0, 8, "there are no files");
    let (errno, memory) = wasi("clock_time_get", &[0, 0, out]);
    let nanoseconds = u64::from_le_bytes(memory[..8].try_into().unwrap());
    assert!(errno == 0 && nanoseconds > 1_700_000_000_000_000_000, "{nanoseconds}");
    assert_eq!(wasi("clock_time_get", &[7, 0, out]).0, 58, "there is no such clock");
    let (errno, memory) = wasi("random_get", &[out, 32]);
    assert!(errno == 0 && memory[..32] != [0; 32] && memory[32..] == [0; 32], "{memory:?}");
    let (errno, memory) = wasi("environ_sizes_get", &[out, out + 4]);
    assert_eq!((errno, number(&memory, 0), number(&memory, 4)), (0, 1, 5));
    let (errno, memory) = wasi("environ_get", &[out, out + 16]);
    assert_eq!((errno, number(&memory, 0), &memory[16..21]), (0, OUT as u32 + 16, &b"A=bc\0"[..]));
    let (errno, memory) = wasi("args_sizes_get", &[out, out + 4]);
    assert_eq!((errno, number(&memory, 0), number(&memory, 4)), (0, 0, 0));
    assert_eq!(wasi("args_get", &[out, out]).0, 0);
}

#[test]
fn what_wasi_is_asked_beyond_memory_and_reason_is_refused() {
    let (fault, invalid) = (21, 28);
    for (function, arguments, errno) in [
        ("fd_write", &[1, 65_530, 1, 1024][..], fault),
        ("fd_write", &[1, 208, -1, 1024], invalid),
        ("fd_write", &[1, 216, 1, 1024], fault),
        ("fd_write", &[1, 208, 1, -2], fault),
        ("clock_time_get", &[0, 0, 65_530], fault),
        ("random_get", &[65_000, 1000], fault),
        ("random_get", &[0, -1], invalid),
        ("environ_sizes_get", &[-1, 1024], fault),
        ("environ_get", &[1024, 65_534], fault),
        ("args_sizes_get", &[1024, 65_533], fault),
    ] {
        assert_eq!(wasi(function, arguments).0, errno, "{function} {arguments:?}");
    }
}

/// Out of bounds, huge, and negative as a number with a sign.
#[test]
fn pointers_and_lengths_that_are_not_in_memory_get_their_status() {
    for (at, length) in
        [(65_536, 1), (65_530, 7), (16, 0x7fff_ffff), (16, -1), (-1, 1), (-4, 8), (i64::from(i32::MIN), 3)]
    {
        for (function, arguments) in [
            ("proxy_log", vec![2, at, length]),
            ("proxy_get_header_map_value", vec![0, at, length, 1024, 1028]),
            ("proxy_add_header_map_value", vec![0, at, length, 32, 5]),
            ("proxy_add_header_map_value", vec![0, 16, 3, at, length]),
            ("proxy_replace_header_map_value", vec![0, 16, 3, at, length]),
            ("proxy_remove_header_map_value", vec![0, at, length]),
            ("proxy_set_header_map_pairs", vec![0, at, length]),
            ("proxy_set_buffer_bytes", vec![0, 0, 0, at, length]),
            ("proxy_get_property", vec![at, length, 1024, 1028]),
            ("proxy_set_property", vec![at, length, 32, 5]),
            ("proxy_set_property", vec![16, 3, at, length]),
            ("proxy_set_shared_data", vec![at, length, 32, 5, 0]),
            ("proxy_set_shared_data", vec![16, 3, at, length, 0]),
            ("proxy_get_shared_data", vec![at, length, 1024, 1028, 1032]),
            ("proxy_register_shared_queue", vec![at, length, 1024]),
            ("proxy_define_metric", vec![0, at, length, 1024]),
            ("proxy_call_foreign_function", vec![at, length, 32, 5, 1024, 1028]),
        ] {
            assert_eq!(status(function, &arguments), INVALID_MEMORY_ACCESS, "{function} {arguments:?}");
        }
    }
    // Places for results.
    for place in [65_533, -1, -4] {
        assert_eq!(status("proxy_get_header_map_size", &[0, place]), INVALID_MEMORY_ACCESS, "{place}");
        assert_eq!(status("proxy_get_header_map_value", &[0, 16, 3, place, 1024]), INVALID_MEMORY_ACCESS, "{place}");
        assert_eq!(status("proxy_get_header_map_value", &[0, 16, 3, 1024, place]), INVALID_MEMORY_ACCESS, "{place}");
        assert_eq!(status("proxy_get_current_time_nanoseconds", &[place]), INVALID_MEMORY_ACCESS, "{place}");
    }
}

#[test]
fn places_that_overlap_are_written_one_after_the_other() {
    // The value, its address and its length, all in the same bytes: the guest gets what it asked for, and no other memory.
    for (pointer_at, length_at) in [(1024, 1024), (1024, 1026), (1026, 1024), (4096, 4098)] {
        assert_eq!(status("proxy_get_header_map_value", &[0, 16, 3, pointer_at, length_at]), OK);
    }
    // A field whose name and value are the same bytes.
    assert_eq!(status("proxy_add_header_map_value", &[0, 16, 3, 16, 3]), OK);
    let (status, memory) = called("env", "proxy_get_header_map_value", &[0, 16, 3, 1030, 1034]);
    assert_eq!((status, number(&memory, 6), number(&memory, 10), &memory[14..20]), (OK, 4096, 1, &[0; 6][..]));
}

#[test]
fn texts_and_maps_that_are_not_what_they_should_be_get_their_status() {
    for (function, arguments, wanted) in [
        // Not UTF-8.
        ("proxy_add_header_map_value", &[0, 48, 2, 32, 5][..], BAD_ARGUMENT),
        ("proxy_get_header_map_value", &[0, 48, 2, 1024, 1028], NOT_FOUND),
        ("proxy_get_property", &[48, 2, 1024, 1028], SERIALIZATION_FAILURE),
        ("proxy_set_property", &[48, 2, 32, 5], NOT_FOUND),
        // A metric has a name that Prometheus takes, whatever the guest calls it.
        ("proxy_define_metric", &[0, 48, 2, 1024], OK),
        ("proxy_call_foreign_function", &[48, 2, 32, 5, 1024, 1028], NOT_FOUND),
        // A method is any token, but not what makes a tunnel.
        ("proxy_replace_header_map_value", &[0, 256, 7, 288, 5], OK),
        ("proxy_replace_header_map_value", &[0, 256, 7, 272, 7], BAD_ARGUMENT),
        // No name of a field, and no value of one.
        ("proxy_add_header_map_value", &[0, 176, 3, 32, 5], BAD_ARGUMENT),
        ("proxy_replace_header_map_value", &[0, 16, 3, 192, 3], BAD_ARGUMENT),
        ("proxy_add_header_map_value", &[0, 16, 0, 32, 5], BAD_ARGUMENT),
        // Maps: four thousand million pairs in four bytes; a value longer than all there is; no NUL at the end; and a
        // right one, of which a byte is missing.
        ("proxy_set_header_map_pairs", &[0, 64, 4], BAD_ARGUMENT),
        ("proxy_set_header_map_pairs", &[0, 80, 16], BAD_ARGUMENT),
        ("proxy_set_header_map_pairs", &[0, 112, 18], BAD_ARGUMENT),
        ("proxy_set_header_map_pairs", &[0, 144, 17], BAD_ARGUMENT),
        ("proxy_set_header_map_pairs", &[0, 144, 18], OK),
    ] {
        assert_eq!(status(function, arguments), wanted, "{function} {arguments:?}");
    }
}

#[test]
fn kinds_that_there_are_not_and_wrong_phases_and_contexts_get_their_status() {
    for unknown in [9, 99, -1] {
        assert_eq!(status("proxy_get_header_map_size", &[unknown, 1024]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_get_header_map_pairs", &[unknown, 1024, 1028]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_get_header_map_value", &[unknown, 16, 3, 1024, 1028]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_add_header_map_value", &[unknown, 16, 3, 32, 5]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_get_buffer_bytes", &[unknown, 0, 1, 1024, 1028]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_set_buffer_bytes", &[unknown, 0, 1, 32, 5]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_get_buffer_status", &[unknown, 1024, 1028]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_define_metric", &[unknown, 16, 3, 1024]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_continue_stream", &[unknown]), BAD_ARGUMENT, "{unknown}");
        assert_eq!(status("proxy_close_stream", &[unknown]), BAD_ARGUMENT, "{unknown}");
        // Contexts that never were, or are over.
        assert_eq!(status("proxy_set_effective_context", &[unknown]), BAD_ARGUMENT, "{unknown}");
    }
    // While the request's headers are in hand, there is no response, no body, no trailers, no callout and no configuration.
    assert_eq!(status("proxy_get_header_map_value", &[2, 16, 3, 1024, 1028]), NOT_FOUND);
    assert_eq!(status("proxy_add_header_map_value", &[2, 16, 3, 32, 5]), BAD_ARGUMENT);
    assert_eq!(status("proxy_add_header_map_value", &[1, 16, 3, 32, 5]), BAD_ARGUMENT);
    assert_eq!(status("proxy_get_header_map_value", &[6, 16, 3, 1024, 1028]), NOT_FOUND);
    for buffer in [1, 2, 4, 5, 6, 7, 8] {
        assert_eq!(status("proxy_get_buffer_bytes", &[buffer, 0, 10, 1024, 1028]), NOT_FOUND, "{buffer}");
        assert_eq!(status("proxy_set_buffer_bytes", &[buffer, 0, 0, 32, 5]), NOT_FOUND, "{buffer}");
    }
    for stream in [77, -1] {
        assert_eq!(status("proxy_grpc_send", &[stream, 32, 5, 1]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_grpc_cancel", &[stream]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_grpc_close", &[stream]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_dequeue_shared_queue", &[stream, 1024, 1028]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_enqueue_shared_queue", &[stream, 32, 5]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_get_metric", &[stream, 1024]), NOT_FOUND, "{stream}");
        assert_eq!(status("proxy_record_metric", &[stream, 1]), NOT_FOUND, "{stream}");
    }
}
