//! Names of header fields as a guest spells them, parsed: a guest has a handful that it uses again and again.

use http::HeaderName;
use http::header::InvalidHeaderName;

/// How many names are kept.
const MOST: usize = 16;
/// The longest that is kept, in bytes.
const LONGEST: usize = 64;

/// Names that a guest has used.
#[derive(Default)]
pub(super) struct Names(Vec<(Box<[u8]>, HeaderName)>);

impl Names {
    /// The name that this spelling means.
    ///
    /// # Errors
    /// When it is no name of a field (RFC 9110, section 5.1).
    pub(super) fn parse(&mut self, spelled: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
        if let Some((_, name)) = self.0.iter().find(|(known, _)| **known == *spelled) {
            return Ok(name.clone());
        }
        let name = HeaderName::from_bytes(spelled)?;
        if self.0.len() < MOST && spelled.len() <= LONGEST {
            self.0.push((spelled.into(), name.clone()));
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST, Names};

    #[test]
    fn each_spelling_is_parsed_once_and_as_many_are_kept_as_there_is_room_for() {
        let mut names = Names::default();
        for spelled in ["x-a", "X-A", "host", "x-a", "X-A"] {
            assert_eq!(names.parse(spelled.as_bytes()).unwrap().as_str(), spelled.to_lowercase());
        }
        assert_eq!(names.0.len(), 3);
        assert!(names.parse(b"").is_err() && names.parse(b"a b").is_err());
        for number in 0..2 * MOST {
            assert_eq!(names.parse(format!("x-{number}").as_bytes()).unwrap().as_str(), format!("x-{number}"));
        }
        assert_eq!(names.0.len(), MOST);
        let mut names = Names::default();
        assert!(names.parse("x".repeat(LONGEST + 1).as_bytes()).is_ok());
        assert!(names.0.is_empty());
    }
}
