//! So many requests in so much time.

use std::fmt::{self, Display};
use std::time::Duration;

use gofe_plugin::config::duration;
use serde::{Deserialize, Deserializer, de};

/// So many requests in so much time, written `100/s`, `5/m` or `1000/10s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) requests: u64,
    pub(crate) period: Duration,
}

fn parse(text: &str) -> Option<Rate> {
    let (requests, period) = text.split_once('/')?;
    let (requests, period) = (requests.trim(), period.trim());
    let period = duration::unit_length(period).map(Duration::from_nanos).or_else(|| duration::parse(period))?;
    let requests = requests.parse().ok().filter(|requests| *requests > 0)?;
    // Below a millisecond, a period is a slip of the pen.
    (period >= Duration::from_millis(1)).then_some(Rate { requests, period })
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is not a rate; expected one like `100/s`, `5/m`, `1000/h` or `50/10s`"))
        })
    }
}

impl Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} requests in {} ms", self.requests, self.period.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let rate = |requests, seconds| Some(Rate { requests, period: Duration::from_secs(seconds) });
        assert_eq!(parse("100/s"), rate(100, 1));
        assert_eq!(parse("5 / m"), rate(5, 60));
        assert_eq!(parse("7/h"), rate(7, 3600));
        assert_eq!(parse("9/d"), rate(9, 86400));
        assert_eq!(parse("50/10s"), rate(50, 10));
        for text in ["", "100", "100/", "/s", "0/s", "-1/s", "1.5/s", "100/w", "100/0s", "100/ns"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
