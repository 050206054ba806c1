//! What is asked of the subjects.

use clap::ValueEnum;

use super::subject::Subject;

/// One table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// As many requests as go through, HTTP/1.1.
    Throughput,
    /// A fixed rate of requests, HTTP/1.1.
    Latency,
    /// Idle keep-alive connections, and requests in flight.
    Memory,
    /// As many requests as go through, HTTP/2 without TLS.
    Http2,
    /// As many requests as go through, HTTP/1.1 over TLS 1.3.
    Tls,
    /// As many requests as go through, HTTP/2 over TLS 1.3.
    TlsHttp2,
    /// TLS 1.3 handshakes with X25519, and no request.
    Handshakes,
    /// The same, by clients that go on with an earlier session.
    Resumed,
    /// Full handshakes with X25519MLKEM768.
    HandshakesHybrid,
    /// One worker and two.
    Scaling,
}

/// How clients talk to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocol {
    /// Over TLS.
    pub(super) tls: bool,
    /// HTTP/2; without TLS, with prior knowledge.
    pub(super) http2: bool,
}

/// Handshakes that a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handshakes {
    /// Whether each goes on with an earlier session.
    pub(super) resume: bool,
    /// How keys are exchanged, as `bench-handshake` calls it.
    pub(super) key_exchange: &'static str,
}

/// A figure: its key in the JSON, its heading, and the digits behind the point.
#[derive(Debug)]
pub(super) struct Column {
    /// The key in the JSON.
    pub(super) key: &'static str,
    /// The heading.
    pub(super) heading: &'static str,
    /// Digits behind the decimal point.
    pub(super) digits: usize,
}

const fn column(key: &'static str, heading: &'static str, digits: usize) -> Column {
    Column { key, heading, digits }
}

/// CPU time of the subject for one request.
pub(super) const CPU: &str = "cpu_us";
/// Median of the time to the end of the response.
pub(super) const P50: &str = "p50_ms";
/// 99th percentile of it.
pub(super) const P99: &str = "p99_ms";
/// 99.9th percentile of it.
pub(super) const P999: &str = "p999_ms";
/// What a second of the subject's CPU time brings.
pub(super) const PER_CPU_SECOND: &str = "per_cpu_second";
/// Requests a second.
pub(super) const RATE: &str = "requests_per_second";
/// Resident memory for a connection, when each was used before the next was opened.
pub(super) const IN_TURN: &str = "kib_per_connection_in_turn";
/// The same, when all had a request in flight together.
pub(super) const AT_ONCE: &str = "kib_per_connection_at_once";
/// Resident memory for a connection while all requests are in flight.
pub(super) const IN_FLIGHT: &str = "kib_per_request_in_flight";
/// Resident memory after the first request.
pub(super) const RESIDENT: &str = "resident_mib";
/// How much more a processor's time brings: twice the CPU time of one worker over that of two.
pub(super) const SPEEDUP: &str = "speedup";
/// Percent of the proxy's processor that went to others meanwhile.
pub(super) const OTHERS: &str = "others_percent";

const CLOSED: [Column; 4] =
    [column(CPU, "CPU µs", 1), column(RATE, "requests/s", 0), column(P50, "p50 ms", 2), column(P99, "p99 ms", 2)];
const OPEN: [Column; 5] = [
    column(CPU, "CPU µs", 1),
    column(RATE, "requests/s", 0),
    column(P50, "p50 ms", 2),
    column(P99, "p99 ms", 2),
    column(P999, "p99.9 ms", 2),
];
const HANDSHAKES: [Column; 5] = [
    column(CPU, "CPU µs", 1),
    column(PER_CPU_SECOND, "handshakes / CPU s", 0),
    column(RATE, "handshakes/s", 0),
    column(P50, "p50 ms", 2),
    column(P99, "p99 ms", 2),
];
const MEMORY: [Column; 4] = [
    column(IN_TURN, "KiB in turn", 1),
    column(AT_ONCE, "KiB at once", 1),
    column(IN_FLIGHT, "KiB in flight", 1),
    column(RESIDENT, "process MiB", 1),
];
const SCALING: [Column; 3] =
    [column(CPU, "CPU µs", 1), column(RATE, "requests/s", 0), column(SPEEDUP, "× one worker", 2)];

impl Scenario {
    /// The name on the command line and in the JSON.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The heading of its table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Throughput => "CPU for each request",
            Self::Latency => "Latency at a fixed rate",
            Self::Memory => "Memory for each connection",
            Self::Http2 => "HTTP/2 without TLS",
            Self::Tls => "HTTP/1.1 over TLS 1.3",
            Self::TlsHttp2 => "HTTP/2 over TLS 1.3",
            Self::Handshakes => "Full TLS 1.3 handshakes",
            Self::Resumed => "Resumed TLS 1.3 handshakes",
            Self::HandshakesHybrid => "Full TLS 1.3 handshakes with X25519MLKEM768",
            Self::Scaling => "One worker and two",
        }
    }

    /// How clients talk to the subjects.
    pub(super) fn protocol(self) -> Protocol {
        Protocol {
            tls: matches!(self, Self::Tls | Self::TlsHttp2) || self.handshakes().is_some(),
            http2: matches!(self, Self::Http2 | Self::TlsHttp2),
        }
    }

    /// Which handshakes it is about; none where it is about requests.
    pub(super) fn handshakes(self) -> Option<Handshakes> {
        let of = |resume, key_exchange| Some(Handshakes { resume, key_exchange });
        match self {
            Self::Handshakes => of(false, "x25519"),
            Self::Resumed => of(true, "x25519"),
            Self::HandshakesHybrid => of(false, "hybrid"),
            _ => None,
        }
    }

    /// The figures of its table.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Throughput | Self::Http2 | Self::Tls | Self::TlsHttp2 => &CLOSED,
            Self::Latency => &OPEN,
            Self::Memory => &MEMORY,
            Self::Handshakes | Self::Resumed | Self::HandshakesHybrid => &HANDSHAKES,
            Self::Scaling => &SCALING,
        }
    }

    /// The figure whose ratios are shown.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Latency => P99,
            Self::Memory => AT_ONCE,
            _ => CPU,
        }
    }

    /// The subjects when the command names none.
    pub(super) fn subjects(self) -> Vec<Subject> {
        match self {
            Self::Scaling => vec![Subject::Nginx, Subject::Envoy, Subject::Gofe, Subject::GofeStandard4],
            // Filters see nothing of a handshake.
            Self::Handshakes | Self::Resumed | Self::HandshakesHybrid => {
                vec![Subject::Nginx, Subject::Haproxy, Subject::Envoy, Subject::Traefik, Subject::Caddy, Subject::Gofe]
            }
            _ => Subject::value_variants().to_vec(),
        }
    }

    /// How many workers a subject runs with: each number is a row.
    pub(super) fn workers(self) -> &'static [usize] {
        if self == Self::Scaling { &[1, 2] } else { &[1] }
    }
}
