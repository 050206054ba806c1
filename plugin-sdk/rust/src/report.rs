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
        let (words, rest) = report.texts.as_bytes().as_chunks();
        let mut next = ends.iter_mut();
        let mut end = |at| next.next().into_iter().for_each(|end| *end = at);
        for (index, word) in words.iter().enumerate() {
            let mut feeds = feeds(*word);
            while feeds != 0 {
                end(index * 8 + feeds.trailing_zeros() as usize / 8);
                feeds &= feeds - 1;
            }
        }
        let begin = words.len() * 8;
        let rest = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        rest.for_each(|(at, _)| end(begin + at));
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

/// The highest bit of each byte of a word that is a line feed. A word is looked at in a tenth of the time of its bytes.
fn feeds(word: [u8; 8]) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // A byte is zero where neither the sum of its low bits nor its own highest bit reaches the highest bit.
    let word = u64::from_le_bytes(word) ^ u64::from_le_bytes([b'\n'; 8]);
    !(((word & LOW) + LOW) | word | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_told_apart() {
        for length in 0..20 {
            let long = "\u{b}é".repeat(length);
            let texts =
                ["192.0.2.7", &long, "GET", "", &long, "/a", "", "HTTP/2", "up", "", &long, "from a later version"];
            let report = connection::Report {
                time: 0,
                duration: 0,
                upstream_duration: None,
                request_bytes: 0,
                response_bytes: 0,
                status: 200,
                client_port: 0,
                texts: texts.map(|text| format!("{text}\n")).concat(),
            };
            let report = Report::new(report);
            assert_eq!((report.client_address(), report.route(), report.method()), ("192.0.2.7", &*long, "GET"));
            assert_eq!((report.scheme(), report.authority(), report.path_with_query()), ("", &*long, "/a"));
            assert_eq!((report.original_path_with_query(), report.http_version()), ("/a", "HTTP/2"));
            assert_eq!((report.upstream(), report.endpoint()), (Some("up"), None));
            assert_eq!(report.error(), Some(&*long).filter(|error| !error.is_empty()));
        }
    }
}
