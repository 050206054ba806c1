//! What `bench-handshake` and `bench-open-loop` print.

use anyhow::{Context, Result, bail};

use super::{Requests, percentiles};

/// How many went well, how many failed, and the percentiles of their times.
pub(super) fn parse(text: &str) -> Result<Requests> {
    let (mut times, mut failed) = (Vec::new(), 0);
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("ok", time)) => times.push(time.parse().with_context(|| format!("not a time: {line}"))?),
            Some(("failed", why)) => {
                if failed == 0 {
                    eprintln!("one failed: {why}");
                }
                failed += 1;
            }
            _ => bail!("not a line of it: {line}"),
        }
    }
    if times.is_empty() {
        bail!("none went well");
    }
    let good = u64::try_from(times.len())?;
    Ok(Requests { good, failed, times: percentiles(times) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::scenario::{P50, P99, P999};

    #[test]
    fn each_handshake_or_request_is_a_line() {
        let requests = parse("ok 812\nfailed the handshake was Some(Full)\nok 400\n").unwrap();
        assert_eq!((requests.good, requests.failed), (2, 1));
        assert_eq!(requests.times, [(P50, 0.812), (P99, 0.812), (P999, 0.812)]);
        assert!(parse("failed why\n").is_err() && parse("ok soon\n").is_err() && parse("").is_err());
    }
}
