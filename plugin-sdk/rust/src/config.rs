//! From the configuration's JSON to a plugin's own type, and mistakes that say where they are.

pub mod duration;
mod errors;
mod one_or_many;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

pub use crate::bindings::gofe::plugin::types::ConfigError;
pub use errors::{ConfigErrors, nearest};
pub use one_or_many::one_or_many;

/// Reads a configuration. `null` reads as an empty map, so that a plugin whose options all have defaults needs none.
pub fn parse<C: DeserializeOwned>(configuration: &str) -> Result<C, ConfigErrors> {
    let text = if configuration.trim() == "null" { "{}" } else { configuration };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| ConfigErrors::new(pointer(error.path()), errors::explain(&error.inner().to_string())))
}

/// The path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&token(key)),
            // An enum's variant is either the value itself or a key that the map segment names already.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// A key as a reference token of a JSON pointer, with the slash before it.
pub fn token(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        keys: BTreeMap<String, Key>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Key {
        consumer: String,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        #[default]
        Strict,
        Lenient,
    }

    fn mistake(configuration: &str) -> (String, String) {
        let errors = parse::<Config>(configuration).unwrap_err();
        let error = errors.iter().next().unwrap();
        (error.pointer.clone(), error.message.clone())
    }

    #[test]
    fn no_configuration_is_an_empty_map() {
        assert_eq!(parse::<Config>("null").unwrap(), parse::<Config>("{}").unwrap());
    }

    #[test]
    fn a_wrong_value_is_found_by_its_pointer() {
        let (pointer, message) = mistake(r#"{ "keys": { "a/b~c": { "consumer": 7 } } }"#);
        assert_eq!(pointer, "/keys/a~1b~0c/consumer");
        assert_eq!(message, "invalid type: integer `7`, expected a string");
    }

    #[test]
    fn an_unknown_key_names_the_nearest_right_one() {
        let (pointer, message) = mistake(r#"{ "kesy": {} }"#);
        assert_eq!(pointer, "/kesy");
        assert_eq!(message, "unknown key `kesy`; did you mean `keys`?");
    }

    #[test]
    fn an_unknown_choice_lists_the_right_ones() {
        let (pointer, message) = mistake(r#"{ "mode": "whatever" }"#);
        assert_eq!(pointer, "/mode");
        assert_eq!(message, "unknown value `whatever`; expected `strict` or `lenient`");
    }

    #[test]
    fn a_missing_key_is_named() {
        let (pointer, message) = mistake(r#"{ "keys": { "a": {} } }"#);
        assert_eq!(pointer, "/keys/a");
        assert_eq!(message, "missing key `consumer`");
    }
}
