//! What is in a plugin's file, for `gofe plugin inspect`.

use serde::Serialize;

use super::recognise::{Abi, Shape, is_of};
use super::{ArtifactError, Digest};

/// The host functions of http-wasm: all of them.
pub(super) const HTTP_WASM: [&str; 19] = [
    "add_header_value",
    "enable_features",
    "get_config",
    "get_header_names",
    "get_header_values",
    "get_method",
    "get_protocol_version",
    "get_source_addr",
    "get_status_code",
    "get_uri",
    "log",
    "log_enabled",
    "read_body",
    "remove_header",
    "set_header_value",
    "set_method",
    "set_status_code",
    "set_uri",
    "write_body",
];

/// What a file says of itself.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The ABI and its version.
    pub abi: &'static str,
    /// `component` or `core module`.
    pub kind: &'static str,
    /// Bytes of the file.
    pub size: usize,
    /// Its digest, as `digest:` in the YAML has it.
    pub digest: String,
    /// The phases that it has functions for.
    pub phases: Vec<&'static str>,
    /// Memory in bytes.
    pub memory: Option<Memory>,
    /// What it asks its host for.
    pub imports: Vec<Import>,
    /// Languages and tools that made it, with their versions.
    pub toolchain: Vec<String>,
}

/// Linear memory in bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// At the start.
    pub initial: u64,
    /// At most, where the file says.
    pub maximum: Option<u64>,
}

/// One import.
#[derive(Debug, Serialize)]
pub struct Import {
    /// Interface, or module and function.
    pub name: String,
    /// What it gets.
    pub answer: Answer,
    /// What the YAML must have, where it is granted only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<&'static str>,
}

/// What becomes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Every plugin has it.
    Granted,
    /// It is denied unless the YAML allows it.
    Refused,
    /// It is there, and leads nowhere: no files, no sockets, no environment.
    Empty,
    /// gofe does not have it: the plugin cannot be loaded.
    Missing,
}

impl Report {
    /// Reads a plugin's file without running it.
    ///
    /// # Errors
    /// When it is not a plugin of an ABI that gofe knows.
    pub fn of(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let shape = Shape::read(bytes)?;
        let abi = shape.abi()?;
        let page = |pages: u64| pages.saturating_mul(64 << 10);
        let toolchain =
            shape.producers.iter().map(|((_, name), version)| format!("{name} {version}").trim().to_owned());
        Ok(Self {
            abi: abi.name(),
            kind: if shape.component { "component" } else { "core module" },
            size: bytes.len(),
            digest: format!("sha256:{}", Digest::of(bytes)),
            phases: phases(abi, &shape),
            memory: shape
                .memory
                .map(|(initial, maximum)| Memory { initial: page(initial), maximum: maximum.map(page) }),
            imports: shape.imports.iter().map(|(module, name)| import(abi, module, name)).collect(),
            toolchain: toolchain.collect(),
        })
    }
}

fn import(abi: Abi, module: &str, name: &str) -> Import {
    let (answer, allow) = answer(abi, module, name);
    let name = if name.is_empty() { module.to_owned() } else { format!("{module}.{name}") };
    Import { name, answer, allow }
}

fn answer(abi: Abi, module: &str, name: &str) -> (Answer, Option<&'static str>) {
    if module.starts_with("wasi:http/") {
        return match abi {
            Abi::WasiHttp(_)
                if is_of(module, "wasi:http/outgoing-handler@0.2") || is_of(module, "wasi:http/client@0.3") =>
            {
                (Answer::Refused, Some("allow.http"))
            }
            Abi::WasiHttp(_) => (Answer::Granted, None),
            _ => (Answer::Missing, None),
        };
    }
    if module.starts_with("wasi:") || module == "wasi_snapshot_preview1" {
        return (Answer::Empty, None);
    }
    match abi {
        Abi::HttpWasm if module == "http_handler" && HTTP_WASM.contains(&name) => (Answer::Granted, None),
        Abi::ProxyWasm(_) if module == "env" && name.starts_with("proxy_") => match name {
            "proxy_http_call" | "proxy_grpc_call" | "proxy_grpc_stream" => (Answer::Refused, Some("allow.http")),
            _ => (Answer::Granted, None),
        },
        Abi::Gofe => gofe(module),
        _ => (Answer::Missing, None),
    }
}

/// An interface of gofe's own world.
fn gofe(module: &str) -> (Answer, Option<&'static str>) {
    let interface = module.strip_prefix("gofe:plugin/").and_then(|rest| rest.split_once("@0.1."));
    match interface.map(|(name, _)| name) {
        Some("outbound") => (Answer::Refused, Some("allow.http")),
        Some("key-value") => (Answer::Refused, Some("allow.key-value")),
        Some("metrics") => (Answer::Refused, Some("allow.metrics")),
        Some("secrets") => (Answer::Refused, Some("allow.secrets")),
        // `types` has no functions.
        Some(name) if name == "types" || super::component::has_interface(name) => (Answer::Granted, None),
        _ => (Answer::Missing, None),
    }
}

fn phases(abi: Abi, shape: &Shape) -> Vec<&'static str> {
    let exports = |names: &[&str]| {
        let found =
            |name: &&str| shape.exports.iter().any(|export| export == name || export.starts_with(&format!("{name}@")));
        names.iter().any(found)
    };
    let table: &[(&'static str, &[&str])] = match abi {
        Abi::Gofe => &[
            ("request-headers", &["gofe:plugin/on-request-headers"]),
            ("request-body", &["gofe:plugin/on-request-body"]),
            ("response-headers", &["gofe:plugin/on-response-headers"]),
            ("response-body", &["gofe:plugin/on-response-body"]),
            ("complete", &["gofe:plugin/on-complete"]),
            ("tick", &["gofe:plugin/on-tick"]),
        ],
        Abi::HttpWasm => &[("request-headers", &["handle_request"]), ("response-headers", &["handle_response"])],
        Abi::ProxyWasm(_) => &[
            ("request-headers", &["proxy_on_request_headers"]),
            ("request-body", &["proxy_on_request_body", "proxy_on_request_trailers"]),
            ("response-headers", &["proxy_on_response_headers"]),
            ("response-body", &["proxy_on_response_body", "proxy_on_response_trailers"]),
            ("complete", &["proxy_on_log", "proxy_on_done", "proxy_on_delete"]),
            ("tick", &["proxy_on_tick"]),
        ],
        Abi::WasiHttp(_) => &[],
    };
    table.iter().filter(|(_, names)| exports(names)).map(|(phase, _)| *phase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Report};

    #[test]
    fn a_standard_plugin_is_read() {
        let report = Report::of(include_bytes!("../../../plugins/dist/rate-limit.wasm")).unwrap();
        assert_eq!((report.abi, report.kind), ("gofe:plugin@0.1", "core module"));
        assert!(report.memory.is_some_and(|memory| memory.initial >= 64 << 10));
        assert!(report.imports.iter().all(|import| import.answer != Answer::Missing), "{:?}", report.imports);
    }

    #[test]
    fn imports_are_granted_empty_or_missing() {
        let text = r#"(module (import "http_handler" "log" (func)) (import "http_handler" "get_url" (func))
            (import "wasi_snapshot_preview1" "fd_write" (func)) (import "env" "f" (func)) (memory 2)
            (func (export "handle_request")))"#;
        let report = Report::of(&wat::parse_str(text).unwrap()).unwrap();
        let answers: Vec<_> = report.imports.iter().map(|import| import.answer).collect();
        assert_eq!(answers, [Answer::Granted, Answer::Missing, Answer::Empty, Answer::Missing]);
        assert_eq!(report.phases, ["request-headers"]);
        assert_eq!(report.memory.map(|memory| memory.initial), Some(128 << 10));
    }
}
