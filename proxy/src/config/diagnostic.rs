//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 for the file as a whole.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// Whether a diagnostic stops a configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used; something in it looks like a mistake.
    Warning,
}

/// The line of text that a diagnostic shows, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Excerpt {
    /// The line, or the part of a long one around the place.
    pub(super) line: String,
    /// Characters before the place.
    pub(super) before: usize,
    /// Characters to underline.
    pub(super) width: usize,
}

/// One thing that is wrong, at one place. [`super::Source::error`] makes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Where.
    pub location: Location,
    /// How bad.
    pub severity: Severity,
    /// The JSON pointer of the value (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// The same for people: `routes[0].upstream`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    pub(super) excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// A file that cannot be used as a whole.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            location: Location { file: file.into(), line: 0, column: 0 },
            severity: Severity::Error,
            pointer: String::new(),
            path: String::new(),
            message: message.into(),
            help: None,
            excerpt: None,
        }
    }

    /// The same with a help line.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// One line for a log: `quickstart.yaml:12:5: routes[0].upstream: there is no upstream …`.
    pub fn short(&self) -> String {
        let mut line = format!("{}: ", self.location);
        if !self.path.is_empty() {
            line.push_str(&self.path);
            line.push_str(": ");
        }
        line.push_str(&self.message);
        if let Some(help) = &self.help {
            line.push_str(" (");
            line.push_str(help);
            line.push(')');
        }
        printable(&line)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{severity}: {}: {}{colon}{}", self.location, printable(&self.path), printable(&self.message))?;
        let gutter = " ".repeat(self.location.line.to_string().len());
        if let Some(Excerpt { line, before, width }) = &self.excerpt {
            // A tab stays a tab, so that the caret stands below its character.
            let pad: String = line.chars().take(*before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let carets = "^".repeat((*width).max(1));
            write!(f, "\n{gutter} |\n{} | {}\n{gutter} | {pad}{carets}", self.location.line, printable(line))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {}", printable(help))?;
        }
        Ok(())
    }
}

/// Text with no control characters other than tabs: what a file holds must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Diagnostics sorted by place, without repetitions. Displayed, each takes several lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// How many more there were.
    left_out: usize,
}

impl Diagnostics {
    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// One by one, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// A line for each.
    pub fn short(&self) -> String {
        self.list.iter().map(Diagnostic::short).collect::<Vec<_>>().join("\n")
    }

    /// Keeps those of one severity.
    pub(super) fn retain(&mut self, severity: Severity) {
        self.list.retain(|diagnostic| diagnostic.severity == severity);
    }

    /// Keeps the first `most` and counts the others.
    pub(super) fn truncate(&mut self, most: usize) {
        self.left_out += self.list.len().saturating_sub(most);
        self.list.truncate(most);
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(mut list: Vec<Diagnostic>) -> Self {
        list.sort();
        // An alias leads to one mistake by several paths.
        list.dedup_by(|next, first| next.location == first.location && next.message == first.message);
        Self { list, left_out: 0 }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], left_out: 0 }
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Self {
        iter.into_iter().collect::<Vec<_>>().into()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.list.iter().enumerate() {
            let gap = if number == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}
