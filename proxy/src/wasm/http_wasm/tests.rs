//! What each host function answers: to arguments that are right, with what it leaves in the guest's memory and in the
//! message, and to those that are not. The ABI has no errors, so these end the guest's call.

use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderValue, Method, Response};
use http_body_util::BodyExt;

use super::HttpWasm;
use crate::chain::{Exchange, Fault, FaultKind, Filter, Outcome, Phase};
use crate::http::Body;
use crate::wasm::fixtures::{artifact, env, exchange, runtime};
use crate::wasm::{Engine, LoadError};

/// Every function of the ABI: its name, how many parameters it has, each of 32 bits, and what it gives.
const FUNCTIONS: [(&str, usize, &str); 19] = [
    ("enable_features", 1, "i32"),
    ("get_config", 2, "i32"),
    ("log_enabled", 1, "i32"),
    ("log", 3, ""),
    ("get_method", 2, "i32"),
    ("set_method", 2, ""),
    ("get_uri", 2, "i32"),
    ("set_uri", 2, ""),
    ("get_protocol_version", 2, "i32"),
    ("get_source_addr", 2, "i32"),
    ("get_header_names", 3, "i64"),
    ("get_header_values", 5, "i64"),
    ("set_header_value", 5, ""),
    ("add_header_value", 5, ""),
    ("remove_header", 3, ""),
    ("read_body", 3, "i64"),
    ("write_body", 3, ""),
    ("get_status_code", 0, "i32"),
    ("set_status_code", 1, ""),
];

/// A call of a function with numbers.
type Call<'a> = (&'a str, &'a [i64]);

/// Where guests write what a test looks at, how much of it they show, and where the results of their calls are in it.
const OUT: i64 = 1024;
const SHOWN: i64 = 256;
const RESULTS: usize = 128;

/// What the memory of each guest holds.
const DATA: &str = "(data (i32.const 16) \"x-a\") (data (i32.const 32) \"value\") (data (i32.const 48) \"\\ff\\fe\")
    (data (i32.const 64) \"PUT\") (data (i32.const 80) \"/new?q\") (data (i32.const 96) \"x a\")
    (data (i32.const 112) \"a\\0db\") (data (i32.const 128) \"X-UP\") (data (i32.const 144) \"content-length\")
    (data (i32.const 160) \"/a b\") (data (i32.const 176) \"trailer\") (data (i32.const 192) \"x-b\")
    (data (i32.const 208) \"CONNECT\")";

/// Kinds that there are not, and numbers that are no kinds.
const UNKNOWN: [i64; 4] = [4, 99, -1, 0x7fff_ffff];

/// Texts that are not in memory: out of bounds, huge, and negative as numbers with a sign.
const NOWHERE: [(i64, i64); 7] =
    [(65_536, 1), (65_530, 7), (16, 0x7fff_ffff), (16, -1), (-1, 1), (-4, 8), (i32::MIN as i64, 3)];

/// Places for results that are not in memory, however much room the guest says there is.
const NO_PLACE: [(i64, i64); 4] = [(65_535, 64), (-1, 64), (-2, -1), (i32::MIN as i64, 0x7fff_ffff)];

/// What a guest does.
#[derive(Default)]
struct Guest<'a> {
    /// Its configuration, as JSON.
    config: Option<&'a str>,
    /// Calls while it starts.
    start: &'a [Call<'a>],
    /// Calls in `handle_request`.
    before: &'a [Call<'a>],
    /// Whether the next handler is called. If not, the answer is what is in memory.
    next: bool,
    /// Calls in `handle_response`.
    after: &'a [Call<'a>],
    /// Whether the response becomes what is in memory then.
    shows: bool,
    /// The request's body.
    body: &'static str,
}

/// A request that a guest has handled.
struct Handled {
    exchange: Exchange,
    /// The body that the next handler gets.
    sent: Vec<u8>,
    /// The body of the response, or of the guest's own answer.
    body: Vec<u8>,
}

impl Handled {
    /// What the call of this number gave.
    fn result(&self, number: usize) -> u64 {
        let at = RESULTS + 8 * number;
        u64::from_le_bytes(self.body[at..at + 8].try_into().unwrap())
    }

    /// What is in memory, so many bytes behind the beginning of what is shown.
    fn memory(&self, at: usize, length: usize) -> &[u8] {
        &self.body[at..at + length]
    }

    fn request(&self, name: &str) -> Vec<&[u8]> {
        self.exchange.request.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    fn response(&self, name: &str) -> Vec<&[u8]> {
        let headers = &self.exchange.response.as_ref().unwrap().headers;
        headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    fn status(&self) -> u16 {
        self.exchange.response.as_ref().unwrap().status.as_u16()
    }
}

impl Guest<'_> {
    /// Its code. To requests that are not by POST it does nothing.
    fn text(&self) -> String {
        let imports = FUNCTIONS.map(|(name, parameters, result)| {
            let parameters = "i32 ".repeat(parameters);
            let result = if result.is_empty() { String::new() } else { format!("(result {result})") };
            format!("(import \"http_handler\" \"{name}\" (func ${name} (param {parameters}) {result}))\n")
        });
        let show = format!("(call $write_body (i32.const 1) (i32.const {OUT}) (i32.const {SHOWN}))");
        let show = |shows: bool| if shows { &*show } else { "" };
        let is_post = "(i32.eq (call $get_method (i32.const 0) (i32.const 0)) (i32.const 4))";
        format!(
            "(module {}
                (memory (export \"memory\") 1) {DATA}
                (func (export \"_initialize\") {})
                (func (export \"handle_request\") (result i64)
                    (if {is_post} (then {} {} (return (i64.const {})))) (i64.const 1))
                (func (export \"handle_response\") (param i32 i32) (if {is_post} (then {} {}))))",
            imports.concat(),
            text_of(self.start),
            text_of(self.before),
            show(!self.next),
            u8::from(self.next),
            text_of(self.after),
            show(self.shows),
        )
    }

    fn load(&self) -> Result<HttpWasm, LoadError> {
        static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());
        let env = env(self.config.unwrap_or("null"));
        runtime().block_on(HttpWasm::load(&ENGINE, &artifact(&ENGINE, &self.text()), env))
    }

    fn run(&self, filter: &HttpWasm, method: Method) -> Result<Handled, Fault> {
        let mut exchange = exchange();
        exchange.request.method = method;
        exchange.message = Body::full(self.body);
        runtime().block_on(async {
            let whole = async |body: Body| body.collect().await.unwrap().to_bytes().to_vec();
            let sent = match filter.call(Phase::RequestHeaders, &mut exchange).await {
                Outcome::Continue => whole(std::mem::take(&mut exchange.message)).await,
                Outcome::Respond => {
                    let reply = exchange.reply.take().unwrap();
                    let body = whole(exchange.set_response(reply)).await;
                    return Ok(Handled { exchange, sent: Vec::new(), body });
                }
                Outcome::Fault(fault) => return Err(fault),
            };
            (exchange.request_open, exchange.response_open, exchange.phase) = (false, true, Phase::ResponseHeaders);
            exchange.begin_response(Response::builder().header("x-up", "1").body(()).unwrap().into_parts().0);
            exchange.message = Body::full("a body");
            if let Outcome::Fault(fault) = filter.call(Phase::ResponseHeaders, &mut exchange).await {
                return Err(fault);
            }
            let body = whole(std::mem::take(&mut exchange.message)).await;
            Ok(Handled { exchange, sent, body })
        })
    }

    /// What becomes of a request.
    fn handled(&self) -> Handled {
        let handled = self.run(&self.load().unwrap(), Method::POST);
        handled.unwrap_or_else(|fault| panic!("{:?} {:?}: {}", self.before, self.after, fault.message))
    }

    /// Its call is ended, and the next request is served.
    fn is_ended(&self) {
        let filter = self.load().unwrap();
        match self.run(&filter, Method::POST) {
            Ok(_) => panic!("{:?} {:?} are no fault", self.before, self.after),
            Err(fault) => assert!(matches!(fault.kind, FaultKind::Failed), "{}", fault.message),
        }
        assert!(self.run(&filter, Method::GET).is_ok());
    }
}

/// Calls as text. What they give stands in memory.
fn text_of(calls: &[Call<'_>]) -> String {
    let text = |(number, (name, arguments)): (usize, &Call<'_>)| {
        let given = arguments.iter().map(|argument| format!("(i32.const {argument})")).collect::<String>();
        let (call, at) = (format!("(call ${name} {given})"), OUT as usize + RESULTS + 8 * number);
        match FUNCTIONS.iter().find(|function| function.0 == *name).unwrap().2 {
            "" => call,
            "i32" => format!("(i64.store (i32.const {at}) (i64.extend_i32_u {call}))"),
            _ => format!("(i64.store (i32.const {at}) {call})"),
        }
    };
    calls.iter().enumerate().map(text).collect()
}

/// What these calls before the next handler, which is not called, come to.
fn answer(before: &[Call<'_>]) -> Handled {
    Guest { before, ..Guest::default() }.handled()
}

/// A call before the next handler is the guest's last.
fn ends(function: &str, arguments: &[i64]) {
    Guest { before: &[(function, arguments)], ..Guest::default() }.is_ended();
}

/// The same behind the next handler, with these features.
fn ends_after(features: i64, function: &str, arguments: &[i64]) {
    let (before, after) = ([("enable_features", &[features][..])], [(function, arguments)]);
    Guest { before: &before, next: true, after: &after, ..Guest::default() }.is_ended();
}

/// The result of a function that gives two numbers.
fn pair(high: u64, low: u64) -> u64 {
    high << 32 | low
}

// covers http-wasm: get_config, get_method, get_uri, get_protocol_version, get_source_addr
#[test]
fn what_a_request_is_lies_where_the_guest_has_room_for_it() {
    let config = Some("{\"a\":1}");
    let before: [Call<'_>; 7] = [
        ("get_method", &[OUT, 4]),
        ("get_uri", &[OUT + 16, 64]),
        ("get_protocol_version", &[OUT + 32, 8]),
        ("get_source_addr", &[OUT + 48, -1]),
        ("get_config", &[OUT + 64, 64]),
        // Where it does not fit, nothing is written, and the place does not matter.
        ("get_method", &[OUT + 80, 3]),
        ("get_uri", &[-1, 0]),
    ];
    let told = Guest { config, before: &before, ..Guest::default() }.handled();
    let lengths = [4, 5, 8, 11, 7, 4, 5];
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|number| told.result(number)), lengths);
    assert_eq!((told.memory(0, 5), told.memory(16, 6)), (&b"POST\0"[..], &b"/path\0"[..]));
    assert_eq!((told.memory(32, 9), told.memory(48, 12)), (&b"HTTP/1.1\0"[..], &b"127.0.0.1:1\0"[..]));
    assert_eq!((told.memory(64, 8), told.memory(80, 4)), (&b"{\"a\":1}\0"[..], &[0; 4][..]));
    for place in NO_PLACE {
        for function in ["get_config", "get_method", "get_uri", "get_protocol_version", "get_source_addr"] {
            Guest { config, before: &[(function, &[place.0, place.1])], ..Guest::default() }.is_ended();
        }
    }
}

// covers http-wasm: set_method, set_uri
#[test]
fn methods_and_uris_are_set_where_they_are_ones() {
    let set = answer(&[("set_method", &[64, 3]), ("set_uri", &[80, 6]), ("get_uri", &[OUT, 64])]);
    let request = &set.exchange.request;
    assert_eq!(
        (request.method.as_str(), request.uri.to_string(), set.memory(0, 6)),
        ("PUT", "/new?q".into(), &b"/new?q"[..])
    );
    assert_eq!(answer(&[("set_uri", &[80, 0])]).exchange.request.uri, "/");
    for (at, length) in NOWHERE {
        ends("set_method", &[at, length]);
        ends("set_uri", &[at, length]);
    }
    // Nothing, spaces, what is not UTF-8, and what makes a tunnel; and a URI without a slash.
    for (function, at, length) in [
        ("set_method", 64, 0),
        ("set_method", 96, 3),
        ("set_method", 48, 2),
        ("set_method", 208, 7),
        ("set_uri", 16, 3),
        ("set_uri", 160, 4),
        ("set_uri", 48, 2),
    ] {
        ends(function, &[at, length]);
    }
    ends_after(7, "set_method", &[64, 3]);
    ends_after(7, "set_uri", &[80, 6]);
}

// covers http-wasm: get_header_names, get_header_values
#[test]
fn fields_are_listed_where_the_guest_has_room_for_all() {
    let told = answer(&[
        ("get_header_names", &[0, OUT, 9]),
        ("get_header_values", &[0, 16, 3, OUT + 16, 64]),
        ("get_header_names", &[0, OUT + 32, 8]),
        // None of this name; one that no field can have; none of the response yet; and trailers without the feature.
        ("get_header_values", &[0, 32, 5, -1, 64]),
        ("get_header_values", &[0, 96, 3, OUT + 32, 64]),
        ("get_header_names", &[1, OUT + 32, 64]),
        ("get_header_names", &[2, OUT + 32, 64]),
        ("get_header_values", &[3, 16, 3, OUT + 32, 64]),
    ]);
    let results = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| told.result(number));
    assert_eq!(results, [pair(2, 9), pair(1, 2), pair(2, 9), 0, 0, 0, 0, 0]);
    assert_eq!((told.memory(0, 9), told.memory(16, 3)), (&b"host\0x-a\0"[..], &b"1\0\0"[..]));
    assert_eq!(told.memory(32, 32), [0; 32]);
    // The response's, in whichever case the guest writes their names; the name's own place takes the value.
    let told = Guest {
        before: &[("enable_features", &[2])],
        next: true,
        after: &[("get_header_values", &[1, 128, 4, OUT, 64]), ("get_header_values", &[0, 16, 3, 16, 3])],
        shows: true,
        ..Guest::default()
    };
    let told = told.handled();
    assert_eq!((told.result(0), told.result(1), told.memory(0, 3)), (pair(1, 2), pair(1, 2), &b"1\0\0"[..]));
    for kind in UNKNOWN {
        ends("get_header_names", &[kind, OUT, 64]);
        ends("get_header_values", &[kind, 16, 3, OUT, 64]);
    }
    for (at, room) in NO_PLACE {
        ends("get_header_names", &[0, at, room]);
        ends("get_header_values", &[0, 16, 3, at, room]);
    }
    for (at, length) in NOWHERE.into_iter().chain([(16, 0), (48, 2)]) {
        ends("get_header_values", &[0, at, length, OUT, 64]);
    }
}

// covers http-wasm: set_header_value, add_header_value, remove_header
#[test]
fn fields_are_written_as_the_guest_has_them_in_memory() {
    let written = answer(&[
        ("set_header_value", &[0, 16, 3, 32, 5]),
        ("add_header_value", &[0, 16, 3, 48, 2]),
        ("set_header_value", &[1, 16, 3, 16, 3]),
        ("add_header_value", &[1, 16, 3, 32, 0]),
        // Framing is gofe's.
        ("set_header_value", &[0, 144, 14, 32, 5]),
    ]);
    assert_eq!(written.request("x-a"), [&b"value"[..], b"\xff\xfe"]);
    assert_eq!(written.response("x-a"), [&b"x-a"[..], b""]);
    assert!(written.request("content-length").is_empty());
    assert!(answer(&[("remove_header", &[0, 16, 3])]).request("x-a").is_empty());
    assert_eq!(answer(&[("remove_header", &[0, 32, 5])]).request("x-a"), [b"1"]);
    // Before the next handler: in the place of its fields, or beside them.
    let response = |before: &[Call<'_>], after: &[Call<'_>]| {
        let handled = Guest { before, next: true, after, ..Guest::default() }.handled();
        handled.response("x-up").iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(response(&[("set_header_value", &[1, 128, 4, 32, 5])], &[]), ["value"]);
    assert_eq!(response(&[("add_header_value", &[1, 128, 4, 32, 5])], &[]), ["1", "value"]);
    assert!(response(&[("remove_header", &[1, 128, 4])], &[]).is_empty());
    // Behind it, where the response waits.
    let waits: [Call<'_>; 1] = [("enable_features", &[2])];
    assert_eq!(response(&waits, &[("set_header_value", &[1, 128, 4, 32, 5])]), ["value"]);
    assert_eq!(response(&waits, &[("add_header_value", &[1, 128, 4, 32, 5])]), ["1", "value"]);
    assert!(response(&waits, &[("remove_header", &[1, 128, 4])]).is_empty());
}

// covers http-wasm: set_header_value, add_header_value, remove_header
#[test]
fn trailers_are_announced_once() {
    let answered = answer(&[
        ("enable_features", &[4]),
        ("set_header_value", &[1, 176, 7, 16, 3]),
        ("add_header_value", &[3, 16, 3, 32, 5]),
        ("add_header_value", &[3, 128, 4, 32, 5]),
        ("add_header_value", &[3, 192, 3, 32, 5]),
        ("remove_header", &[3, 192, 3]),
        ("get_header_names", &[3, OUT, 64]),
    ]);
    assert_eq!((answered.result(6), answered.memory(0, 9)), (pair(2, 9), &b"x-a\0x-up\0"[..]));
    assert_eq!(answered.response("trailer"), [&b"x-a"[..], b"x-up"]);
}

// covers http-wasm: set_header_value, add_header_value, remove_header
#[test]
fn fields_that_are_none_and_come_too_late_end_the_call() {
    for function in ["set_header_value", "add_header_value"] {
        for (at, length) in NOWHERE {
            ends(function, &[0, 16, 3, at, length]);
        }
        // A value with a NUL in it.
        ends(function, &[0, 16, 3, 112, 3]);
    }
    for (function, value) in
        [("set_header_value", &[32, 5][..]), ("add_header_value", &[32, 5]), ("remove_header", &[])]
    {
        let call = |kind: i64, name: (i64, i64)| [&[kind, name.0, name.1][..], value].concat();
        for kind in UNKNOWN {
            ends(function, &call(kind, (16, 3)));
        }
        // Out of memory; no name, one with a space, and what is not UTF-8.
        for name in NOWHERE.into_iter().chain([(16, 0), (96, 3), (48, 2)]) {
            ends(function, &call(0, name));
        }
        // Trailers without the feature.
        ends(function, &call(2, (16, 3)));
        ends(function, &call(3, (16, 3)));
        // The request has gone on, and the response waits for nobody.
        ends_after(7, function, &call(0, (16, 3)));
        ends_after(7, function, &call(2, (16, 3)));
        ends_after(5, function, &call(1, (16, 3)));
        ends_after(5, function, &call(3, (16, 3)));
    }
}

/// Writes fields of other names as long as its time is, each with four letters.
const ENDLESS: &str = r#"(module
    (import "http_handler" "FUNCTION" (func $change (param i32 i32 i32 VALUE)))
    (memory (export "memory") 1)
    (func (export "handle_request") (result i64)
        (local $n i32)
        (loop $again
            (i32.store8 (i32.const 0) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
            (i32.store8 (i32.const 1)
                (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
            (i32.store8 (i32.const 2)
                (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
            (i32.store8 (i32.const 3) (i32.add (i32.const 97) (i32.shr_u (local.get $n) (i32.const 12))))
            (call $change (i32.const 1) (i32.const 0) (i32.const 4) GIVEN)
            (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 40000))))
        (i64.const 0))
    (func (export "handle_response") (param i32 i32)))"#;

#[test]
fn a_guest_that_writes_fields_without_end_is_ended() {
    let engine = Engine::new().unwrap();
    for function in ["set_header_value", "add_header_value", "remove_header"] {
        let (value, given) =
            if function == "remove_header" { ("", "") } else { ("i32 i32", "(i32.const 0) (i32.const 1)") };
        let text = ENDLESS.replace("FUNCTION", function).replace("VALUE", value).replace("GIVEN", given);
        let mut env = env("null");
        env.limits.time = Duration::from_secs(60);
        let filter = runtime().block_on(HttpWasm::load(&engine, &artifact(&engine, &text), env)).unwrap();
        match runtime().block_on(filter.call(Phase::RequestHeaders, &mut exchange())) {
            Outcome::Fault(fault) => assert!(fault.message.contains("no room"), "{function}: {}", fault.message),
            other => panic!("{function}: {other:?}"),
        }
    }
}

// covers http-wasm: read_body, write_body
#[test]
fn bodies_are_read_and_written_by_the_piece() {
    let reads: [Call<'_>; 4] = [
        ("read_body", &[0, OUT, 4]),
        ("read_body", &[0, OUT + 4, 64]),
        ("read_body", &[0, OUT + 16, 1]),
        // Of the response there is nothing yet.
        ("read_body", &[1, OUT + 16, 64]),
    ];
    let told = Guest { before: &reads, body: "some text", ..Guest::default() }.handled();
    assert_eq!([0, 1, 2, 3].map(|number| told.result(number)), [4, pair(1, 5), pair(1, 0), pair(1, 0)]);
    assert_eq!((told.memory(0, 10), told.memory(16, 4)), (&b"some text\0"[..], &[0; 4][..]));
    // What is read is gone, unless the feature keeps it.
    let sent = |before: &[Call<'_>]| Guest { before, next: true, body: "some text", ..Guest::default() }.handled().sent;
    assert_eq!(sent(&[("read_body", &[0, OUT, 4])]), b" text");
    assert_eq!(sent(&[("enable_features", &[1]), ("read_body", &[0, OUT, 4])]), b"some text");
    assert_eq!(sent(&[("write_body", &[0, 32, 5]), ("write_body", &[0, 48, 2])]), b"value\xff\xfe");
    assert_eq!(sent(&[("write_body", &[0, 32, 0])]), b"");
    let features: [Call<'_>; 1] = [("enable_features", &[3])];
    let reads: [Call<'_>; 3] =
        [("read_body", &[1, OUT, 3]), ("read_body", &[1, OUT + 3, 64]), ("read_body", &[0, OUT + 16, 64])];
    let told =
        Guest { before: &features, next: true, after: &reads, shows: true, body: "some text", ..Guest::default() }
            .handled();
    assert_eq!([0, 1, 2].map(|number| told.result(number)), [3, pair(1, 3), pair(1, 0)]);
    assert_eq!(told.memory(0, 7), b"a body\0");
    let body = |after: &[Call<'_>]| Guest { before: &features, next: true, after, ..Guest::default() }.handled().body;
    assert_eq!(body(&[("write_body", &[1, 32, 5])]), b"value");
    assert_eq!(body(&[("write_body", &[1, 32, 0])]), b"");
    assert_eq!(body(&[("read_body", &[1, OUT, 3])]), b"a body");
}

// covers http-wasm: read_body, write_body
#[test]
fn bodies_that_there_are_not_and_places_that_are_none_end_the_call() {
    for kind in [2, 3].into_iter().chain(UNKNOWN) {
        ends("read_body", &[kind, OUT, 64]);
        ends("write_body", &[kind, 32, 5]);
    }
    for (at, length) in NOWHERE {
        ends("read_body", &[0, at, length]);
        ends("read_body", &[1, at, length]);
        ends("write_body", &[0, at, length]);
        ends("write_body", &[1, at, length]);
    }
    // Room for nothing would never see the end.
    ends("read_body", &[0, OUT, 0]);
    // The request has gone on, and the response waits for nobody.
    ends_after(6, "read_body", &[0, OUT, 64]);
    ends_after(5, "read_body", &[1, OUT, 64]);
    ends_after(7, "write_body", &[0, 32, 5]);
    ends_after(5, "write_body", &[1, 32, 5]);
    // As much as a body may have, and one byte more.
    for kind in [0, 1] {
        let whole: Call<'_> = ("write_body", &[kind, 0, 65_536]);
        Guest { before: &[whole], next: true, ..Guest::default() }.handled();
        Guest { before: &[whole, ("write_body", &[kind, 0, 1])], next: true, ..Guest::default() }.is_ended();
    }
}

// covers http-wasm: get_status_code, set_status_code
#[test]
fn statuses_are_those_of_final_responses() {
    let told = answer(&[("get_status_code", &[]), ("set_status_code", &[418]), ("get_status_code", &[])]);
    assert_eq!((told.result(0), told.result(2), told.status()), (200, 418, 418));
    let status = |features: i64, after: &[Call<'_>]| {
        let before: [Call<'_>; 2] = [("enable_features", &[features]), ("set_status_code", &[203])];
        Guest { before: &before, next: true, after, ..Guest::default() }.handled().status()
    };
    // It holds, unless the response waits: then it is the next handler's, until the guest sets it.
    assert_eq!(status(0, &[("get_status_code", &[])]), 203);
    assert_eq!(status(2, &[("get_status_code", &[])]), 200);
    assert_eq!(status(2, &[("set_status_code", &[599])]), 599);
    for none in [0, 99, 100, 101, 199, 600, 65_736, -1, i64::from(i32::MIN)] {
        ends("set_status_code", &[none]);
        ends_after(2, "set_status_code", &[none]);
    }
    ends_after(5, "set_status_code", &[200]);
}

// covers http-wasm: log, log_enabled
#[test]
fn anything_can_be_logged_that_is_in_memory() {
    let levels = [i64::from(i32::MIN), -1, 0, 1, 2, 3, 99, i64::from(i32::MAX)];
    for level in levels {
        answer(&[
            ("log", &[level, 16, 3]),
            ("log", &[level, 48, 2]),
            ("log", &[level, 0, 0]),
            ("log", &[level, 0, 65_536]),
        ]);
        for (at, length) in NOWHERE {
            ends("log", &[level, at, length]);
        }
    }
    // What is no level is never logged.
    let told = answer(&[("log_enabled", &[3]), ("log_enabled", &[99]), ("log_enabled", &[i64::from(i32::MAX)])]);
    assert_eq!([0, 1, 2].map(|number| told.result(number)), [0; 3]);
}

// covers http-wasm: enable_features
#[test]
fn features_are_those_that_there_are_and_hold_from_before_the_next_handler() {
    let enable = |features: &'static [i64]| -> Call<'static> { ("enable_features", features) };
    let told = answer(&[enable(&[0]), enable(&[1]), enable(&[8]), enable(&[6]), enable(&[-1])]);
    assert_eq!([0, 1, 2, 3, 4].map(|number| told.result(number)), [0, 1, 1, 7, 7]);
    // It is too late when the next handler has answered.
    let late = Guest { before: &[enable(&[2])], next: true, after: &[enable(&[5])], shows: true, ..Guest::default() };
    assert_eq!(late.handled().result(0), 2);
    // Those of the start hold for each request, and those of a request for that one.
    let before = [enable(&[0]), enable(&[1])];
    let started = Guest { start: &[enable(&[2])], before: &before, ..Guest::default() };
    let filter = started.load().unwrap();
    for _ in 0..2 {
        let told = started.run(&filter, Method::POST).unwrap();
        assert_eq!((told.result(0), told.result(1)), (2, 3));
    }
}

#[test]
fn while_a_guest_starts_there_is_no_request() {
    let starts = |call: Call<'_>| Guest { start: &[call], ..Guest::default() }.load().map(drop);
    for call in [("enable_features", &[7][..]), ("get_config", &[OUT, 64]), ("log_enabled", &[1]), ("log", &[1, 16, 3])]
    {
        starts(call).unwrap();
    }
    for call in [
        ("get_method", &[OUT, 64][..]),
        ("set_method", &[64, 3]),
        ("get_uri", &[OUT, 64]),
        ("set_uri", &[80, 6]),
        ("get_protocol_version", &[OUT, 64]),
        ("get_source_addr", &[OUT, 64]),
        ("get_header_names", &[0, OUT, 64]),
        ("get_header_values", &[0, 16, 3, OUT, 64]),
        ("set_header_value", &[0, 16, 3, 32, 5]),
        ("add_header_value", &[1, 16, 3, 32, 5]),
        ("remove_header", &[0, 16, 3]),
        ("read_body", &[0, OUT, 64]),
        ("write_body", &[1, 32, 5]),
        ("get_status_code", &[]),
        ("set_status_code", &[200]),
    ] {
        let refused = starts(call).unwrap_err().to_string();
        assert!(refused.contains("no request in hand"), "{}: {refused}", call.0);
    }
    assert!(starts(("log", &[1, 65_536, 1])).is_err());
}
