//! A configuration's text, and where in it each value is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::diagnostic::{Diagnostic, Excerpt, Location, Severity};
use super::mask;
use super::policy::Links;
use super::tree::{Found, Kind, Place, Tree};

/// The most characters of a line that a diagnostic shows.
const WIDEST: usize = 110;

/// A configuration file's text with the places of its keys and values.
#[derive(Debug)]
pub struct Source {
    name: Arc<str>,
    text: String,
    tree: Tree,
    value: Value,
    /// What came from policies.
    links: Links,
    /// Where secrets may stand, found when the first diagnostic is made.
    secrets: OnceLock<Vec<Place>>,
}

impl Source {
    pub(super) fn new(name: &str, text: &str, tree: Tree, value: Value, links: Links) -> Self {
        Self { name: name.into(), text: text.to_owned(), tree, value, links, secrets: OnceLock::new() }
    }

    /// The file as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, secrets and all.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folder that relative paths in the file start from.
    pub fn folder(&self) -> PathBuf {
        Path::new(&*self.name).parent().unwrap_or(Path::new("")).to_path_buf()
    }

    /// Where the value at a JSON pointer (RFC 6901) is; where the nearest value around it is when there is none.
    pub fn locate(&self, pointer: &str) -> Location {
        self.location(place_of_value(&self.find(pointer)))
    }

    /// An error at the value of a JSON pointer, or at the nearest value around it.
    pub fn error(&self, pointer: &str, message: impl Into<String>) -> Diagnostic {
        let found = self.find(pointer);
        let place = place_of_value(&found);
        self.at(place, pointer, found.path, message.into())
    }

    /// An error at the key of a JSON pointer, for what is wrong with the key and not with its value.
    pub fn key_error(&self, pointer: &str, message: impl Into<String>) -> Diagnostic {
        let found = self.find(pointer);
        let place = found.key.unwrap_or_else(|| place_of_value(&found));
        self.at(place, pointer, found.path, message.into())
    }

    /// What a plugin says about its own configuration; `pointer` is relative to that.
    pub fn plugin_error(&self, plugin: &str, pointer: &str, message: impl Into<String>) -> Diagnostic {
        let config = child(&child("/plugins", plugin), "config");
        // A guest's pointer is not to be trusted to begin with a slash.
        let slash = if pointer.is_empty() || pointer.starts_with('/') { "" } else { "/" };
        self.error(&format!("{config}{slash}{pointer}"), message)
    }

    /// The configuration as YAML, without comments and with everything that may be a secret masked.
    pub fn masked(&self) -> String {
        serde_yaml::to_string(&mask::value(&self.value)).unwrap_or_default()
    }

    /// The values as they are written, aliases and merges applied.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// An error at a place that is known already.
    pub(super) fn error_at(&self, place: Place, pointer: &str, message: String) -> Diagnostic {
        self.at(place, pointer, self.find(pointer).path, message)
    }

    /// What a pointer leads to, in the policy where it came from one.
    fn find(&self, pointer: &str) -> Found<'_> {
        let end = pointer.match_indices('/').nth(3).map_or(pointer.len(), |(at, _)| at);
        match self.links.get(&pointer[..end]) {
            Some(policy) => self.tree.find(&format!("{policy}{}", &pointer[end..])),
            None => self.tree.find(pointer),
        }
    }

    fn location(&self, place: Place) -> Location {
        Location { file: Arc::clone(&self.name), line: place.line, column: place.column + 1 }
    }

    fn at(&self, place: Place, pointer: &str, path: String, message: String) -> Diagnostic {
        Diagnostic {
            location: self.location(place),
            severity: Severity::Error,
            pointer: pointer.to_owned(),
            path,
            message,
            help: None,
            excerpt: excerpt(&self.text, place, self.secrets.get_or_init(|| mask::places(&self.tree))),
        }
    }
}

/// An error in a text that has no tree.
pub(super) fn error_in_text(name: &str, text: &str, place: Place, message: String) -> Diagnostic {
    let mut diagnostic = Diagnostic::of_file(name, message);
    (diagnostic.location.line, diagnostic.location.column) = (place.line, place.column + 1);
    diagnostic.excerpt = excerpt(text, place, &[]);
    diagnostic
}

/// The pointer of a key in a map or of an index in a list.
pub(super) fn child(pointer: &str, segment: &str) -> String {
    format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

/// Lists, maps and missing values are shown by their key: that is where a reader looks for them.
fn place_of_value(found: &Found<'_>) -> Place {
    match (&found.node.kind, found.key) {
        (Kind::Scalar, _) | (_, None) => found.node.place,
        (_, Some(key)) => key,
    }
}

/// The line of a place, cut to its surroundings when it is long.
fn excerpt(text: &str, place: Place, secrets: &[Place]) -> Option<Excerpt> {
    let line = text.lines().nth(place.line.checked_sub(1)?)?;
    let masked = |column: usize| {
        secrets
            .iter()
            .any(|s| (s.line, s.column) <= (place.line, column) && (place.line, column) < (s.end_line, s.end_column))
    };
    let end = if place.end_line == place.line { place.end_column } else { usize::MAX };
    let long = line.chars().count() > WIDEST;
    let skipped = if long { place.column.saturating_sub(WIDEST / 2) } else { 0 };
    let line: String = line
        .chars()
        .enumerate()
        .skip(skipped)
        .take(WIDEST)
        .map(|(column, c)| if masked(column) && c != ' ' { '*' } else { c })
        .collect();
    let line = line.trim_end().to_owned();
    let before = place.column - skipped;
    let width = end.saturating_sub(place.column).min(line.chars().count().saturating_sub(before));
    Some(Excerpt { line, before, width })
}
