//! Data that clients send with their first message.

use super::Check;
use crate::config::model::EarlyData;
use crate::config::raw::{RawEarlyData, RawTls};
use crate::config::source::child;

impl Check<'_> {
    /// `at` is the listener's `tls`, and `passes` says whether it passes bytes.
    pub(super) fn early_data(&mut self, at: &str, raw: &RawTls, passes: bool) -> Option<EarlyData> {
        let RawEarlyData { size, sessions, off } = &raw.early_data.as_ref()?.0;
        let key = child(at, "early-data");
        let size = self.size(&child(&key, "size"), size.as_ref(), 16 << 10, 1 << 10, 1 << 20);
        let sessions = self.count(&child(&key, "sessions"), *sessions, 10_000, 1, 10_000_000);
        if *off {
            return None;
        }
        if passes {
            self.key_error(&key, "`early-data` and `tcp` exclude each other: nobody knows which bytes may come twice");
        } else if self.written(&child(at, "client-certificates")) {
            self.report(|source| {
                source
                    .key_error(&key, "`early-data` and `client-certificates` exclude each other")
                    .with_help("a request that may be a replay would come with an identity that nobody has proved")
            });
        }
        Some(EarlyData { size: u32::try_from(size).unwrap_or(u32::MAX), sessions: sessions as u64 })
    }
}
