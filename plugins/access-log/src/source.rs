//! Where the parts of a line come from.

use gofe_plugin::config::nearest;
use gofe_plugin::credential::is_token;
use serde::{Deserialize, Deserializer, de};

/// Defines the sources that have a name of their own, once.
macro_rules! sources {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// Where a part of a line comes from.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Source {
            $($variant,)*
            RequestHeader(String),
            ResponseHeader(String),
            Attribute(String),
        }

        /// The names of the sources that need no name of something else.
        const NAMES: &[&str] = &[$($name),*];

        impl Source {
            fn builtin(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The source as it is written, which is the name of its field too.
            pub(crate) fn name(&self) -> String {
                match self {
                    $(Self::$variant => $name.to_owned(),)*
                    Self::RequestHeader(name) => format!("request_header:{name}"),
                    Self::ResponseHeader(name) => format!("response_header:{name}"),
                    Self::Attribute(name) => format!("attribute:{name}"),
                }
            }
        }
    };
}

sources! {
    Time = "time",
    ClientAddress = "client_address",
    ClientPort = "client_port",
    Route = "route",
    Method = "method",
    Scheme = "scheme",
    Authority = "authority",
    Path = "path",
    PathWithQuery = "path_with_query",
    Query = "query",
    OriginalPath = "original_path",
    OriginalPathWithQuery = "original_path_with_query",
    HttpVersion = "http_version",
    Status = "status",
    DurationMs = "duration_ms",
    UpstreamDurationMs = "upstream_duration_ms",
    RequestBytes = "request_bytes",
    ResponseBytes = "response_bytes",
    Upstream = "upstream",
    Endpoint = "endpoint",
    Error = "error",
    TlsVersion = "tls_version",
    TlsCipher = "tls_cipher",
    TlsServerName = "tls_server_name",
    TlsClientSubject = "tls_client_subject",
}

impl Source {
    /// Reads a source, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("request_header", name)) if is_token(name) => Ok(Self::RequestHeader(name.to_ascii_lowercase())),
            Some(("response_header", name)) if is_token(name) => Ok(Self::ResponseHeader(name.to_ascii_lowercase())),
            Some(("attribute", name)) if !name.is_empty() => Ok(Self::Attribute(name.to_owned())),
            Some(_) => Err(format!(
                "`{text}` is no source; expected `request_header:NAME`, `response_header:NAME` or `attribute:NAME`"
            )),
            None => Self::builtin(text).ok_or_else(|| match nearest(text, NAMES) {
                Some(near) => format!("there is no source `{text}`; did you mean `{near}`?"),
                None => format!("there is no source `{text}`; expected one of {}", NAMES.join(", ")),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
