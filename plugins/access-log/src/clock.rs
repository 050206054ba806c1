//! Times as RFC 3339 writes them, for example `2026-01-31T23:59:59.000Z`.

use std::time::{Duration, UNIX_EPOCH};

use crate::buffer::Buffer;

/// The bytes of `2026-01-31T23:59:59`.
const LENGTH: usize = 19;

/// Writes times. What it wrote last it knows still, since many requests end in the same second.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Option<u64>,
    text: [u8; LENGTH],
}

impl Clock {
    /// Writes a time since 1970 with milliseconds.
    pub(crate) fn write(&mut self, time: Duration, line: &mut Buffer) {
        let second = time.as_secs();
        if self.second != Some(second) {
            let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            self.second = Some(second);
            self.text = text.as_bytes().first_chunk().copied().unwrap_or_default();
        }
        line.put(&self.text);
        line.put_byte(b'.');
        line.put_thousandths(time.subsec_millis().into());
        line.put_byte(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds() {
        let mut clock = Clock::default();
        for (milliseconds, text) in [
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (1_767_225_600_042, "2026-01-01T00:00:00.042Z"),
            (0, "1970-01-01T00:00:00.000Z"),
        ] {
            let mut line = Buffer::default();
            clock.write(Duration::from_millis(milliseconds), &mut line);
            assert_eq!(std::str::from_utf8(line.line()), Ok(text));
        }
    }
}
