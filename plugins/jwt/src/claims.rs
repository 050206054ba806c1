//! Claims (RFC 7519, section 4), and the rules that they must keep.

use std::time::Duration;

use gofe_plugin::serde_json::{Map, Value};
use gofe_plugin::{clock, json};

/// The claims of a token.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, &'static str> {
        json::read(payload).map(Self).map_err(|_| "the token's payload is not a JSON object")
    }

    /// A claim by its name, or the way to it with dots: `realm_access.roles`.
    pub(crate) fn find(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(path) {
            // Names that are URIs have dots of their own.
            return Some(value);
        }
        let mut steps = path.split('.');
        let first = self.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }

    /// A time in seconds since 1970; an error where it is not a number.
    fn time(&self, name: &str) -> Result<Option<f64>, ()> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(()),
        }
    }
}

/// What claims must keep.
#[derive(Debug)]
pub(crate) struct Rules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
    required: Vec<String>,
}

impl Rules {
    pub(crate) fn new(issuers: Vec<String>, audiences: Vec<String>, leeway: Duration, required: Vec<String>) -> Self {
        Self { issuers, audiences, leeway, required }
    }

    /// Whether the claims hold now.
    pub(crate) fn check(&self, claims: &Claims) -> Result<(), &'static str> {
        let (now, leeway) = (clock::now().as_secs_f64(), self.leeway.as_secs_f64());
        if self.required.iter().any(|name| claims.find(name).is_none()) {
            return Err("the token lacks a claim that is required");
        }
        if claims.time("exp").map_err(|()| "exp is not a number")?.is_some_and(|end| now >= end + leeway) {
            return Err("the token has expired");
        }
        if claims.time("nbf").map_err(|()| "nbf is not a number")?.is_some_and(|start| now + leeway < start) {
            return Err("the token is not valid yet");
        }
        if !self.issuers.is_empty() && !claims.find("iss").is_some_and(|issuer| is_one_of(issuer, &self.issuers)) {
            return Err("the token is from another issuer");
        }
        if !self.audiences.is_empty() && !self.is_for_us(claims.find("aud")) {
            return Err("the token is for another audience");
        }
        Ok(())
    }

    /// `aud` is one audience or a list (RFC 7519, section 4.1.3).
    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        match audience {
            Some(Value::Array(list)) => list.iter().any(|audience| is_one_of(audience, &self.audiences)),
            Some(audience) => is_one_of(audience, &self.audiences),
            None => false,
        }
    }
}

fn is_one_of(value: &Value, known: &[String]) -> bool {
    value.as_str().is_some_and(|value| known.iter().any(|known| known == value))
}
