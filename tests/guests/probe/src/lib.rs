//! Calls the host interface that the request's header `x-probe` asks for, and answers with the result as text. The
//! header is a command and its arguments, split at spaces. A request without it goes on to the upstream, and so does one
//! whose command makes choices of `routing`.

mod routing;

use std::time::Duration;

use gofe_plugin::{
    ConfigErrors, Flow, Options, PhaseResult, Plugin, Reply, Request, Response, clock, key_value, limiter, log,
    metrics, outbound, output, random, secrets,
};
use serde::Deserialize;

/// How long counters and values last: longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

struct Probe(Config);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Milliseconds between ticks.
    tick: u64,
    /// What a tick asks for, besides counting.
    call: Option<String>,
}

fn run(command: &[&str]) -> String {
    match command {
        ["key-value", "get", key] => {
            let value = key_value::get(key);
            format!("{:?}", value.map(|value| value.map(|value| String::from_utf8_lossy(&value).into_owned())))
        }
        ["key-value", "set", key, value] => format!("{:?}", key_value::set(key, value, HOUR)),
        ["key-value", "delete", key] => format!("{:?}", key_value::delete(key)),
        ["limiter", "take", key, tokens] => {
            let decision = limiter::take(key, tokens.parse().unwrap_or(1), 1, HOUR, 5);
            format!("allowed={} remaining={}", decision.allowed, decision.remaining)
        }
        ["limiter", "add", key, delta] => limiter::add(key, delta.parse().unwrap_or(1), HOUR).to_string(),
        ["limiter", "get", key] => limiter::get(key).to_string(),
        ["metrics", "add", name] => format!("{:?}", metrics::add(name, &[("kind", "probe")], 3)),
        ["metrics", "set", name] => format!("{:?}", metrics::set(name, &[], 2.5)),
        ["metrics", "observe", name] => format!("{:?}", metrics::observe(name, &[], 0.25)),
        ["secrets", name] => {
            format!("{:?}", secrets::get(name).map(|secret| String::from_utf8_lossy(&secret).into_owned()))
        }
        ["output", line] => output::write_line(line).to_string(),
        ["log", line] => {
            log::write(log::Level::Warn, line);
            "logged".to_owned()
        }
        ["allowed", uri] => outbound::allowed(uri).to_string(),
        ["outbound", uri] => outbound_get(uri, 0),
        ["outbound", uri, milliseconds] => outbound_get(uri, milliseconds.parse().unwrap_or(0)),
        ["clock"] => (clock::now() > HOUR && clock::monotonic() > Duration::ZERO).to_string(),
        ["random"] => (random::u64() != random::u64() && random::bytes(40).len() == 40).to_string(),
        other => format!("no such command: {other:?}"),
    }
}

fn outbound_get(uri: &str, milliseconds: u64) -> String {
    match outbound::get(uri, Duration::from_millis(milliseconds)) {
        Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Err(error) => format!("{error:?}"),
    }
}

#[gofe_plugin::plugin]
impl Plugin for Probe {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }

    fn options(&self) -> Options {
        Options::new().tick(Duration::from_millis(self.0.tick))
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        if let Some(id) = request.header("x-id") {
            request.attributes().set("probe.id", id);
        }
        let Some(command) = request.header_str("x-probe") else { return Ok(Flow::Continue) };
        let command: Vec<&str> = command.split(' ').collect();
        if let ["method", name] = &command[..] {
            let refused = request.set_method(name).err().map_or("", |error| error.name());
            return Ok(Reply::new(200).text(&format!("{refused} {}", request.method())).into());
        }
        if let ["routing", choices @ ..] = &command[..] {
            return Ok(
                routing::choose(request, choices).map_or(Flow::Continue, |said| Reply::new(200).text(&said).into())
            );
        }
        Ok(Reply::new(200).text(&run(&command)).into())
    }

    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        if let Some(id) = request.attributes().get("probe.id") {
            response.set_header("x-id", id)?;
        }
        Ok(Flow::Continue)
    }

    fn tick(&self) {
        limiter::add("ticks", 1, HOUR);
        if let Some(command) = &self.0.call {
            run(&command.split(' ').collect::<Vec<_>>());
        }
    }
}
