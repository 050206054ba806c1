//! Why a plugin of whatever ABI cannot be loaded.

use super::Abi;
use super::component::PACKAGE_VERSION;

/// Why a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It wants something that gofe does not have.
    #[error("it does not fit gofe:plugin@{PACKAGE_VERSION}: {0}")]
    World(String),
    /// It does not keep to an ABI that is not gofe's own.
    #[error("it does not fit {}: {reason}", .abi.name())]
    Abi {
        /// Which.
        abi: Abi,
        /// What does not fit.
        reason: String,
    },
    /// It failed before it could say whether its configuration is right.
    #[error("it failed while it was configured: {0}")]
    Failed(String),
    /// It found mistakes in its configuration: JSON pointers below `config`, and what is wrong.
    #[error("{} mistakes in its configuration", .0.len())]
    Configuration(Vec<(String, String)>),
}

impl LoadError {
    /// It does not keep to its ABI.
    pub fn abi(abi: Abi, reason: impl Into<String>) -> Self {
        Self::Abi { abi, reason: reason.into() }
    }

    /// What it means while traffic flows: there is no instance.
    pub(super) fn unavailable(self) -> crate::chain::Fault {
        let message = match self {
            Self::Failed(message) | Self::World(message) | Self::Abi { reason: message, .. } => message,
            Self::Configuration(_) => self.to_string(),
        };
        crate::chain::Fault { kind: crate::chain::FaultKind::Unavailable, message }
    }
}
