//! How the values for balancing, discovery and health are written.

use std::fmt;
use std::ops::RangeInclusive;

use http::uri::Authority;

use super::{Plain, Written, authority, one_of};
use crate::config::model::{Records, SameSite};

/// A whole percentage from 0 to 100, as in `50%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::config) struct Percent(pub(in crate::config) u8);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Written for Percent {
    const WHAT: &'static str = "a percentage, as in `50%`";

    fn read(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        number
            .filter(|number| *number <= 100)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a percentage\nwrite a whole number from 0 to 100, as in `50%`"))
    }
}

/// A status, or a range of them as in `200-299`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct StatusRange(pub(in crate::config) RangeInclusive<u16>);

impl Written for StatusRange {
    const WHAT: &'static str = "a status as in 200, or a range as in `200-299`";

    fn read(text: &str) -> Result<Self, String> {
        let read = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        let range = text.split_once('-').and_then(|(low, high)| Some(read(low)?..=read(high)?));
        range
            .filter(|range| !range.is_empty())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no range of statuses\nwrite it as in `200-299`"))
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(number @ 100..=599) => u16::try_from(number).ok().map(|status| Self(status..=status)),
            _ => None,
        }
    }
}

/// A name to look up, with the port of what it names.
#[derive(Debug, Clone)]
pub(in crate::config) struct WithPort(pub(in crate::config) Authority);

impl Written for WithPort {
    const WHAT: &'static str = "a name and a port, as in `users.internal:8080`";

    fn read(text: &str) -> Result<Self, String> {
        let authority = authority(text)?;
        match authority.port_u16() {
            Some(1..) => Ok(Self(authority)),
            _ => Err(format!("`{text}` has no port\nwrite name and port, as in `users.internal:8080`")),
        }
    }
}

/// The name of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::config) enum PolicyName {
    #[default]
    RoundRobin,
    LeastRequest,
    PeakEwma,
    Random,
    RingHash,
    Maglev,
}

/// What an endpoint is before its first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Initial {
    Healthy,
    Unhealthy,
}

words! {
    PolicyName, "`round-robin`, `least-request`, `peak-ewma`, `random`, `ring-hash` or `maglev`":
        "round-robin" => Self::RoundRobin, "least-request" => Self::LeastRequest, "peak-ewma" => Self::PeakEwma,
        "random" => Self::Random, "ring-hash" => Self::RingHash, "maglev" => Self::Maglev;
    SameSite, "`strict`, `lax` or `none`":
        "strict" => Self::Strict, "lax" => Self::Lax, "none" => Self::None;
    Records, "`a`, `aaaa`, `ip` for both, or `srv`":
        "ip" => Self::Ip, "a" => Self::A, "aaaa" => Self::Aaaa, "srv" => Self::Srv;
    Initial, "`healthy` or `unhealthy`":
        "healthy" => Self::Healthy, "unhealthy" => Self::Unhealthy;
}
