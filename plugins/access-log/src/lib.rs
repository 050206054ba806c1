//! access-log: one line for each request, as JSON or from a template.
//!
//! docs/plugins/access-log.md is the reference.

mod buffer;
mod clock;
mod config;
mod facts;
mod line;
mod source;
mod template;

use std::cell::RefCell;

use gofe_plugin::prelude::*;
use gofe_plugin::{output, random};

use config::Config;
use facts::Facts;
use line::{Line, Pen};

/// The configured plugin.
#[derive(Debug)]
pub struct AccessLog {
    line: Line,
    sample: Sample,
    always_errors: bool,
    pen: RefCell<Pen>,
}

#[gofe_plugin::plugin]
impl Plugin for AccessLog {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::none();
        let sample = errors.take(Sample::new(config.sample));
        let line = errors.take(config.line());
        match (sample, line) {
            (Some(sample), Some(line)) => {
                Ok(Self { line, sample, always_errors: config.always_errors, pen: RefCell::default() })
            }
            _ => Err(errors),
        }
    }

    fn complete(&self, request: &Request, response: &Response) {
        let sampled = self.sample.takes();
        if !sampled && !self.always_errors {
            return;
        }
        let facts = Facts::new(request, response);
        if sampled || facts.is_error() {
            let mut pen = self.pen.borrow_mut();
            self.line.write(&facts, &mut pen);
            output::write_line(pen.line.line());
        }
    }
}

/// Which share of the requests is logged.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sample {
    All,
    /// Those for which a random number is below this one.
    Below(u64),
}

impl Sample {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of 2^64 need not be exact"
    )]
    fn new(fraction: f64) -> Result<Self, ConfigErrors> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(ConfigErrors::new("/sample", "expected a fraction from 0 to 1, for example 0.1"));
        }
        Ok(if fraction < 1.0 { Self::Below((fraction * u64::MAX as f64) as u64) } else { Self::All })
    }

    fn takes(self) -> bool {
        match self {
            Self::All => true,
            Self::Below(0) => false,
            Self::Below(limit) => random::u64() < limit,
        }
    }
}

#[cfg(test)]
mod tests;
