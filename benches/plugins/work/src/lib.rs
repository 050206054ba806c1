//! Does one kind of work, as often as its configuration says, in one phase: `{ do: header-get, times: 10 }`.

use std::hint::black_box;
use std::time::Duration;

use gofe_plugin::{
    Body, ConfigErrors, Flow, Options, PhaseResult, Phases, Plugin, Request, Response, key_value, limiter, log,
};
use serde::Deserialize;

/// How long what is stored lasts: longer than any measurement.
const HOUR: Duration = Duration::from_secs(3600);
/// What is written, wherever something is.
const VALUE: &str = "a value of some bytes";

struct Work(Config);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The kind of work.
    r#do: Kind,
    /// How often it is done in one call.
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Nothing,
    HeaderGet,
    HeaderSet,
    ResponseHeaderSet,
    AttributeGet,
    AttributeSet,
    KeyValueGet,
    KeyValueSet,
    TokenBucket,
    BodyChunk,
    LogLine,
}

impl Kind {
    /// The one phase in which it is done.
    fn phase(self) -> Phases {
        match self {
            Self::ResponseHeaderSet => Phases::RESPONSE_HEADERS,
            Self::BodyChunk => Phases::REQUEST_BODY,
            _ => Phases::REQUEST_HEADERS,
        }
    }

    fn work(self, request: &Request) -> PhaseResult {
        match self {
            Self::HeaderGet => drop(black_box(request.header("user-agent"))),
            Self::HeaderSet => request.set_header("x-work", VALUE)?,
            Self::AttributeGet => {
                if black_box(request.attributes().get("work")).is_none() {
                    request.attributes().set("work", VALUE);
                }
            }
            Self::AttributeSet => {
                black_box(request.attributes().set("work", VALUE));
            }
            Self::KeyValueGet => {
                if black_box(key_value::get("work"))?.is_none() {
                    key_value::set("work", VALUE, HOUR)?;
                }
            }
            Self::KeyValueSet => key_value::set("work", VALUE, HOUR)?,
            Self::TokenBucket => {
                black_box(limiter::take("work", 1, 1_000_000, Duration::from_secs(1), 1_000_000));
            }
            Self::LogLine => log::write(log::Level::Info, VALUE),
            Self::Nothing | Self::ResponseHeaderSet | Self::BodyChunk => {}
        }
        Ok(Flow::Continue)
    }
}

#[gofe_plugin::plugin]
impl Plugin for Work {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }

    fn options(&self) -> Options {
        Options::new().without(Phases::all().difference(self.0.r#do.phase()))
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        for _ in 0..self.0.times {
            self.0.r#do.work(request)?;
        }
        Ok(Flow::Continue)
    }

    fn request_body(&self, _: &Request, body: &Body) -> PhaseResult {
        for _ in 0..self.0.times {
            drop(black_box(body.bytes()));
        }
        Ok(Flow::Continue)
    }

    fn response_headers(&self, _: &Request, response: &Response) -> PhaseResult {
        for _ in 0..self.0.times {
            response.set_header("x-work", VALUE)?;
        }
        Ok(Flow::Continue)
    }
}
