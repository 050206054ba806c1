//! Built for `wasm32-wasip2`: prints to stdout and stderr, and says what it sees of files and the environment.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "that is what this guest is for")]

use gofe_plugin::{ConfigErrors, Flow, PhaseResult, Plugin, Request, Response};
use serde::Deserialize;

struct Wasi;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

#[gofe_plugin::plugin]
impl Plugin for Wasi {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        println!("stdout of {}", request.path());
        eprintln!("stderr of {}", request.path());
        let file = std::fs::read("/etc/hostname").is_ok();
        let variables = std::env::vars().count();
        let socket = std::net::TcpStream::connect("127.0.0.1:80").map_err(|error| error.kind());
        response.set_header("x-sandbox", format!("file={file} variables={variables} socket={}", socket.is_ok()))?;
        Ok(Flow::Continue)
    }
}
