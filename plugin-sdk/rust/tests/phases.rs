//! A plugin of all phases in the mock: what it is called with, and what becomes of what it returns.

use std::cell::RefCell;
use std::time::Duration;

use gofe_plugin::prelude::*;
use gofe_plugin::{HeaderError, MessageError, Overflow, Phases, clock, key_value, metrics, outbound, random, secrets};
use mock::Host;

/// Writes down what happens, and does what the configuration says.
struct Recorder {
    config: Config,
    calls: RefCell<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    buffer: Option<u64>,
    tick_seconds: u64,
    fail: bool,
    reply_in_response: bool,
    without_complete: bool,
}

impl Recorder {
    fn record(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }
}

#[gofe_plugin::plugin]
impl Plugin for Recorder {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { config, calls: RefCell::default() })
    }

    fn options(&self) -> Options {
        let policy = |limit| BodyPolicy::Buffer { limit, overflow: Overflow::Reject };
        let body = self.config.buffer.map_or(BodyPolicy::Stream, policy);
        let options = Options::new().request_body(body).tick(Duration::from_secs(self.config.tick_seconds));
        if self.config.without_complete { options.without(Phases::COMPLETE) } else { options }
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        self.record(format!("headers {}", request.path()));
        if self.config.fail {
            return Err(Error::new("no way"));
        }
        Ok(Flow::Continue)
    }

    fn request_body(&self, request: &Request, body: &Body) -> PhaseResult {
        self.record(format!("body {} {}", String::from_utf8_lossy(&body.bytes()), body.is_last()));
        body.replace(body.bytes().to_ascii_uppercase());
        if self.config.buffer.is_some() {
            request.set_header("x-size", body.size().to_string())?;
        }
        Ok(Flow::Continue)
    }

    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        self.record(format!("response {}", response.status()));
        assert_eq!(request.set_header("x-late", "1"), Err(HeaderError::TooLate));
        assert_eq!(request.set_method("PUT"), Err(MessageError::TooLate));
        response.add_header("x-seen", "1")?;
        if self.config.reply_in_response {
            return Ok(Reply::new(418).text("teapot").into());
        }
        Ok(Flow::Continue)
    }

    fn complete(&self, _: &Request, response: &Response) {
        self.record(format!("complete {}", response.status()));
    }

    fn tick(&self) {
        self.record("tick");
    }
}

fn load(configuration: &str) -> mock::Loaded<Recorder> {
    Host::new().load(configuration).unwrap()
}

fn calls(plugin: &mock::Loaded<Recorder>) -> Vec<String> {
    plugin.plugin.calls.borrow().clone()
}

#[test]
fn the_phases_are_those_that_are_written_and_wanted() {
    let phases = load("{}").interest.phases;
    let written = Phases::REQUEST_HEADERS | Phases::REQUEST_BODY | Phases::RESPONSE_HEADERS | Phases::COMPLETE;
    assert_eq!(phases, written);
    let narrowed = load(r#"{ "without_complete": true, "tick_seconds": 5 }"#).interest;
    assert_eq!(narrowed.phases, (written - Phases::COMPLETE) | Phases::TICK);
    assert_eq!(narrowed.tick_interval, 5_000_000_000);
}

#[test]
fn a_request_runs_through_the_phases_in_order() {
    let plugin = load("{}");
    let exchange = plugin.send_to(mock::Request::post("/p?q", "hello").chunks_of(3), |request| {
        assert_eq!(request.body(), b"HELLO");
        mock::Response::new(204)
    });
    assert_eq!(exchange.response().header("x-seen"), Some("1"));
    assert_eq!(calls(&plugin), ["headers /p", "body hel false", "body lo true", "response 204", "complete 204"]);
}

#[test]
fn a_buffered_body_is_seen_whole_and_headers_can_still_change() {
    let plugin = load(r#"{ "buffer": 5 }"#);
    let exchange = plugin.send(mock::Request::post("/", "hello").chunks_of(1));
    let sent = exchange.upstream_request().unwrap();
    assert_eq!((sent.body(), sent.header("x-size")), (&b"HELLO"[..], Some("5")));
    let too_long = plugin.send(mock::Request::post("/", "hello!"));
    assert!(too_long.upstream_request().is_none());
    assert_eq!(too_long.response().status(), 413);
}

#[test]
fn an_error_fails_the_request() {
    let plugin = load(r#"{ "fail": true }"#);
    let exchange = plugin.send(mock::Request::get("/"));
    assert_eq!(exchange.failure(), Some("no way"));
    assert_eq!(exchange.response().status(), 500);
    assert_eq!(calls(&plugin), ["headers /", "complete 500"]);
}

#[test]
fn a_reply_takes_the_place_of_the_response() {
    let exchange = load(r#"{ "reply_in_response": true }"#).send(mock::Request::get("/"));
    assert_eq!((exchange.response().status(), exchange.response().body().as_str()), (418, "teapot"));
}

#[test]
fn the_timer_has_no_request() {
    let plugin = load(r#"{ "tick_seconds": 1 }"#);
    plugin.tick();
    assert_eq!(calls(&plugin), ["tick"]);
}

#[test]
fn nothing_is_granted_at_first() {
    let _nothing = Host::new();
    assert_eq!(key_value::get("k"), Err(key_value::StoreError::Denied));
    assert_eq!(secrets::get("s"), Err(secrets::SecretError::Denied));
    assert_eq!(metrics::add("m", &[], 1), Err(metrics::MetricError::Denied));
    assert!(!outbound::allowed("http://example.com/"));
    let host = Host::new().key_value().metrics().secret("s", "x").http("example.com:80");
    key_value::set("k", "v", Duration::from_secs(1)).unwrap();
    assert_eq!(key_value::get("k"), Ok(Some(b"v".to_vec())));
    host.advance(Duration::from_secs(1));
    assert_eq!(key_value::get("k"), Ok(None));
    assert_eq!(secrets::get("s"), Ok(b"x".to_vec()));
    metrics::add("m", &[("a", "b")], 2).unwrap();
    assert_eq!(host.metric("m", &[("a", "b")]), Some(2.0));
    assert!(outbound::allowed("http://example.com/"));
}

#[test]
fn clocks_and_numbers_are_the_same_in_each_test() {
    let host = Host::new();
    assert_eq!(clock::now(), Duration::from_secs(1_767_225_600));
    host.advance(Duration::from_millis(5));
    assert_eq!(clock::now(), Duration::from_millis(1_767_225_600_005));
    let number = random::u64();
    assert_eq!((Host::new(), random::u64()).1, number);
    assert_eq!(random::bytes(3).len(), 3);
}
