//! How a change went, for whoever asked for it.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// What brings a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The start of the process.
    Start,
    /// A file changed.
    File,
    /// SIGHUP.
    Signal,
    /// `POST /reload`.
    Api,
    /// `POST /rollback`.
    Rollback,
}

/// A configuration that was put into service.
#[derive(Debug, Clone, Serialize)]
pub struct Changed {
    /// Its generation.
    pub generation: u64,
    /// Its digest.
    pub digest: String,
    /// How long it took, from the event that began it.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// What the operator should know although it serves, for example plugins that could not be loaded.
    pub warnings: Vec<String>,
}

/// Why a configuration was not put into service. The one before serves on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another change is under way.
    #[error("another reload or rollback is under way")]
    Busy,
    /// The configuration is not valid; the text is the diagnostics as `gofe check` writes them.
    #[error("{0}")]
    Rejected(String),
    /// The history has no configuration of this generation to go back to; without a number, none at all.
    #[error("the history has no {}", .0.map_or_else(|| "earlier configuration".to_owned(), |n| format!("generation {n}")))]
    Unknown(Option<u64>),
}

/// A duration as seconds.
pub(crate) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
