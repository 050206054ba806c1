// A test guest of the http-wasm ABI in AssemblyScript, which has no SDK for it: the host's functions as they are. What it
// does stands in the request's field x-do.

@external("http_handler", "enable_features") declare function enable_features(features: u32): u32;
@external("http_handler", "get_config") declare function get_config(buffer: usize, limit: u32): u32;
@external("http_handler", "log") declare function host_log(level: i32, message: usize, length: u32): void;
@external("http_handler", "log_enabled") declare function log_enabled(level: i32): u32;
@external("http_handler", "get_method") declare function get_method(buffer: usize, limit: u32): u32;
@external("http_handler", "set_method") declare function set_method(method: usize, length: u32): void;
@external("http_handler", "get_uri") declare function get_uri(buffer: usize, limit: u32): u32;
@external("http_handler", "set_uri") declare function set_uri(uri: usize, length: u32): void;
@external("http_handler", "get_protocol_version")
declare function get_protocol_version(buffer: usize, limit: u32): u32;
@external("http_handler", "get_source_addr") declare function get_source_addr(buffer: usize, limit: u32): u32;
@external("http_handler", "get_header_names")
declare function get_header_names(kind: u32, buffer: usize, limit: u32): u64;
@external("http_handler", "get_header_values")
declare function get_header_values(kind: u32, name: usize, name_length: u32, buffer: usize, limit: u32): u64;
@external("http_handler", "set_header_value")
declare function set_header_value(kind: u32, name: usize, name_length: u32, value: usize, length: u32): void;
@external("http_handler", "add_header_value")
declare function add_header_value(kind: u32, name: usize, name_length: u32, value: usize, length: u32): void;
@external("http_handler", "remove_header")
declare function remove_header(kind: u32, name: usize, name_length: u32): void;
@external("http_handler", "read_body") declare function read_body(kind: u32, buffer: usize, limit: u32): u64;
@external("http_handler", "write_body") declare function write_body(kind: u32, body: usize, length: u32): void;
@external("http_handler", "get_status_code") declare function get_status_code(): u32;
@external("http_handler", "set_status_code") declare function set_status_code(status: u32): void;

const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;
const REQUEST_TRAILERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const INFO: i32 = 0;
const BUFFER_REQUEST: u32 = 1;
const BUFFER_RESPONSE: u32 = 2;
const TRAILERS: u32 = 4;

const LIMIT: u32 = 4096;
const buffer = new ArrayBuffer(LIMIT);
const at = changetype<usize>(buffer);

/// What the host has just written.
function text(length: u32): string {
  return String.UTF8.decodeUnsafe(at, length);
}

/// The values of a field, as the host lists them: each with a zero behind it.
function values(kind: u32, name: string): string[] {
  let bytes = String.UTF8.encode(name);
  let found = get_header_values(kind, changetype<usize>(bytes), bytes.byteLength, at, LIMIT);
  return list(found);
}

function list(found: u64): string[] {
  let items: string[] = [];
  let from: u32 = 0;
  for (let end: u32 = 0; end < (found as u32); end++) {
    if (load<u8>(at + end) == 0) {
      items.push(String.UTF8.decodeUnsafe(at + from, end - from));
      from = end + 1;
    }
  }
  // The upper half says how many there are.
  return items.length == ((found >> 32) as i32) ? items : ["the host miscounts"];
}

function set(kind: u32, name: string, value: string): void {
  let n = String.UTF8.encode(name);
  let v = String.UTF8.encode(value);
  set_header_value(kind, changetype<usize>(n), n.byteLength, changetype<usize>(v), v.byteLength);
}

function add(kind: u32, name: string, value: string): void {
  let n = String.UTF8.encode(name);
  let v = String.UTF8.encode(value);
  add_header_value(kind, changetype<usize>(n), n.byteLength, changetype<usize>(v), v.byteLength);
}

function remove(kind: u32, name: string): void {
  let n = String.UTF8.encode(name);
  remove_header(kind, changetype<usize>(n), n.byteLength);
}

function write(kind: u32, body: string): void {
  let bytes = String.UTF8.encode(body);
  write_body(kind, changetype<usize>(bytes), bytes.byteLength);
}

/// A whole body: the upper half of what the host says is the end, the lower the bytes of this piece.
function read(kind: u32): string {
  let body = "";
  let got: u64;
  do {
    got = read_body(kind, at, LIMIT);
    body += text(got as u32);
  } while (got >> 32 == 0);
  return body;
}

function log(message: string): void {
  if (log_enabled(INFO) == 0) return;
  let bytes = String.UTF8.encode(message);
  host_log(INFO, changetype<usize>(bytes), bytes.byteLength);
}

const GO_ON: u64 = 1;

/// Hands the request on, with a number that `handle_response` gets back.
function go_on(context: u32): u64 {
  return ((context as u64) << 32) | GO_ON;
}

export function handle_request(): u64 {
  let wanted = values(REQUEST, "x-do");
  let what = wanted.length > 0 ? wanted[0] : "";
  if (what == "tell") {
    let line = text(get_method(at, LIMIT)) + " " + text(get_uri(at, LIMIT));
    line += " " + text(get_protocol_version(at, LIMIT)) + " from " + text(get_source_addr(at, LIMIT));
    line += " x-a=" + values(REQUEST, "x-a").join("+") + " config=" + text(get_config(at, LIMIT));
    let names = list(get_header_names(REQUEST, at, LIMIT));
    set_status_code(203);
    set(RESPONSE, "x-names", names.sort().join(","));
    write(RESPONSE, line);
    return 0;
  }
  if (what == "change") {
    enable_features(BUFFER_REQUEST | TRAILERS);
    log("a body: " + read(REQUEST));
    let method = String.UTF8.encode("PUT");
    set_method(changetype<usize>(method), method.byteLength);
    let uri = String.UTF8.encode("/changed?by=AssemblyScript");
    set_uri(changetype<usize>(uri), uri.byteLength);
    remove(REQUEST, "x-a");
    set(REQUEST, "x-length", "was here");
    add(REQUEST_TRAILERS, "x-sum", "of the request");
    write(REQUEST, "another body");
    return go_on(0);
  }
  if (what == "after") {
    enable_features(BUFFER_RESPONSE | TRAILERS);
    return go_on(4711);
  }
  return go_on(0);
}

export function handle_response(context: u32, is_error: u32): void {
  if (context == 0) return;
  let body = read(RESPONSE);
  set(RESPONSE, "x-context", context.toString() + " " + get_status_code().toString() + " " + is_error.toString());
  add(RESPONSE_TRAILERS, "x-sum", "of the response");
  set_status_code(202);
  write(RESPONSE, "<" + body + ">");
}

/// Traps: what the runtime calls when it fails.
export function failed(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}
