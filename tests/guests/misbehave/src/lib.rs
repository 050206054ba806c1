//! Fails in the phase and in the way that the request's header `x-misbehave` names, for example `request-headers=trap`.
//! With `configure` in its configuration it fails there.

use std::hint::black_box;

use gofe_plugin::{
    Body, BodyPolicy, ConfigErrors, Error, Flow, Options, Overflow, PhaseResult, Plugin, Reply, Request, Response,
};
use serde::Deserialize;

struct Misbehave {
    buffer: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How to fail while it is configured.
    configure: String,
    /// Whether it sees bodies whole.
    buffer: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { configure: "no".to_owned(), buffer: false }
    }
}

fn misbehave(how: &str) -> PhaseResult {
    match how {
        "trap" => panic!("asked to panic"),
        "loop" => {
            let mut turns = 0_u64;
            while black_box(turns) < u64::MAX {
                turns = black_box(turns.wrapping_add(1) % 1_000);
            }
        }
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        // More than a host should keep.
        "fields" => {
            let reply = (0..40_000).fold(Reply::new(418), |reply, number| reply.header(&format!("x-{number}"), "1"));
            return Ok(reply.into());
        }
        "fail" => return Err(Error::new("asked to fail")),
        "reply" => return Ok(Reply::new(418).text("asked to reply").into()),
        _ => {}
    }
    Ok(Flow::Continue)
}

fn in_phase(phase: &str, request: &Request) -> PhaseResult {
    match request.header_str("x-misbehave") {
        Some(wanted) => {
            wanted.strip_prefix(phase).and_then(|how| how.strip_prefix('=')).map_or(Ok(Flow::Continue), misbehave)
        }
        None => Ok(Flow::Continue),
    }
}

#[gofe_plugin::plugin]
impl Plugin for Misbehave {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let _ = misbehave(&config.configure);
        Ok(Self { buffer: config.buffer })
    }

    fn options(&self) -> Options {
        if self.buffer {
            let policy = BodyPolicy::Buffer { limit: 1 << 20, overflow: Overflow::Reject };
            Options::new().request_body(policy).response_body(policy)
        } else {
            Options::new()
        }
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        if request.header_str("x-misbehave").as_deref() == Some("request-headers=overlapping") {
            // A thousand values, all of which are the same bytes in memory.
            let (name, value) = ("x-a", vec![b'a'; 60_000]);
            request.set_headers(&vec![(name, Some(&value[..])); 1000])?;
        }
        in_phase("request-headers", request)
    }

    fn request_body(&self, request: &Request, body: &Body) -> PhaseResult {
        if String::from_utf8_lossy(&body.bytes()).contains("forbidden") {
            return Ok(Reply::new(403).text("a forbidden body").into());
        }
        in_phase("request-body", request)
    }

    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        if request.header_str("x-misbehave").as_deref() == Some("response-headers=each-field") {
            for number in 0..40_000 {
                response.add_header(&format!("x-{number}"), "1")?;
            }
        }
        response.set_header("x-misbehave-saw", "response-headers")?;
        in_phase("response-headers", request)
    }

    fn response_body(&self, request: &Request, _: &Response, _: &Body) -> PhaseResult {
        in_phase("response-body", request)
    }

    fn complete(&self, request: &Request, _: &Response) {
        let _ = in_phase("complete", request);
    }
}
