//! How the values are written that say how requests are sent.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use http::StatusCode;
use http::uri::Authority;

use super::{Plain, Time, Written, authority, nearest, one_of};
use crate::config::model::{Condition, Importance, ProxyVersion, VerifyServer, Window};

/// A share in percent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::config) struct Share(pub(in crate::config) u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Written for Share {
    const WHAT: &'static str = "a share in percent, as in `50%`";

    fn read(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is not a share\nwrite a whole number and `%`, as in `50%`"))
    }
}

/// One server: a host and a port, or the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Place {
    Network(Authority),
    Socket(PathBuf),
}

impl Written for Place {
    const WHAT: &'static str = "a host and a port, as in `127.0.0.1:9000`, or a socket, as in `unix:/run/app.sock`";

    fn read(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // What the system takes for a socket's path, less the zero at its end.
            const LONGEST: usize = 107;
            return match path {
                _ if !path.starts_with('/') || path.contains('\0') => {
                    Err("`unix:` takes a path from the root\nwrite it as in `unix:/run/app.sock`".to_owned())
                }
                _ if path.len() > LONGEST => Err(format!("the path of a socket has at most {LONGEST} bytes")),
                _ => Ok(Self::Socket(path.into())),
            };
        }
        let authority = authority(text)?;
        match authority.port_u16() {
            Some(1..) => Ok(Self::Network(authority)),
            _ => Err(format!("`{text}` has no port\nwrite host and port, as in `127.0.0.1:9000`")),
        }
    }
}

/// An IP address of this machine.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct LocalAddress(pub(in crate::config) IpAddr);

impl Written for LocalAddress {
    const WHAT: &'static str = "an IP address, as in `10.0.0.5`";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not an IP address\nwrite one as in `10.0.0.5`"))
    }
}

/// The name of a server in TLS.
#[derive(Debug, Clone)]
pub(in crate::config) struct ServerName(pub(in crate::config) String);

impl Written for ServerName {
    const WHAT: &'static str = "a server's name, as in `users.internal`";

    fn read(text: &str) -> Result<Self, String> {
        rustls_name(text).then(|| Self(text.to_ascii_lowercase())).ok_or_else(|| {
            format!(
                "`{text}` is not a server's name\nwrite a name or an IP address without port, as in `users.internal`"
            )
        })
    }
}

/// Whether TLS can ask for a name: labels of letters, digits, `-` and `_`, or an IP address.
fn rustls_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

impl Written for Condition {
    const WHAT: &'static str = "a status from 400 to 599, or one of `connect-failure`, `refused-stream`, `reset`, `timeout`, `5xx`, \
         `gateway-error` and `grpc-…`";

    fn read(text: &str) -> Result<Self, String> {
        // Those of gRPC that say that a call may be repeated, by their numbers.
        let words = [
            ("connect-failure", Self::ConnectFailure),
            ("refused-stream", Self::RefusedStream),
            ("reset", Self::Reset),
            ("timeout", Self::Timeout),
            ("5xx", Self::ServerError),
            ("gateway-error", Self::GatewayError),
            ("grpc-cancelled", Self::Grpc(1)),
            ("grpc-deadline-exceeded", Self::Grpc(4)),
            ("grpc-resource-exhausted", Self::Grpc(8)),
            ("grpc-aborted", Self::Grpc(10)),
            ("grpc-internal", Self::Grpc(13)),
            ("grpc-unavailable", Self::Grpc(14)),
        ];
        if let Some((_, condition)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*condition);
        }
        let near = nearest(text, words.iter().map(|(word, _)| *word));
        let known = words.map(|(word, _)| word).join(", ");
        Err(match near {
            Some(near) => format!("`{text}` is no condition\ndid you mean `{near}`?"),
            None => format!("`{text}` is no condition\nthere are {known}, and statuses from 400 to 599"),
        })
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(number @ 400..=599) => {
                StatusCode::from_u16(u16::try_from(number).ok()?).ok().map(Self::Status)
            }
            _ => None,
        }
    }
}

impl Written for Window {
    const WHAT: &'static str = "a time, as in `10s`, or a number of calls, as in `100`";

    fn read(text: &str) -> Result<Self, String> {
        Time::read(text).map(|time| Self::Time(time.0))
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(number) => u32::try_from(number).ok().map(Self::Calls),
            _ => None,
        }
    }
}

words! {
    VerifyServer, "`full`, `authority` or `none`":
        "full" => Self::Full, "authority" => Self::Authority, "none" => Self::Nothing;
    ProxyVersion, "`v1` or `v2`":
        "v1" => Self::V1, "v2" => Self::V2;
    Importance, "`normal` or `high`":
        "normal" => Self::Normal, "high" => Self::High;
}
