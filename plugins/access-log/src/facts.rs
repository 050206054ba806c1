//! What is known of a request, asked for once and only where it is needed.

use std::cell::OnceCell;
use std::time::Duration;

use gofe_plugin::{Request, Response, Summary, Tls, clock};

use crate::source::Source;

/// The value of a source.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Missing,
    Text(String),
    Number(u64),
    /// A duration that is shown in milliseconds.
    Milliseconds(Duration),
}

/// A request that is over.
pub(crate) struct Facts<'a> {
    request: &'a Request,
    response: &'a Response,
    summary: OnceCell<Summary>,
    upstream: OnceCell<Option<(String, String)>>,
    tls: OnceCell<Option<Tls>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(request: &'a Request, response: &'a Response) -> Self {
        Self { request, response, summary: OnceCell::new(), upstream: OnceCell::new(), tls: OnceCell::new() }
    }

    /// Whether the proxy or the upstream failed.
    pub(crate) fn is_error(&self) -> bool {
        self.response.status() >= 500 || self.summary().error.is_some()
    }

    pub(crate) fn value(&self, source: &Source) -> Value {
        let connection = self.request.connection();
        match source {
            Source::Time => Value::Text(time(clock::now())),
            Source::ClientAddress => Value::Text(connection.client_address()),
            Source::ClientPort => Value::Number(connection.client_port().into()),
            Source::Route => Value::Text(connection.route()),
            Source::Method => Value::Text(self.request.method()),
            Source::Scheme => Value::Text(self.request.scheme()),
            Source::Authority => Value::Text(self.request.authority()),
            Source::Path => Value::Text(self.request.path()),
            Source::PathWithQuery => Value::Text(self.request.path_with_query()),
            Source::Query => text(self.request.path_with_query().split_once('?').map(|(_, query)| query.to_owned())),
            Source::HttpVersion => Value::Text(connection.http_version()),
            Source::Status => match self.response.status() {
                0 => Value::Missing,
                status => Value::Number(status.into()),
            },
            Source::DurationMs => Value::Milliseconds(self.summary().duration),
            Source::UpstreamDurationMs => self.summary().upstream_duration.map_or(Value::Missing, Value::Milliseconds),
            Source::RequestBytes => Value::Number(self.summary().request_bytes),
            Source::ResponseBytes => Value::Number(self.summary().response_bytes),
            Source::Upstream => text(self.upstream().map(|(name, _)| name.clone())),
            Source::Endpoint => text(self.upstream().map(|(_, endpoint)| endpoint.clone())),
            Source::Error => text(self.summary().error.clone()),
            Source::TlsVersion => text(self.tls().map(|tls| tls.version.clone())),
            Source::TlsCipher => text(self.tls().map(|tls| tls.cipher.clone())),
            Source::TlsServerName => text(self.tls().and_then(|tls| tls.server_name.clone())),
            Source::TlsClientSubject => text(self.tls().and_then(|tls| tls.client_subject.clone())),
            Source::RequestHeader(name) => bytes(self.request.header(name)),
            Source::ResponseHeader(name) => bytes(self.response.header(name)),
            Source::Attribute(name) => bytes(self.request.attributes().get(name)),
        }
    }

    fn summary(&self) -> &Summary {
        self.summary.get_or_init(|| self.request.connection().summary())
    }

    fn upstream(&self) -> Option<&(String, String)> {
        self.upstream.get_or_init(|| self.request.connection().upstream()).as_ref()
    }

    fn tls(&self) -> Option<&Tls> {
        self.tls.get_or_init(|| self.request.connection().tls()).as_ref()
    }
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Missing, Value::Text)
}

/// Bytes of the wire as text; what is not UTF-8 becomes U+FFFD.
fn bytes(bytes: Option<Vec<u8>>) -> Value {
    text(bytes.map(|bytes| {
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }))
}

/// A time since 1970 as RFC 3339 writes it, for example `2026-01-31T23:59:59.000Z`.
fn time(since_1970: Duration) -> String {
    match std::time::UNIX_EPOCH.checked_add(since_1970) {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => String::new(),
    }
}
