//! What is known of a request: most of it asked for at once, the rest only where it is needed.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use gofe_plugin::{Report, Request, Response, Tls};

use crate::source::Source;

/// The value of a source.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Missing,
    Text(Cow<'a, str>),
    Number(u64),
    /// A duration that is shown in milliseconds.
    Milliseconds(Duration),
    /// A time since 1970.
    Time(Duration),
}

/// A request that is over.
pub(crate) struct Facts<'a> {
    request: &'a Request,
    response: &'a Response,
    report: Report,
    tls: OnceCell<Option<Tls>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(request: &'a Request, response: &'a Response) -> Self {
        Self { request, response, report: request.connection().report(), tls: OnceCell::new() }
    }

    /// Whether the proxy or the upstream failed.
    pub(crate) fn is_error(&self) -> bool {
        self.report.status() >= 500 || self.report.error().is_some()
    }

    pub(crate) fn value(&self, source: &Source) -> Value<'_> {
        let report = &self.report;
        match source {
            Source::Time => Value::Time(report.time()),
            Source::ClientAddress => text(report.client_address()),
            Source::ClientPort => Value::Number(report.client_port().into()),
            Source::Route => text(report.route()),
            Source::Method => text(report.method()),
            Source::Scheme => text(report.scheme()),
            Source::Authority => text(report.authority()),
            Source::Path => text(path(report.path_with_query())),
            Source::PathWithQuery => text(report.path_with_query()),
            Source::Query => optional(report.path_with_query().split_once('?').map(|(_, query)| query)),
            Source::OriginalPath => text(path(report.original_path_with_query())),
            Source::OriginalPathWithQuery => text(report.original_path_with_query()),
            Source::HttpVersion => text(report.http_version()),
            Source::Status => match report.status() {
                0 => Value::Missing,
                status => Value::Number(status.into()),
            },
            Source::DurationMs => Value::Milliseconds(report.duration()),
            Source::UpstreamDurationMs => report.upstream_duration().map_or(Value::Missing, Value::Milliseconds),
            Source::RequestBytes => Value::Number(report.request_bytes()),
            Source::ResponseBytes => Value::Number(report.response_bytes()),
            Source::Upstream => optional(report.upstream()),
            Source::Endpoint => optional(report.endpoint()),
            Source::Error => optional(report.error()),
            Source::TlsVersion => optional(self.tls().map(|tls| &*tls.version)),
            Source::TlsCipher => optional(self.tls().map(|tls| &*tls.cipher)),
            Source::TlsServerName => optional(self.tls().and_then(|tls| tls.server_name.as_deref())),
            Source::TlsClientSubject => optional(self.tls().and_then(|tls| tls.client_subject.as_deref())),
            Source::RequestHeader(name) => bytes(self.request.header(name)),
            Source::ResponseHeader(name) => bytes(self.response.header(name)),
            Source::Attribute(name) => bytes(self.request.attributes().get(name)),
        }
    }

    fn tls(&self) -> Option<&Tls> {
        self.tls.get_or_init(|| self.request.connection().tls()).as_ref()
    }
}

/// The path without the query.
fn path(target: &str) -> &str {
    target.bytes().position(|byte| byte == b'?').and_then(|end| target.get(..end)).unwrap_or(target)
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn optional(value: Option<&str>) -> Value<'_> {
    value.map_or(Value::Missing, text)
}

/// Bytes of the wire as text; what is not UTF-8 becomes U+FFFD.
fn bytes(bytes: Option<Vec<u8>>) -> Value<'static> {
    bytes.map_or(Value::Missing, |bytes| {
        let text = String::from_utf8(bytes);
        let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Value::Text(Cow::Owned(text))
    })
}
