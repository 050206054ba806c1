//! What the figures depend on: the machine, and the day.

use std::fs;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The machine that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// The processor's model.
    pub(super) cpu: String,
    /// How many processors there are.
    pub(super) cpus: usize,
    /// The kernel's release.
    pub(super) kernel: String,
    /// The operating system's name.
    pub(super) system: String,
}

impl Machine {
    /// This machine.
    pub(super) fn here() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let unknown = || "unknown".to_owned();
        Self {
            cpu: field(&info, "model name", ':').unwrap_or_else(unknown),
            cpus: info.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(unknown),
        }
    }
}

/// Today, as in 2026-11-24, UTC.
pub(super) fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take("2026-11-24".len()).collect()
}

fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(separator)?;
    Some(value.trim().trim_matches('"').to_owned())
}
