//! How the values of what a route does are written.

use super::{Plain, Written, expression, one_of};
use crate::config::model::{Pattern, Share};

/// An expression that is looked for in a text.
#[derive(Debug, Clone)]
pub(in crate::config) struct Found(pub(in crate::config) Pattern);

impl Written for Found {
    const WHAT: &'static str = "a regular expression in quotes, as in `'^/v[0-9]+'`";

    fn read(text: &str) -> Result<Self, String> {
        expression(text, false).map(Self)
    }
}

/// `http` or `https`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Scheme(pub(in crate::config) &'static str);

impl Written for Scheme {
    const WHAT: &'static str = "`http` or `https`";

    fn read(text: &str) -> Result<Self, String> {
        one_of(text, &[("http", Self("http")), ("https", Self("https"))])
    }
}

/// A share in percent.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Percentage(pub(in crate::config) Share);

impl Written for Percentage {
    const WHAT: &'static str = "a percentage from 0 to 100, as in `10` or `0.5%`";

    fn read(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let percentage = number.and_then(|number| Self::read_plain(Plain::Fraction(number)));
        percentage.ok_or_else(|| format!("`{text}` is not a percentage\nwrite one from 0 to 100, as in `10` or `0.5%`"))
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        let percent = match plain {
            Plain::Number(number) => number as f64,
            Plain::Fraction(number) => number,
        };
        (0.0..=100.0).contains(&percent).then(|| Self(Share((percent * 10_000.0).round() as u32)))
    }
}
