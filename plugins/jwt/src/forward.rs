//! Claims on their way to the upstream and to the other plugins.

use std::collections::BTreeMap;

use gofe_plugin::serde_json::Value;
use gofe_plugin::{HeaderError, Request};

use crate::claims::Claims;

/// Which claims go where.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Header and claim.
    headers: Vec<(String, String)>,
    /// Attribute and claim.
    attributes: Vec<(String, String)>,
}

impl Forward {
    pub(crate) fn new(headers: &BTreeMap<String, String>, attributes: &[String]) -> Self {
        let headers = headers.iter().map(|(header, claim)| (header.to_ascii_lowercase(), claim.clone()));
        let attributes = attributes.iter().map(|claim| (format!("jwt.{claim}"), claim.clone()));
        Self { headers: headers.collect(), attributes: attributes.collect() }
    }

    /// Sets headers and attributes. A header whose claim is missing is removed, whoever set it.
    pub(crate) fn apply(&self, claims: &Claims, request: &Request) -> Result<(), &'static str> {
        for (header, claim) in &self.headers {
            let done = match claims.find(claim).and_then(text) {
                Some(value) => request.set_header(header, value),
                None => request.remove_header(header),
            };
            done.map_err(|_| "a claim of the token cannot be sent as a header")?;
        }
        for (attribute, claim) in &self.attributes {
            if let Some(value) = claims.find(claim).and_then(text)
                && !request.attributes().set(attribute, value)
            {
                gofe_plugin::warn!("the request has no room for the attribute `{attribute}`");
            }
        }
        Ok(())
    }

    /// Removes the headers that claims would have set.
    pub(crate) fn clear(&self, request: &Request) -> Result<(), HeaderError> {
        self.headers.iter().try_for_each(|(header, _)| request.remove_header(header))
    }
}

/// A claim as text: a list of simple values with commas, anything deeper as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.iter().all(|it| !it.is_array() && !it.is_object()) => {
            Some(list.iter().filter_map(text).collect::<Vec<_>>().join(","))
        }
        other => Some(other.to_string()),
    }
}
