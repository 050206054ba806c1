//! The plugin's own output: a stream of lines that `allow.output` directs to a file, to stdout (the default) or to
//! stderr.

use crate::host;

/// Appends one line; the proxy adds the line feed. False when the line was dropped because the destination does not
/// keep up.
pub fn write_line(line: impl AsRef<[u8]>) -> bool {
    host::output::write_line(line.as_ref())
}
