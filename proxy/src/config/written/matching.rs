//! How the values of a route's `match` are written.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::{Written, is_host};
use crate::config::model::{HostPattern, PathPattern, Pattern, Segment};
use crate::config::path::normalized;

/// The most bytes that an expression may be, and that it may become when it is compiled.
const MAX_PATTERN: usize = 1000;
const MAX_COMPILED: usize = 1 << 20;

/// Compiles a regular expression. Its time is linear in what it looks at; these bounds hold its memory.
pub(in crate::config) fn expression(text: &str, whole: bool) -> Result<Pattern, String> {
    if text.len() > MAX_PATTERN {
        return Err(format!("the expression has more than {MAX_PATTERN} bytes"));
    }
    let compile = |text: &str| -> Result<Regex, regex::Error> {
        RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(50).build()
    };
    let compiled = match whole {
        // What is wrong with it is said of the text as it was written.
        true => compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z"))),
        false => compile(text),
    };
    compiled.map(|regex| Pattern::new(text, regex)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("`{text}` needs more than 1 MiB when it is compiled\nmake its repetitions smaller")
        }
        error => {
            let reason = error.to_string();
            let reason = reason.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("`{text}` is not a regular expression: {reason}")
        }
    })
}

/// An expression that must match all of a value.
#[derive(Debug, Clone)]
pub(in crate::config) struct Whole(pub(in crate::config) Pattern);

impl Written for Whole {
    const WHAT: &'static str = "a regular expression in quotes, as in `'/users/[0-9]+'`";

    fn read(text: &str) -> Result<Self, String> {
        expression(text, true).map(Self)
    }
}

/// A network, or one address.
#[derive(Debug, Clone)]
pub(in crate::config) struct Network(pub(in crate::config) IpNet);

impl Written for Network {
    const WHAT: &'static str = "a network, as in `10.0.0.0/8`, or an IP address";

    fn read(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network
            .map_err(|_| format!("`{text}` is not a network\nwrite one as in `10.0.0.0/8`, or an IP address"))?;
        if network.addr() != network.network() {
            return Err(format!("`{text}` has bits behind its prefix\nwrite `{}`", network.trunc()));
        }
        Ok(Self(network))
    }
}

const PATH_HELP: &str =
    "write an exact path, as in `/a/b`, everything below one, as in `/a/**`, or a template, as in `/a/{id}`";

impl Written for PathPattern {
    const WHAT: &'static str = "a path, as in `/a/b`, `/a/**` or `/a/{id}`";

    fn read(text: &str) -> Result<Self, String> {
        let (path, prefix) = match text.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (text, false),
        };
        if !text.starts_with('/') {
            return Err(format!("a path begins with `/`\n{PATH_HELP}"));
        }
        if path.contains('*') {
            return Err(format!("`{text}` has a wildcard that is not supported\n{PATH_HELP}"));
        }
        if path.contains(['{', '}']) {
            return if prefix {
                Err("`**` does not follow a capture\nwrite `{rest...}` in its place".to_owned())
            } else {
                template(text).map(Self::Template)
            };
        }
        plain(path, prefix)?;
        Ok(if prefix { Self::Prefix(path.to_owned()) } else { Self::Exact(path.to_owned()) })
    }
}

/// Checks a path that is compared as it is written.
fn plain(path: &str, prefix: bool) -> Result<(), String> {
    if !path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>\\^`|".contains(&b)) {
        return Err(format!("`{path}` has a character that no path has\nwrite it as `%` and two hexadecimal digits"));
    }
    match normalized(path) {
        None => Err("segments `.` and `..` never match: such requests are refused".to_owned()),
        Some(normal) if *normal != *path || (prefix && path.ends_with('/')) => {
            let normal = normal.trim_end_matches('/');
            Err(format!("this spelling never matches\nwrite `{normal}{}`", if prefix { "/**" } else { "" }))
        }
        Some(_) => Ok(()),
    }
}

/// Reads `/users/{id}/files/{rest...}`.
fn template(text: &str) -> Result<Vec<Segment>, String> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let parts: Vec<&str> = text[1..].split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            if part.contains(['{', '}']) {
                let help = "write `{name}` between slashes, or `path: { regex: … }`";
                return Err(format!("`{part}` is no capture: a capture is a whole segment\n{help}"));
            }
            segments.push(Segment::Literal((*part).to_owned()));
            continue;
        };
        let (name, rest) = inner.strip_suffix("...").map_or((inner, false), |name| (name, true));
        let right = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if name.is_empty() || !name.bytes().all(right) {
            return Err(format!("`{part}` is no capture\na capture's name has letters, digits, `-` and `_`"));
        }
        if names.contains(&name) {
            return Err(format!("`{text}` captures `{name}` twice"));
        }
        if rest && index + 1 < parts.len() {
            return Err(format!("`{part}` takes all that follows\nput it at the end"));
        }
        names.push(name);
        segments.push(if rest { Segment::Rest(name.to_owned()) } else { Segment::Capture(name.to_owned()) });
    }
    // What stands for a capture has nothing that could make a spelling of its own.
    let literal: String = segments
        .iter()
        .map(|s| if let Segment::Literal(text) = s { format!("/{text}") } else { "/x".to_owned() })
        .collect();
    match plain(&literal, false) {
        Err(reason) if reason.starts_with("this spelling") => {
            Err("this spelling never matches\nwrite single slashes, and unreserved characters as they are".to_owned())
        }
        Err(reason) => Err(reason),
        Ok(()) => Ok(segments),
    }
}

impl Written for HostPattern {
    const WHAT: &'static str = "a host, as in `example.com` or `*.example.com`";

    fn read(text: &str) -> Result<Self, String> {
        let help = "write a name without port, as in `example.com`, or all names below one, as in `*.example.com`";
        let host = text.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        match host.strip_prefix("*.") {
            _ if text == "*" => Err("`*` is not a host\nleave `host` out to take every host".to_owned()),
            Some(suffix) if is_host(suffix) && !suffix.starts_with('[') => Ok(Self::Suffix(suffix.to_owned())),
            None if is_host(host) => Ok(Self::Exact(host.to_owned())),
            _ if !text.is_ascii() => Err(format!("`{text}` is not ASCII\nwrite the name as `xn--…`")),
            _ => Err(format!("`{text}` is not a host\n{help}")),
        }
    }
}
