//! A run of several steps: a heading for each, its duration, and a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended that did not fail.
pub(crate) enum Outcome {
    /// It did its work.
    Done,
    /// It could not do its work here, and why.
    Skipped(String),
}

impl Outcome {
    /// Says so where a command that is no part of a run could not do its work.
    pub(crate) fn tell(&self) {
        if let Self::Skipped(why) = self {
            eprintln!("skipped: {why}");
        }
    }
}

/// The steps so far. A failed step does not keep the others from running, so that one run shows all that is wrong.
#[derive(Default)]
pub(crate) struct Steps {
    reports: Vec<Report>,
}

struct Report {
    name: &'static str,
    again: String,
    took: Duration,
    result: Result<Outcome>,
}

impl Steps {
    /// Runs a step. `again` is the command that runs this step alone. Returns whether it went well.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        again: impl Into<String>,
        work: impl FnOnce() -> Result<Outcome>,
    ) -> bool {
        let again = again.into();
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        match &result {
            Ok(Outcome::Done) => eprintln!("== {name}: ok in {}", seconds(took)),
            Ok(Outcome::Skipped(why)) => eprintln!("== {name}: skipped: {why}"),
            Err(error) => {
                eprintln!("{error:#}");
                eprintln!("== {name}: FAILED after {}; only this step: {again}", seconds(took));
            }
        }
        let well = result.is_ok();
        self.reports.push(Report { name, again, took, result });
        well
    }

    /// Prints a line for each step, and fails when one of them did.
    pub(crate) fn finish(self) -> Result<()> {
        eprintln!();
        for report in &self.reports {
            eprintln!("{}", report.line());
        }
        let failed = self.reports.iter().filter(|report| report.result.is_err()).count();
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.reports.len());
        }
        Ok(())
    }
}

impl Report {
    fn line(&self) -> String {
        let (word, note) = match &self.result {
            Ok(Outcome::Done) => ("ok", String::new()),
            Ok(Outcome::Skipped(why)) => ("skipped", why.clone()),
            Err(_) => ("FAILED", format!("only this step: {}", self.again)),
        };
        format!("{word:<8} {:>8}  {:<16} {note}", seconds(self.took), self.name).trim_end().to_owned()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_lets_the_others_go_on() {
        let mut steps = Steps::default();
        assert!(!steps.run("first", "cargo first", || Err(anyhow!("broken"))));
        assert!(steps.run("second", "cargo second", || Ok(Outcome::Skipped("no tool".into()))));
        assert!(steps.run("third", "cargo third", || Ok(Outcome::Done)));
        let lines: Vec<_> = steps.reports.iter().map(Report::line).collect();
        assert!(lines[0].starts_with("FAILED") && lines[0].ends_with("only this step: cargo first"), "{}", lines[0]);
        assert!(lines[1].starts_with("skipped") && lines[1].ends_with("no tool"), "{}", lines[1]);
        assert!(lines[2].starts_with("ok") && lines[2].ends_with("third"), "{}", lines[2]);
        assert_eq!(steps.finish().unwrap_err().to_string(), "1 of 3 steps failed");
    }
}
