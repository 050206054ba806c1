//! Writes the files that `examples/tls.yaml` names: `gofe-certificates FOLDER`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("examples/certificates"), PathBuf::from);
    gofe_certificates::examples(&folder)
}
