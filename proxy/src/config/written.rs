//! Single values: how each type is written in the file.
//!
//! What `read` says is wrong may have a second line, which becomes the help line of the diagnostic.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use http::{Method, StatusCode};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::model::{Backend, InstanceMode, LogFormat, OnError, Output, PluginSource, Protocol};
use super::{STANDARD_PLUGINS, nearest};

/// A type that is written as one word or number.
pub(super) trait Written: Sized {
    /// What to write, for "expected …".
    const WHAT: &'static str;

    /// Reads a string.
    fn read(text: &str) -> Result<Self, String>;

    /// Reads what is not a string, where the type has such a form.
    fn read_plain(_plain: Plain) -> Option<Self> {
        None
    }
}

/// A scalar that is not a string.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    Number(u64),
    Fraction(f64),
}

/// Lets serde read a [`Written`] type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct As<T>(pub(super) T);

impl<'de, T: Written> Deserialize<'de> for As<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData)).map(As)
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::read_plain(Plain::Number(value)).ok_or_else(|| E::invalid_type(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        T::read_plain(Plain::Fraction(value)).ok_or_else(|| E::invalid_type(Unexpected::Float(value), &self))
    }
}

/// One of a few words.
fn one_of<T: Written + Clone>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(value.clone());
    }
    let help = nearest(text, words.iter().map(|(word, _)| *word));
    let help = help.map(|name| format!("\ndid you mean `{name}`?")).unwrap_or_default();
    Err(format!("expected {}, found `{text}`{help}", T::WHAT))
}

/// A time, as in `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Written for Time {
    const WHAT: &'static str = "a time with its unit, as in `500ms`, `10s` or `1m`";

    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is not a time\nwrite a number and its unit, as in `500ms`, `10s` or `1m`"))
    }
}

/// A number of bytes, as in `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Size(pub(super) u64);

const SIZE_UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, bits): &&(&str, u32)| self.0 != 0 && self.0.is_multiple_of(1 << bits);
        match SIZE_UNITS.iter().find(whole) {
            Some((unit, bits)) => write!(f, "{}{unit}", self.0 >> bits),
            None => self.0.fmt(f),
        }
    }
}

impl Written for Size {
    const WHAT: &'static str = "a size in bytes, as in `1000`, `64KiB` or `16MiB`";

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.trim_start() {
            "" | "B" => Some(1),
            unit => SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bits)| 1 << bits),
        };
        let size = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
        size.map(Self).ok_or_else(|| {
            format!("`{text}` is not a size\nwrite bytes, or a whole number and `KiB`, `MiB` or `GiB`, as in `64KiB`")
        })
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(bytes) => Some(Self(bytes)),
            _ => None,
        }
    }
}

impl Written for SocketAddr {
    const WHAT: &'static str = "an IP address and a port, as in `127.0.0.1:8080`";

    fn read(text: &str) -> Result<Self, String> {
        let help = "write an IP address and a port, as in `127.0.0.1:8080`, `0.0.0.0:80` or `[::]:80`";
        text.parse().map_err(|_| format!("`{text}` is not an address\n{help}"))
    }
}

/// A host that a plugin may call: with a port or without.
#[derive(Debug, Clone)]
pub(super) struct Callee(pub(super) Authority);

impl Written for Callee {
    const WHAT: &'static str = "a host, as in `users.internal:8080`";

    fn read(text: &str) -> Result<Self, String> {
        authority(text).map(Self)
    }
}

/// Host and port, without a user and without wildcards.
fn authority(text: &str) -> Result<Authority, String> {
    let help = "write a host and a port, as in `users.internal:8080`, without scheme and path";
    let wrong = || format!("`{text}` is not a host\n{help}");
    let authority: Authority = text.parse().map_err(|_| wrong())?;
    let port = &authority.as_str()[authority.host().len().min(authority.as_str().len())..];
    let port_fits = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    if text.contains('*') {
        return Err(format!("`{text}` has a wildcard; each host must be named"));
    }
    if text.contains('@') || !port_fits || !is_host(authority.host()) {
        return Err(wrong());
    }
    Ok(authority)
}

/// Whether a text is a host name or an IP address (IPv6 in brackets).
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

impl Written for PluginSource {
    const WHAT: &'static str = "a plugin's source, as in `std:api-key` or `file:plugins/tenant.wasm`";

    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("std", name)) if STANDARD_PLUGINS.contains(&name) => Ok(Self::Standard(name.to_owned())),
            Some(("std", name)) => Err(match nearest(name, STANDARD_PLUGINS) {
                Some(near) => format!("there is no standard plugin `{name}`\ndid you mean `std:{near}`?"),
                None => format!("there is no standard plugin `{name}`\nthere are: {}", STANDARD_PLUGINS.join(", ")),
            }),
            Some(("file", path)) => file(path).map(Self::File),
            Some((scheme, _)) => Err(format!("`{scheme}:` is not supported\nwrite `std:NAME` or `file:PATH`")),
            None if STANDARD_PLUGINS.contains(&text) => Err(format!("`{text}` has no scheme\nwrite `std:{text}`")),
            None => Err(format!("`{text}` has no scheme\nwrite `std:NAME` or `file:PATH`")),
        }
    }
}

impl Written for Output {
    const WHAT: &'static str = "`stdout`, `stderr` or `file:PATH`";

    fn read(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:") {
            Some(path) => file(path).map(Self::File),
            None => one_of(text, &[("stdout", Self::Stdout), ("stderr", Self::Stderr)]),
        }
    }
}

/// What stands after `file:`.
fn file(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path.starts_with("//") || path.contains('\0') {
        return Err("`file:` takes a path\nwrite `file:folder/name`, or `file:/folder/name` from the root".to_owned());
    }
    Ok(path.into())
}

/// A SHA-256 digest in lower-case hexadecimal.
#[derive(Debug, Clone)]
pub(super) struct Digest(pub(super) String);

impl Written for Digest {
    const WHAT: &'static str = "a digest, as in `sha256:` and 64 hexadecimal digits";

    fn read(text: &str) -> Result<Self, String> {
        let help = "write `sha256:` and 64 hexadecimal digits, as `sha256sum FILE` prints them";
        let wrong = |what: &str| Err(format!("the digest {what}\n{help}"));
        match text.split_once(':') {
            Some(("sha256", hex)) if hex.len() != 64 => wrong(&format!("has {} digits", hex.chars().count())),
            Some(("sha256", hex)) if !hex.bytes().all(|b| b.is_ascii_hexdigit()) => wrong("is not hexadecimal"),
            Some(("sha256", hex)) => Ok(Self(hex.to_ascii_lowercase())),
            _ => wrong("does not begin with `sha256:`"),
        }
    }
}

impl Written for Method {
    const WHAT: &'static str = "a method, as in `GET`";

    fn read(text: &str) -> Result<Self, String> {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
        let upper = text.to_ascii_uppercase();
        if KNOWN.contains(&&*upper) && upper != text {
            return Err(format!("methods are case-sensitive\nwrite `{upper}`"));
        }
        Self::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is not a method\nwrite one as in `GET`"))
    }
}

/// A status that an answer can end with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status(pub(super) StatusCode);

impl Written for Status {
    const WHAT: &'static str = "a status from 200 to 599";

    fn read(text: &str) -> Result<Self, String> {
        Err(format!("`{text}` is not a status\nwrite a number from 200 to 599"))
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(number @ 200..=599) => StatusCode::from_u16(u16::try_from(number).ok()?).ok().map(Self),
            _ => None,
        }
    }
}

/// Types that are one of a few words.
macro_rules! words {
    ($($type:ty, $what:literal: $($word:literal => $value:expr),+;)+) => {$(
        impl Written for $type {
            const WHAT: &'static str = $what;

            fn read(text: &str) -> Result<Self, String> {
                one_of(text, &[$(($word, $value)),+])
            }
        }
    )+};
}

words! {
    LogFormat, "`auto`, `human` or `json`":
        "auto" => Self::Auto, "human" => Self::Human, "json" => Self::Json;
    OnError, "`fail-closed` or `fail-open`":
        "fail-closed" => Self::FailClosed, "fail-open" => Self::FailOpen;
    InstanceMode, "`per-call`, `per-request` or `fresh`":
        "per-call" => Self::PerCall, "per-request" => Self::PerRequest, "fresh" => Self::Fresh;
    Protocol, "`http1`, `http2` or `auto`":
        "http1" => Self::Http1, "http2" => Self::Http2, "auto" => Self::Auto;
    Backend, "`echo`":
        "echo" => Self::Echo;
}

mod acme;
mod balance;
mod listener;
mod matching;
mod protocols;
mod send;
mod tls;
mod treatment;

pub(super) use acme::{Contact, Directory};
pub(super) use balance::{Initial, Percent, PolicyName, StatusRange, WithPort};
pub(super) use listener::{At, Mode};
use matching::expression;
pub(super) use matching::{Network, Whole};
pub(super) use protocols::UpgradeTo;
pub(super) use send::{LocalAddress, Place, ServerName, Share};
pub(super) use tls::{FieldName, FilePath, RedirectStatus};
pub(super) use treatment::{Found, Percentage, Scheme};
