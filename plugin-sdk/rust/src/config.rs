//! From the configuration's JSON to a plugin's own type, and mistakes that say where they are.

pub mod duration;
mod errors;
mod one_or_many;

use serde::de::DeserializeOwned;

pub use crate::bindings::gofe::plugin::types::ConfigError;
pub use errors::{ConfigErrors, nearest};
pub use one_or_many::one_or_many;

pub(crate) use errors::unknown;

use crate::json;

/// Reads a configuration. `null` reads as an empty map, so that a plugin whose options all have defaults needs none.
pub fn parse<C: DeserializeOwned>(configuration: &str) -> Result<C, ConfigErrors> {
    json::read_or_default(configuration.as_bytes())
        .map_err(|mistake| ConfigErrors::new(mistake.pointer(), mistake.message()))
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
        assert_eq!(message, "expected a string, not the number 7");
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
    fn every_shape_of_serde_is_read() {
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "lowercase")]
        enum Shape {
            Unit,
            New(u8),
            Pair(i8, f64),
            Named { a: Option<char> },
        }
        let shapes = r#"["unit", { "new": 7 }, { "pair": [-1, 0.5] }, { "named": { "a": null } }]"#;
        let expected = [Shape::Unit, Shape::New(7), Shape::Pair(-1, 0.5), Shape::Named { a: None }];
        assert_eq!(parse::<Vec<Shape>>(shapes).unwrap(), expected);
        for (shape, pointer, message) in [
            (r#"["nothing"]"#, "/0", "unknown value `nothing`; expected `unit`, `new`, `pair` or `named`"),
            (r#"[{ "new": 256 }]"#, "/0/new", "expected u8, not the number 256"),
            (r#"[{ "pair": [-1, "x"] }]"#, "/0/pair/1", "expected f64, not the text `x`"),
            (r#"[{ "unit": 1 }]"#, "/0/unit", "expected nothing below this word"),
            ("[7]", "/0", "expected a word, or a map with one key"),
            ("7", "", "expected a list, not the number 7"),
            (r#"[{ "named": [] }]"#, "/0/named", "expected a map, not a list"),
        ] {
            let errors = parse::<Vec<Shape>>(shape).unwrap_err();
            assert_eq!(errors, ConfigErrors::new(pointer, message));
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert!(parse::<Config>("{").unwrap_err().iter().next().unwrap().message.starts_with("not JSON: "));
    }

    #[test]
    fn a_missing_key_is_named() {
        let (pointer, message) = mistake(r#"{ "keys": { "a": {} } }"#);
        assert_eq!(pointer, "/keys/a");
        assert_eq!(message, "missing key `consumer`");
    }
}
