//! A stream: does what the request asks for.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, MapType, MetricType};

use crate::root::UNDONE;

pub(crate) struct Stream {
    context: u32,
    vm: String,
    plugin: String,
    test: String,
    body: String,
    /// What gRPC has brought so far.
    heard: String,
}

impl Stream {
    pub(crate) fn new(context: u32, vm: String, plugin: String) -> Self {
        Self { context, vm, plugin, test: String::new(), body: String::new(), heard: String::new() }
    }

    fn say(&self, text: &str) -> Action {
        self.send_http_response(200, vec![("x-from", "guest")], Some(text.as_bytes()));
        Action::Pause
    }

    fn header(&self, name: &str) -> String {
        self.get_http_request_header(name).unwrap_or_default()
    }

    fn run(&mut self) -> Action {
        let test = self.test.clone();
        match test.as_str() {
            "configuration" | "local" | "headers" | "edit" | "replace-all" | "property" | "set-property" => {
                self.message(&test)
            }
            "shared" | "get-shared" | "enqueue" | "metrics" | "log" | "time" | "foreign" | "upstream" => {
                self.services(&test)
            }
            "call" | "call-resume" | "grpc" | "grpc-stream" | "grpc-cancel" => self.calls(&test),
            "close" | "trap" | "loop" | "pause" => self.ends(&test),
            _ => Action::Continue,
        }
    }

    /// What it does with the message.
    fn message(&mut self, test: &str) -> Action {
        match test {
            "configuration" => self.say(&format!("{}|{}", self.vm, self.plugin)),
            "local" => {
                self.send_http_response(418, vec![("x-a", "1"), ("x-a", "2")], Some(b"short and stout"));
                Action::Pause
            }
            "headers" => self.headers(),
            "edit" => {
                self.set_http_request_header("x-new", Some("new"));
                self.add_http_request_header("x-new", "again");
                self.set_http_request_header("x-gone", None);
                self.set_http_request_header(":path", Some("/changed?q=1"));
                self.set_http_request_header(":method", Some("PUT"));
                self.set_http_request_header(":authority", Some("other.example"));
                Action::Continue
            }
            "replace-all" => {
                self.set_http_request_headers(vec![(":path", "/all"), ("x-only", "this")]);
                Action::Continue
            }
            "property" => {
                let path = self.header("x-path");
                match self.get_property(path.split('.').collect()) {
                    Some(value) => self.say(&value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
                    None => self.say("none"),
                }
            }
            "set-property" => {
                self.set_property(vec!["my", "own"], Some(b"value"));
                self.say(&String::from_utf8(self.get_property(vec!["my", "own"]).unwrap()).unwrap())
            }
            _ => Action::Continue,
        }
    }

    /// What it asks of the host.
    fn services(&mut self, test: &str) -> Action {
        let target = self.header("x-target");
        match test {
            "shared" => self.shared(),
            "get-shared" => {
                let key = self.header("x-key");
                let value = self.get_shared_data(&key).0.unwrap_or_default();
                self.say(&String::from_utf8(value).unwrap())
            }
            "enqueue" => match self.resolve_shared_queue(&self.header("x-vm"), "q") {
                Some(queue) => {
                    self.enqueue_shared_queue(queue, Some(b"item")).unwrap();
                    self.say("queued")
                }
                None => self.say("no queue"),
            },
            "metrics" => self.metrics(),
            "log" => {
                for level in [
                    LogLevel::Trace,
                    LogLevel::Debug,
                    LogLevel::Info,
                    LogLevel::Warn,
                    LogLevel::Error,
                    LogLevel::Critical,
                ] {
                    hostcalls::log(level, &format!("at {level:?}")).unwrap();
                }
                self.say(&format!("{:?}", hostcalls::get_log_level().unwrap()))
            }
            "time" => self.say(&format!("{:?}", self.get_current_time())),
            "foreign" => {
                let deferred = hostcalls::call_foreign_function("gofe.defer", Some(b"\x07\0\0\0later"));
                let unknown = hostcalls::call_foreign_function("no.such", None);
                self.say(&format!("{deferred:?} {unknown:?}"))
            }
            "upstream" => {
                hostcalls::call_foreign_function("gofe.set_upstream", Some(target.as_bytes())).unwrap();
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    /// What it sends itself.
    fn calls(&mut self, test: &str) -> Action {
        let target = self.header("x-target");
        match test {
            "call" | "call-resume" => self.call(&target),
            "grpc" => {
                let sent = self.dispatch_grpc_call(
                    &target,
                    "demo.Echo",
                    "Say",
                    vec![("x-meta", b"1")],
                    Some(b"hello"),
                    Duration::from_secs(5),
                );
                if sent.is_ok() { Action::Pause } else { self.say(&format!("{sent:?}")) }
            }
            "grpc-stream" => {
                let stream = self.open_grpc_stream(&target, "demo.Echo", "Talk", vec![("x-meta", b"1")]).unwrap();
                self.send_grpc_stream_message(stream, Some(b"one"), false);
                self.send_grpc_stream_message(stream, Some(b"two"), true);
                Action::Pause
            }
            "grpc-cancel" => {
                let call = self.dispatch_grpc_call(&target, "demo.Echo", "Say", vec![], None, Duration::from_secs(5));
                self.cancel_grpc_call(call.unwrap());
                let stream = self.open_grpc_stream(&target, "demo.Echo", "Talk", vec![]).unwrap();
                self.close_grpc_stream(stream);
                self.cancel_grpc_stream(stream);
                self.say("cancelled")
            }
            _ => Action::Continue,
        }
    }

    /// How it ends.
    fn ends(&mut self, test: &str) -> Action {
        match test {
            "close" => {
                self.reset_http_request();
                Action::Pause
            }
            "trap" => panic!("as the request asked"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "pause" => {
                hostcalls::log(LogLevel::Info, "pauses").unwrap();
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    fn headers(&self) -> Action {
        let all = self.get_http_request_headers();
        let named = all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",");
        let one = self.header(":path");
        let host = self.header("host");
        let missing = self.get_http_request_header("x-missing");
        let trailers = self.get_http_request_trailers().len();
        self.say(&format!("{named}|{one}|{host}|{missing:?}|{trailers}|{}", self.header("x-twice")))
    }

    fn shared(&self) -> Action {
        self.set_shared_data("key", Some(b"1"), None).unwrap();
        let (value, version) = self.get_shared_data("key");
        let second = self.set_shared_data("key", Some(b"2"), version);
        let third = self.set_shared_data("key", Some(b"3"), version);
        let missing = self.get_shared_data("missing");
        self.say(&format!("{value:?} {second:?} {third:?} {missing:?}"))
    }

    fn metrics(&self) -> Action {
        let define = |kind, name| hostcalls::define_metric(kind, name).unwrap();
        let (counter, gauge, histogram) = (
            define(MetricType::Counter, "seen.requests"),
            define(MetricType::Gauge, "level"),
            define(MetricType::Histogram, "sizes"),
        );
        hostcalls::increment_metric(counter, 2).unwrap();
        hostcalls::record_metric(gauge, 7).unwrap();
        hostcalls::increment_metric(gauge, -3).unwrap();
        hostcalls::record_metric(histogram, 5).unwrap();
        let down = hostcalls::increment_metric(counter, -1);
        let unknown = hostcalls::get_metric(999);
        let values = (hostcalls::get_metric(counter).unwrap(), hostcalls::get_metric(gauge).unwrap());
        self.say(&format!("{values:?} {down:?} {unknown:?}"))
    }

    fn call(&self, target: &str) -> Action {
        let method = self.get_http_request_header("x-method").unwrap_or_else(|| "POST".to_owned());
        let headers =
            vec![(":method", &*method), (":path", "/called"), (":authority", "called.example"), ("x-sent", "yes")];
        match self.dispatch_http_call(target, headers, Some(b"asked"), vec![], Duration::from_secs(5)) {
            Ok(_) => Action::Pause,
            Err(status) => self.say(&format!("{status:?}")),
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, headers: usize, body: usize, trailers: usize) {
        let (code, message) = self.get_grpc_status();
        let status = self.get_http_call_response_header(":status").unwrap_or_default();
        let all = self.get_http_call_response_headers().len();
        let trailing = self.get_http_call_response_trailers().len();
        let body = self.get_http_call_response_body(0, body).unwrap_or_default();
        let body = String::from_utf8(body).unwrap();
        if self.test == "call-resume" {
            self.set_http_request_header("x-called", Some(&body));
            return self.resume_http_request();
        }
        let same = headers == all && trailers == trailing;
        self.say(&format!("{status}|{code}|{}|{same}|{body}", message.is_some()));
    }

    fn on_grpc_call_response(&mut self, _: u32, code: u32, length: usize) {
        let body = self.get_grpc_call_response_body(0, length).unwrap_or_default();
        let message = self.get_grpc_status().1.unwrap_or_default();
        self.say(&format!("{code}|{}|{message}", String::from_utf8(body).unwrap()));
    }

    fn on_grpc_stream_initial_metadata(&mut self, _: u32, _: u32) {
        let value = self.get_grpc_stream_initial_metadata_value("x-initial").unwrap_or_default();
        self.heard += &format!("initial {};", String::from_utf8(value).unwrap());
    }

    fn on_grpc_stream_message(&mut self, _: u32, length: usize) {
        let message = self.get_grpc_stream_message(0, length).unwrap_or_default();
        self.heard += &format!("message {};", String::from_utf8(message).unwrap());
    }

    fn on_grpc_stream_trailing_metadata(&mut self, _: u32, _: u32) {
        let value = self.get_grpc_stream_trailing_metadata_value("x-trailing").unwrap_or_default();
        self.heard += &format!("trailing {};", String::from_utf8(value).unwrap());
    }

    fn on_grpc_stream_close(&mut self, _: u32, code: u32) {
        self.say(&format!("{}closed {code}", self.heard));
    }

    fn on_done(&mut self) -> bool {
        if self.test == "undone" {
            UNDONE.with_borrow_mut(|undone| undone.push(self.context));
            return false;
        }
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        self.test = self.header("x-test");
        self.body = self.header("x-body");
        if self.test == "end" {
            return self.say(&format!("{end}"));
        }
        self.run()
    }

    fn on_http_request_body(&mut self, length: usize, end: bool) -> Action {
        match self.body.as_str() {
            "buffer" if !end => Action::Pause,
            "buffer" => {
                let whole = self.get_http_request_body(0, length).unwrap_or_default();
                self.set_http_request_body(0, length, format!("[{}]", String::from_utf8(whole).unwrap()).as_bytes());
                Action::Continue
            }
            "append" if end => {
                self.set_http_request_body(length, 0, b"+");
                Action::Continue
            }
            "refuse" => {
                self.send_http_response(403, vec![], Some(b"not this body"));
                Action::Pause
            }
            "trailers" if end => {
                hostcalls::add_map_value(MapType::HttpRequestTrailers, "x-added", "behind the body").unwrap();
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        let seen = self.get_http_request_trailer("x-trailer").unwrap_or_default();
        self.set_http_request_trailer("x-trailer", Some(&format!("{seen}, {count} seen")));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.body == "buffer-response" || self.body == "upper-response" {
            self.set_http_response_header("content-length", None);
        }
        match self.test.as_str() {
            "response" => {
                self.set_http_response_header("x-set", Some("set"));
                self.add_http_response_header("x-set", "twice");
                self.set_http_response_header(":status", Some("201"));
                let path = self.get_http_request_header(":path").unwrap_or_default();
                self.set_http_response_header("x-path", Some(&path));
                // The request is on its way: it can be read, and not changed.
                let late = hostcalls::get_map_value(MapType::HttpRequestHeaders, "x-test").is_ok();
                self.set_http_response_header("x-late", Some(&late.to_string()));
            }
            "instead" => {
                self.send_http_response(503, vec![], Some(b"instead"));
                return Action::Pause;
            }
            "pause-response" => return Action::Pause,
            _ => {}
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, length: usize, end: bool) -> Action {
        match self.body.as_str() {
            "buffer-response" if !end => Action::Pause,
            "buffer-response" => {
                let whole = self.get_http_response_body(0, length).unwrap_or_default();
                self.set_http_response_body(0, length, format!("<{}>", whole.len()).as_bytes());
                Action::Continue
            }
            "upper-response" => {
                let chunk = self.get_http_response_body(0, length).unwrap_or_default().to_ascii_uppercase();
                self.set_http_response_body(0, length, &chunk);
                Action::Continue
            }
            "longer-response" if end => {
                self.set_http_response_body(length, 0, b"and more");
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.set_http_response_trailer("x-counted", Some(&count.to_string()));
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.test == "logged" || self.test == "undone" {
            let status = self.get_http_response_header(":status").unwrap_or_default();
            hostcalls::log(LogLevel::Info, &format!("over: {} {status}", self.test)).unwrap();
        }
    }
}
