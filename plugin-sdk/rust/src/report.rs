//! The request in one look, for logs.

use std::time::Duration;

use crate::bindings::gofe::plugin::connection;

/// The texts of a report, in the order of the contract.
#[derive(Clone, Copy)]
enum Text {
    ClientAddress,
    Route,
    Method,
    Scheme,
    Authority,
    PathWithQuery,
    OriginalPathWithQuery,
    HttpVersion,
    Upstream,
    Endpoint,
    Error,
}

/// How many texts there are.
const TEXTS: usize = Text::Error as usize + 1;

/// The request in one look: what it was, and what happened to it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    report: connection::Report,
    /// Where each text ends.
    ends: [usize; TEXTS],
}

impl Report {
    pub(crate) fn new(report: connection::Report) -> Self {
        let mut ends = [report.texts.len(); TEXTS];
        let feeds = report.texts.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        for (end, (at, _)) in ends.iter_mut().zip(feeds) {
            *end = at;
        }
        Self { report, ends }
    }

    /// The time of the report, since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.report.time)
    }

    /// From the first byte of the request to the last byte of the response.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.report.duration)
    }

    /// Until the upstream's response headers came; nothing where no upstream was used.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        self.report.upstream_duration.map(Duration::from_nanos)
    }

    /// Bytes of the request body that were read from the client.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.report.request_bytes
    }

    /// Bytes of the response body that were handed to the client.
    #[must_use]
    pub fn response_bytes(&self) -> u64 {
        self.report.response_bytes
    }

    /// The status code of the response; 0 where there was none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.report.status
    }

    /// The port of the client.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.report.client_port
    }

    /// The address of the client without the port.
    #[must_use]
    pub fn client_address(&self) -> &str {
        self.text(Text::ClientAddress)
    }

    /// The name of the route.
    #[must_use]
    pub fn route(&self) -> &str {
        self.text(Text::Route)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.text(Text::Method)
    }

    /// The scheme that the client used.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.text(Text::Scheme)
    }

    /// The host and port that the client asked for.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text(Text::Authority)
    }

    /// Path and query, as plugins left them.
    #[must_use]
    pub fn path_with_query(&self) -> &str {
        self.text(Text::PathWithQuery)
    }

    /// Path and query as the client wrote them.
    #[must_use]
    pub fn original_path_with_query(&self) -> &str {
        match self.text(Text::OriginalPathWithQuery) {
            "" => self.path_with_query(),
            original => original,
        }
    }

    /// The version that the client speaks.
    #[must_use]
    pub fn http_version(&self) -> &str {
        self.text(Text::HttpVersion)
    }

    /// The name of the upstream; nothing where none was used.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        Some(self.text(Text::Upstream)).filter(|text| !text.is_empty())
    }

    /// The address of the upstream's endpoint; nothing where none was used.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        Some(self.text(Text::Endpoint)).filter(|text| !text.is_empty())
    }

    /// Why the proxy itself ended the request, in one word.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        Some(self.text(Text::Error)).filter(|text| !text.is_empty())
    }

    fn text(&self, text: Text) -> &str {
        let at = text as usize;
        let begin = if at == 0 { 0 } else { self.ends[at - 1] + 1 };
        self.report.texts.get(begin..self.ends[at]).unwrap_or_default()
    }
}
