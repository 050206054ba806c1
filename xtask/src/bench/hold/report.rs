//! The tables.

use std::fmt::Write;
use std::time::Duration;

use super::{Held, Latency};

/// Both tables as Markdown.
pub(super) fn markdown(held: &[Held], latencies: &[Latency], rate: u32) -> String {
    let mut text = String::from("| held by one worker | how many | KiB each |\n|---|---|---|\n");
    for held in held {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {:.1} |", held.what, held.count, held.each());
    }
    let _ = write!(
        text,
        "\n| {rate} requests/s of another client, during | p50 | p99 | not answered with 200 | gofe's resident memory | \
         attackers' connections | their requests |\n|---|---|---|---|---|---|---|\n"
    );
    for latency in latencies {
        let seen = &latency.seen;
        let done = latency.done.as_ref();
        let (connections, requests) =
            done.map_or_else(Default::default, |done| (done.connections.to_string(), done.requests.to_string()));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} of {} | {} MiB | {connections} | {requests} |",
            latency.during,
            milliseconds(seen.p50),
            milliseconds(seen.p99),
            seen.failed,
            seen.requests,
            latency.kib / 1024,
        );
    }
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
