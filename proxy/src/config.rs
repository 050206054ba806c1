//! Configuration: YAML text → raw structures → checked [`Config`].
//!
//! All mistakes are reported at once, each with its place, its path and, where there is one, the nearest right
//! name. Only this module knows YAML. Nothing but the file itself is read here: secrets, plugin files and sockets
//! belong to later stages, which report what they find through [`Source::error`] and [`Source::plugin_error`].

mod check;
mod diagnostic;
mod mask;
mod model;
mod path;
mod policy;
mod raw;
mod read;
mod shape;
mod source;
mod text;
mod tree;
mod written;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
pub use model::*;
pub use path::normalized as normalized_path;
pub use source::Source;

/// The plugins that `std:` names.
pub const STANDARD_PLUGINS: [&str; 5] = ["access-log", "api-key", "jwt", "rate-limit", "router"];

/// The most bytes of a configuration file.
pub const MAX_FILE_SIZE: usize = 4 << 20;

/// The most errors that one report shows.
const MAX_PROBLEMS: usize = 100;

/// A configuration that has no mistakes, and the text it came from.
#[derive(Debug)]
pub struct Loaded {
    /// What the file says.
    pub config: Config,
    /// The text, to find the place of a value.
    pub source: Source,
    /// What is allowed and yet looks like a mistake.
    pub warnings: Diagnostics,
}

/// Reads and checks a configuration file.
///
/// # Errors
///
/// All mistakes in the file, sorted by place; one without a line when the file cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    parse(&path.display().to_string(), &read_text(path)?)
}

/// Reads and checks a file of endpoints, see [`parse_endpoints`].
///
/// # Errors
///
/// All mistakes in the file, sorted by place; one without a line when the file cannot be read.
pub fn load_endpoints(path: &Path) -> Result<Vec<Endpoint>, Diagnostics> {
    parse_endpoints(&path.display().to_string(), &read_text(path)?)
}

fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let name = path.display().to_string();
    let whole_file = |message: String| Diagnostics::from(Diagnostic::of_file(&name, message));
    let bytes = read_bounded(path).map_err(|error| whole_file(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        whole_file(format!("is not UTF-8 text: line {line} has a byte that does not belong there"))
    })
}

/// Checks a configuration. `name` is the file's path: it stands in diagnostics, and relative paths in the
/// configuration are joined to its folder.
///
/// # Errors
///
/// All mistakes in the text, sorted by place.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    if text.len() > MAX_FILE_SIZE {
        return Err(Diagnostic::of_file(name, format!("is larger than {} MiB", MAX_FILE_SIZE >> 20)).into());
    }
    let (source, mut problems) = read::source(name, text)?;
    let config = shape::read(&source, &mut problems).map(|raw| check::config(&source, &raw, &mut problems));
    let mut all = Diagnostics::from(problems);
    if let Some(config) = config.filter(|_| !all.has_errors()) {
        all.truncate(MAX_PROBLEMS);
        return Ok(Loaded { config, source, warnings: all });
    }
    // What seems unused may be a name that was misspelt.
    all.retain(Severity::Error);
    all.truncate(MAX_PROBLEMS);
    Err(all)
}

/// Checks a file of endpoints, YAML or JSON: `endpoints` as an upstream has it, and at least one.
///
/// # Errors
///
/// All mistakes in the text, sorted by place.
pub fn parse_endpoints(name: &str, text: &str) -> Result<Vec<Endpoint>, Diagnostics> {
    if text.len() > MAX_FILE_SIZE {
        return Err(Diagnostic::of_file(name, format!("is larger than {} MiB", MAX_FILE_SIZE >> 20)).into());
    }
    let (source, mut problems) = read::source(name, text)?;
    if source.value().is_null() {
        return Err(source.error("", "the file is empty").into());
    }
    let raw = shape::read(&source, &mut problems);
    let endpoints = raw.map(|raw| check::endpoints(&source, &raw, &mut problems)).unwrap_or_default();
    let mut all = Diagnostics::from(problems);
    all.truncate(MAX_PROBLEMS);
    if all.has_errors() { Err(all) } else { Ok(endpoints) }
}

/// Reads a file, one byte more than is allowed at the most.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_SIZE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The candidate that `name` was probably meant to be.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let most = (name.chars().count() + 1) / 3;
    let close = |candidate: &&str| name.len() <= LONGEST && candidate.len() <= LONGEST;
    candidates
        .into_iter()
        .filter(close)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}
