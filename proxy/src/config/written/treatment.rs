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
    const WHAT: &'static str = "a percentage, a number from 0 to 100";

    fn read(text: &str) -> Result<Self, String> {
        Err(format!("`{text}` is not a percentage\nwrite a number from 0 to 100, without `%`"))
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        let percent = match plain {
            Plain::Number(number) => number as f64,
            Plain::Fraction(number) => number,
        };
        (0.0..=100.0).contains(&percent).then(|| Self(Share((percent * 10_000.0).round() as u32)))
    }
}
