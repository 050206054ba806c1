//! Mistakes in a configuration.

use super::ConfigError;

/// One or more mistakes in a plugin's configuration, each with a JSON pointer (RFC 6901) to its place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// One mistake.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::none();
        errors.push(pointer, message);
        errors
    }

    /// No mistake yet: collect them with [`ConfigErrors::push`] and end with [`ConfigErrors::into_result`].
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a mistake.
    pub fn push(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(ConfigError { pointer: pointer.into(), message: message.into() });
    }

    /// The value of a result; its mistakes are kept here.
    pub fn take<T>(&mut self, result: Result<T, ConfigErrors>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.0)).ok()
    }

    /// The mistakes, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// `value` where there is no mistake.
    pub fn into_result<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<ConfigErrors> for Vec<ConfigError> {
    fn from(errors: ConfigErrors) -> Self {
        errors.0
    }
}

/// Says that a key or value is unknown, and which one was probably meant.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known) {
        return format!("unknown {kind} `{name}`; did you mean `{near}`?");
    }
    match known.split_last() {
        None => format!("unknown {kind} `{name}`"),
        Some((last, [])) => format!("unknown {kind} `{name}`; expected `{last}`"),
        Some((last, others)) => {
            format!("unknown {kind} `{name}`; expected `{}` or `{last}`", others.join("`, `"))
        }
    }
}

/// The known name that `name` was probably meant to be.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) = known.iter().map(|candidate| (distance(name, candidate), *candidate)).min()?;
    (distance <= name.chars().count().max(3) / 3).then_some(near)
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near_are_found() {
        assert_eq!(nearest("brust", &["burst", "rate"]), Some("burst"));
        assert_eq!(nearest("client", &["burst", "rate"]), None);
        assert_eq!(nearest("", &[]), None);
    }

    #[test]
    fn several_mistakes_are_kept_together() {
        let mut errors = ConfigErrors::none();
        errors.push("/a", "one");
        assert_eq!(errors.take::<()>(Err(ConfigErrors::new("/b", "two"))), None);
        assert_eq!(errors.iter().count(), 2);
        assert!(errors.into_result(()).is_err());
    }
}
