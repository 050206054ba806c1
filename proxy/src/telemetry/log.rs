//! The proxy's own log: human on a terminal, JSON otherwise, to standard error.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Log, LogFormat};

/// The environment variable whose filter stands in the place of the configuration's.
pub const VARIABLE: &str = "GOFE_LOG";

/// A filter that `tracing-subscriber` cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the log filter {filter:?} is not valid: {reason}")]
pub struct FilterError {
    filter: String,
    reason: String,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The configuration's filter is not valid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The filter of [`VARIABLE`] is not valid.
    #[error("in the environment variable {VARIABLE}, {0}")]
    Variable(FilterError),
    /// The process has a log already.
    #[error(transparent)]
    Taken(#[from] TryInitError),
}

/// Changes the log of a running process.
#[derive(Debug, Clone)]
pub struct Handle {
    filter: reload::Handle<EnvFilter, Registry>,
    /// From the environment, which goes before the configuration for as long as the process lives.
    fixed: bool,
    format: LogFormat,
}

impl Handle {
    /// Puts another configuration's filter into force. The environment's filter stays. The format is taken at the
    /// start only: another one is logged as a warning.
    ///
    /// # Errors
    /// When the filter is not valid; the one before stays.
    pub fn update(&self, log: &Log) -> Result<(), FilterError> {
        let filter = filter(&log.filter)?;
        if !self.fixed {
            // It fails only when the subscriber is gone, and with it the log.
            let _ = self.filter.reload(filter);
        }
        if log.format != self.format {
            tracing::warn!("log.format has changed; it takes effect when gofe is started again");
        }
        Ok(())
    }
}

/// Starts the process's log.
///
/// # Errors
/// When the filter of the configuration or of [`VARIABLE`] is not valid, or the process has a log already.
pub fn init(log: &Log) -> Result<Handle, InitError> {
    let variable = env::var(VARIABLE).ok().filter(|filter| !filter.is_empty());
    if let Some(text) = &variable {
        check_filter(text).map_err(InitError::Variable)?;
    }
    let (subscriber, handle) = subscriber(log, variable, io::stderr().is_terminal(), io::stderr)?;
    subscriber.try_init()?;
    Ok(handle)
}

/// Whether a filter is well formed, for the check of a configuration.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_filter(text: &str) -> Result<(), FilterError> {
    filter(text).map(drop)
}

fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let parsed = EnvFilter::builder().parse(text);
    parsed.map_err(|error| FilterError { filter: text.to_owned(), reason: error.to_string() })
}

/// The subscriber with what it depends on passed in.
fn subscriber<W>(
    log: &Log,
    variable: Option<String>,
    terminal: bool,
    writer: W,
) -> Result<(impl SubscriberInitExt + tracing::Subscriber + Send + Sync, Handle), FilterError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fixed = variable.is_some();
    let (filter, handle) = reload::Layer::new(filter(&variable.unwrap_or_else(|| log.filter.clone()))?);
    let human = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if human {
        lines.with_ansi(terminal).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    let handle = Handle { filter: handle, fixed, format: log.format };
    Ok((tracing_subscriber::registry().with(filter).with(lines), handle))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::subscriber::with_default;

    use super::*;

    /// Everything that was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    fn log(filter: &str, format: LogFormat) -> Log {
        Log { filter: filter.to_owned(), format }
    }

    fn run(log: &Log, variable: Option<&str>, terminal: bool, body: impl FnOnce(&Handle)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let made = subscriber(log, variable.map(str::to_owned), terminal, move || writer.clone());
        let (subscriber, handle) = made.unwrap();
        with_default(subscriber, || body(&handle));
        lines.text()
    }

    #[test]
    fn away_from_a_terminal_a_line_is_a_json_object() {
        let text = run(&log("info", LogFormat::Auto), None, false, |_| tracing::warn!(plugin = "tenant", "it trapped"));
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "it trapped");
        assert_eq!(line["plugin"], "tenant");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn colours_are_for_terminals_only() {
        let on = run(&log("info", LogFormat::Auto), None, true, |_| tracing::info!("hello"));
        assert!(on.contains("\u{1b}[") && on.contains("hello"));
        let off = run(&log("info", LogFormat::Human), None, false, |_| tracing::info!("hello"));
        assert!(!off.contains('\u{1b}') && off.contains("INFO") && off.contains("hello"));
    }

    #[test]
    fn a_reload_changes_the_filter() {
        let text = run(&log("info", LogFormat::Json), None, false, |handle| {
            tracing::debug!("before");
            handle.update(&log("debug", LogFormat::Json)).unwrap();
            tracing::debug!("after");
        });
        assert!(!text.contains("before") && text.contains("after"));
    }

    #[test]
    fn the_environment_goes_before_the_configuration() {
        let text = run(&log("debug", LogFormat::Json), Some("error"), false, |handle| {
            handle.update(&log("trace", LogFormat::Json)).unwrap();
            tracing::warn!("quiet");
            tracing::error!("loud");
        });
        assert!(!text.contains("quiet") && text.contains("loud"));
    }

    #[test]
    fn a_changed_format_is_not_silently_ignored() {
        let text = run(&log("info", LogFormat::Json), None, false, |handle| {
            handle.update(&log("info", LogFormat::Human)).unwrap();
        });
        assert!(text.contains("log.format has changed"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_and_the_old_one_stays() {
        assert!(check_filter("gofe=loud").unwrap_err().to_string().contains("gofe=loud"));
        let text = run(&log("info", LogFormat::Json), None, false, |handle| {
            assert!(handle.update(&log("gofe=loud", LogFormat::Json)).is_err());
            tracing::info!("still here");
        });
        assert!(text.contains("still here"));
    }
}
