//! What wrk prints.

use anyhow::{Context, Result};

use super::Requests;
use crate::bench::peers::scenario::{P50, P99};

/// Requests, failures and percentiles.
pub(super) fn parse(text: &str) -> Result<Requests> {
    let total = text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse::<u64>().ok());
    let total = total.context("wrk does not say how many requests there were")?;
    let refused = text.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses: ")?.parse().ok());
    let failed = (refused.unwrap_or(0) + socket_errors(text)).min(total.max(1));
    let time = |percent: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(percent))?;
        milliseconds(value.trim())
    };
    let time = |percent| time(percent).with_context(|| format!("wrk has no time for {percent}"));
    Ok(Requests { good: total.saturating_sub(failed), failed, times: vec![(P50, time("50%")?), (P99, time("99%")?)] })
}

/// The sum of `Socket errors: connect 0, read 3, write 0, timeout 1`.
fn socket_errors(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Socket errors: "));
    let numbers = line.unwrap_or_default().split(", ").filter_map(|part| part.split_once(' ')?.1.parse::<u64>().ok());
    numbers.sum()
}

fn milliseconds(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    Some(value * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wrk 4.1.0, as it is.
    const OUTPUT: &str = "\
Running 1s test @ http://127.0.0.1:9333/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   613.84us  521.84us   5.84ms   95.58%
    Req/Sec    84.65k     8.13k   91.15k    90.00%
  Latency Distribution
     50%  535.00us
     75%  591.00us
     90%  630.00us
     99%    3.58ms
  84330 requests in 1.00s, 13.75MB read
Requests/sec:  84201.42
Transfer/sec:     13.73MB
";

    #[test]
    fn requests_and_percentiles_are_read() {
        let requests = parse(OUTPUT).unwrap();
        assert_eq!((requests.good, requests.failed), (84_330, 0));
        assert_eq!(requests.times, [(P50, 0.535), (P99, 3.58)]);
    }

    #[test]
    fn refused_requests_and_broken_connections_are_failures() {
        let more = "  Non-2xx or 3xx responses: 300\n  Socket errors: connect 0, read 20, write 0, timeout 3\n";
        let requests = parse(&format!("{OUTPUT}{more}")).unwrap();
        assert_eq!((requests.good, requests.failed), (84_007, 323));
        assert!(parse("unable to connect to 127.0.0.1:9334 Connection refused\n").is_err());
    }

    #[test]
    fn times_come_in_several_units() {
        assert_eq!(
            ["1.50s", "2.00m", "7us", "7"].map(milliseconds),
            [Some(1500.0), Some(120_000.0), Some(0.007), None]
        );
    }
}
