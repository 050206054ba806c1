//! docs/benchmark.md.

use super::Measured;
use super::table::{marginal, scenario};
use crate::bench::peers::scenario::Scenario;

const METHOD: &str = "\
Each proxy runs with one worker on one processor (`taskset`). The load generator and the upstream, nginx with answers of
1 KiB, share the other. All proxies are started and checked: each must forward, and its filters must refuse a request
without a key and set both headers. Each is then warmed up for a second. They take turns, round after round, and those
whose turn it is not are frozen by SIGSTOP, so that they take no time. The figures are medians of the rounds. A row with a
failed request is an error and has no figures.

CPU time is what the kernel counted for the proxy's process and all below it (`schedstat` in `/proc`, nanoseconds),
divided by the number of requests. It does not move when the load generator is the bottleneck. Absolute times move from
machine to machine and from run to run: read the ratios, which are of one run.

Every request carries an API key. The filter of `+wasm` checks it (401 without), sets the request header `x-user` and the
response header `x-proxied-by`; it is written in Rust for each ABI, in `benches/plugins`, and built with the same profile.
`gofe+standard4` is the chain access-log (to a file), api-key, rate-limit, router.
";

/// The page.
pub(super) fn markdown(measured: &[Measured]) -> String {
    let mut page =
        "# Benchmark\n\ngofe beside the proxies that its users would pick instead, in one run on one machine. \
                    `cargo xtask bench peers --write` installs them, measures and writes this page, its plot and \
                    [its figures](benchmark.json).\n\n"
            .to_owned();
    page += "![CPU for each request](benchmark.svg)\n\n## Method\n\n";
    page += METHOD;
    for one in measured {
        page += &section(one);
    }
    page
}

fn section(measured: &Measured) -> String {
    let Some(kind) = measured.kind() else { return String::new() };
    let mut text = format!("\n## {}\n\n{}\n\n{}", kind.title(), about(kind), scenario(measured).markdown());
    let unsupported = measured.rows.iter().filter(|row| row.not_supported.is_some() || row.error.is_some());
    for row in unsupported {
        let first = |text: &Option<String>| text.as_deref().and_then(|text| text.lines().next()).map(str::to_owned);
        let reason = first(&row.error).or_else(|| first(&row.not_supported)).unwrap_or_default();
        text += &format!("\n`{}`: {}.\n", row.label(), reason.trim_end_matches('.').replace('|', "/"));
    }
    let added = marginal(measured);
    if kind == Scenario::Throughput && !added.is_empty() {
        text += "\nWhat one filter adds, the median of the differences in each round:\n\n";
        text += &added.markdown();
    }
    if let Some(percent) = measured.others_percent() {
        text += &format!("\nOther work took at most {percent:.0} % of the proxy's processor in any round.\n");
    }
    let versions: Vec<_> = measured.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let machine = &measured.machine;
    text += &format!(
        "\n{}, `{}`. {}, {} processors, Linux {}, {}. {}.\n",
        measured.date,
        measured.command,
        machine.cpu,
        machine.cpus,
        machine.kernel,
        machine.system,
        versions.join(", ")
    );
    text
}

/// What a scenario does.
fn about(kind: Scenario) -> &'static str {
    match kind {
        Scenario::Throughput => "wrk sends as many requests as go through, over HTTP/1.1.",
        Scenario::Latency => {
            "A client of gofe's (`benches/open-loop`) sends requests at a fixed rate, evenly spread, over 32 connections of \
             HTTP/1.1 that take turns. A connection has one request in flight at most; one that waits for the answer to another \
             counts from when it was due. The ratios are those of the 99th percentile, which is in part the client's own: it \
             shares its processor with the upstream."
        }
        Scenario::Memory => {
            "Growth of the resident set by idle keep-alive connections, each of which has had a request: opened in \
             turn, each answered before the next; or all in flight at once, held by an upstream that answers \
             when it has them all, and then closes its own connections. `in flight` is the growth while it holds them. Each way has a fresh process. The last figure is \
             the process after its first requests; gofe's plugins are compiled before, as in any start but the first. \
             nginx has the memory of its connections from the start, so it hardly grows. One run each."
        }
        Scenario::Http2 => "h2load, 8 requests in flight on each connection, HTTP/2 with prior knowledge.",
        Scenario::Tls => "h2load, HTTP/1.1 over TLS 1.3 with TLS_AES_128_GCM_SHA256 and an ECDSA certificate (P-256).",
        Scenario::TlsHttp2 => "As before, HTTP/2 with 8 requests in flight on each connection.",
        Scenario::Handshakes => {
            "A client connects, does a full handshake with X25519 and TLS_AES_128_GCM_SHA256, closes its side, and waits until \
             the proxy has closed the connection: no request. The certificate is ECDSA (P-256). CPU time is that of the \
             whole connection, with the tickets that each proxy sends as it is configured by default. \
             `bench-handshake`, in `benches/handshake`, does it with 64 connections at a time, and looks at each handshake."
        }
        Scenario::Resumed => {
            "As before, but each handshake goes on with an earlier session by its ticket (`psk_dhe_ke`, X25519 again). The \
             first tickets are of 64 full handshakes with a request, which are counted too; all others are of the handshakes."
        }
        Scenario::HandshakesHybrid => {
            "Full handshakes as above, with the hybrid key exchange that resists quantum computers, where the proxy has it."
        }
        Scenario::Scaling => {
            "One worker on one processor, and two workers on two. The load generator and the upstream share one of these \
             processors in both cases, so requests a second say little about the second worker: they are bounded by the \
             generator. CPU time for each request says it: two workers with the same cost as one do twice the work. \
             `× one worker` is twice the cost with one over the cost with two."
        }
    }
}
