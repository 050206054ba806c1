//! Configurations and files of endpoints.

use gofe::config::{parse, parse_endpoints};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(diagnostics) = parse("gofe.yaml", text) {
        let _ = diagnostics.to_string();
    }
    let _ = parse_endpoints("endpoints.yaml", text);
}
