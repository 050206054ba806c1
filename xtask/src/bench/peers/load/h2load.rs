//! What h2load prints, and its log of requests.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Requests, percentiles};

/// Requests and failures from what it prints, percentiles from its log. TLS must have been 1.3.
pub(super) fn parse(text: &str, log: &Path, tls: bool) -> Result<Requests> {
    if tls && !text.contains("TLS Protocol: TLSv1.3") {
        bail!("h2load did not talk TLS 1.3");
    }
    let (good, failed) = counts(text)?;
    let log = fs::read_to_string(log).with_context(|| format!("h2load's log {}", log.display()))?;
    let times = log.lines().map(answer_time).collect::<Result<Vec<_>>>()?;
    Ok(Requests { good, failed, times: percentiles(times) })
}

/// Succeeded requests, and those that did not.
fn counts(text: &str) -> Result<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("requests: ")).context("h2load counted no requests")?;
    let count = |word: &str| {
        let mut parts = line.split(", ").filter_map(|part| part.split_once(' '));
        let number = parts.find(|(_, what)| *what == word).and_then(|(number, _)| number.parse::<u64>().ok());
        number.with_context(|| format!("h2load does not count what is {word}"))
    };
    // What failed counts what is errored, and that what timed out.
    let (good, failed) = (count("succeeded")?, count("failed")?.max(count("errored")?));
    if good + failed == 0 {
        bail!("h2load got no answer");
    }
    Ok((good, failed))
}

/// A line of the log: start in microseconds since the epoch, status, microseconds to the end of the response.
fn answer_time(line: &str) -> Result<u64> {
    let time = line.split('\t').nth(2).and_then(|time| time.parse().ok());
    time.with_context(|| format!("not a line of h2load's log: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::scenario::{P50, P99, P999};

    /// h2load 1.52, as it is: all went well, and all were refused.
    const GOOD: &str = "\
Application protocol: http/1.1
Main benchmark duration is over for thread #0. Stopping all clients.
Stopped all clients for thread #0

finished in 1.01s, 800.00 req/s, 133.59KB/s
requests: 800 total, 800 started, 800 done, 800 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 800 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 133.59KB (136800) total, 85.16KB (87200) headers (space savings 0.00%), 17.97KB (18400) data
";
    const REFUSED: &str = "\
finished in 1.00s, 26371.00 req/s, 7.75MB/s
requests: 26371 total, 26379 started, 26371 done, 0 succeeded, 26371 failed, 0 errored, 0 timeout
status codes: 0 2xx, 0 3xx, 26371 4xx, 0 5xx
";
    const LOG: &str = "1795491736000336\t200\t124\n1795491736000341\t200\t136\n1795491736000361\t200\t121\n";

    #[test]
    fn requests_come_from_the_text_and_times_from_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, LOG).unwrap();
        let requests = parse(GOOD, &log, false).unwrap();
        assert_eq!((requests.good, requests.failed), (800, 0));
        assert_eq!(requests.times, [(P50, 0.124), (P99, 0.136), (P999, 0.136)]);
        assert!(parse(GOOD, &log, true).unwrap_err().to_string().contains("TLS 1.3"));
        let tls = format!("TLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\n{GOOD}");
        assert!(parse(&tls, &log, true).is_ok());
    }

    #[test]
    fn no_answer_at_all_is_an_error() {
        let none = "requests: 0 total, 64 started, 0 done, 0 succeeded, 0 failed, 0 errored, 0 timeout";
        assert_eq!(counts(REFUSED).unwrap(), (0, 26_371));
        assert_eq!(counts(none).unwrap_err().to_string(), "h2load got no answer");
        assert!(counts("starting benchmark...").is_err() && answer_time("179549\t200").is_err());
    }
}
