//! The configuration.

use std::fmt;

use gofe_plugin::ConfigErrors;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::line::Line;
use crate::source::Source;
use crate::template;

/// What stands under `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The members of the JSON object: a list of sources, or a map from names to sources.
    pub(crate) fields: Option<Fields>,
    /// A line of text in the place of JSON.
    pub(crate) template: Option<String>,
    /// The fraction of requests that are logged.
    #[serde(default = "one")]
    pub(crate) sample: f64,
    /// Whether requests that fail are logged whatever the sample says.
    #[serde(default = "yes")]
    pub(crate) always_errors: bool,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl Config {
    /// How a line is written.
    pub(crate) fn line(&self) -> Result<Line, ConfigErrors> {
        match (&self.template, &self.fields) {
            (Some(_), Some(_)) => {
                Err(ConfigErrors::new("/fields", "`fields` are for JSON and `template` is for text: give one of them"))
            }
            (Some(text), None) => template::parse(text).map_err(|message| ConfigErrors::new("/template", message)),
            (None, Some(fields)) if fields.0.is_empty() => Err(ConfigErrors::new("/fields", "there are no fields")),
            (None, Some(fields)) => Ok(Line::json(&fields.0)),
            (None, None) => Ok(Line::json(&default_fields())),
        }
    }
}

/// What most people ask an access log for. Queries are left out, since they may hold credentials.
fn default_fields() -> Vec<(String, Source)> {
    use Source::*;
    let fields = [
        Time,
        Route,
        ClientAddress,
        Method,
        Authority,
        Path,
        Status,
        DurationMs,
        RequestBytes,
        ResponseBytes,
        Upstream,
        Error,
    ];
    fields.into_iter().map(|source| (source.name(), source)).collect()
}

/// Members of the JSON object: names and sources.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, Source)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of sources, or a map from names to sources")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(source) = list.next_element::<Source>()? {
                    fields.push((source.name(), source));
                }
                Ok(Fields(fields))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_any(FieldsVisitor)
    }
}
