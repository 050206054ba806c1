//! Does in each phase what its configuration says, so that a test sees which phases ran, in which order, on which
//! instance, and what becomes of a body.

use std::sync::atomic::{AtomicU32, Ordering};

use gofe_plugin::{
    Body, BodyPolicy, ConfigErrors, Flow, Options, Overflow, PhaseResult, Plugin, Reply, Request, Response, output,
};
use serde::Deserialize;

/// The calls that this instance has served.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Added to `x-request-steps` and `x-response-steps`.
    name: String,
    #[serde(default)]
    request_body: See,
    #[serde(default)]
    response_body: See,
    /// The most that is buffered.
    #[serde(default)]
    limit: u64,
    /// Past the limit: let it pass.
    #[serde(default)]
    pass: bool,
    /// The phase that answers with 418 and its name.
    #[serde(default)]
    reply: String,
    /// Bodies with this text are refused with 403.
    #[serde(default)]
    forbidden: String,
    /// Letters of bodies become capitals.
    #[serde(default)]
    shout: bool,
    /// A line of output for each `complete`.
    #[serde(default)]
    complete: bool,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum See {
    #[default]
    None,
    Stream,
    Buffer,
}

struct Probe(Config);

impl Config {
    fn policy(&self, see: See) -> BodyPolicy {
        let overflow = if self.pass { Overflow::Pass } else { Overflow::Reject };
        match see {
            See::None => BodyPolicy::None,
            See::Stream => BodyPolicy::Stream,
            See::Buffer => BodyPolicy::Buffer { limit: self.limit, overflow },
        }
    }

    fn flow(&self, phase: &str) -> PhaseResult {
        if self.reply == phase {
            return Ok(Reply::new(418).text(phase).into());
        }
        Ok(Flow::Continue)
    }

    fn body(&self, phase: &str, body: &Body) -> PhaseResult {
        let bytes = body.bytes();
        let forbidden = self.forbidden.as_bytes();
        if !forbidden.is_empty() && bytes.windows(forbidden.len()).any(|window| window == forbidden) {
            return Ok(Reply::new(403).text("forbidden").into());
        }
        if self.shout {
            body.replace(bytes.to_ascii_uppercase());
        }
        self.flow(phase)
    }
}

#[gofe_plugin::plugin]
impl Plugin for Probe {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }

    fn options(&self) -> Options {
        let config = &self.0;
        Options::new()
            .request_body(config.policy(config.request_body))
            .response_body(config.policy(config.response_body))
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        CALLS.fetch_add(1, Ordering::Relaxed);
        request.add_header("x-request-steps", &self.0.name)?;
        self.0.flow("request-headers")
    }

    fn request_body(&self, request: &Request, body: &Body) -> PhaseResult {
        CALLS.fetch_add(1, Ordering::Relaxed);
        if self.0.request_body == See::Buffer {
            request.set_header("x-judged", body.size().to_string())?;
        }
        self.0.body("request-body", body)
    }

    fn response_headers(&self, _: &Request, response: &Response) -> PhaseResult {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        response.add_header("x-response-steps", &self.0.name)?;
        response.set_header("x-calls", calls.to_string())?;
        self.0.flow("response-headers")
    }

    fn response_body(&self, _: &Request, response: &Response, body: &Body) -> PhaseResult {
        CALLS.fetch_add(1, Ordering::Relaxed);
        if self.0.response_body == See::Buffer {
            response.set_header("x-judged", body.size().to_string())?;
        }
        self.0.body("response-body", body)
    }

    fn complete(&self, request: &Request, response: &Response) {
        if self.0.complete {
            output::write_line(format!("{} {} {}", self.0.name, request.path(), response.status()));
        }
    }
}
