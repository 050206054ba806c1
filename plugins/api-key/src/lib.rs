//! api-key: a request passes with a key that is known, and goes on under its consumer's name.
//!
//! docs/plugins/api-key.md is the reference.

mod config;
mod keys;

use gofe_plugin::credential::Place;
use gofe_plugin::prelude::*;

use config::Config;
use keys::Keys;

/// The attribute that tells the other plugins who the consumer is.
const CONSUMER: &str = "api-key.consumer";

/// The configured plugin.
#[derive(Debug)]
pub struct ApiKey {
    keys: Keys,
    from: Vec<Place>,
    hide_credential: bool,
    consumer_header: Option<String>,
    optional: bool,
    challenge: String,
}

#[gofe_plugin::plugin]
impl Plugin for ApiKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = config.check();
        let keys = errors.take(Keys::new(&config.keys, &config.secrets));
        errors.into_result(())?;
        Ok(Self {
            keys: keys.unwrap_or_default(),
            challenge: challenge(&config.from, &config.realm),
            from: config.from,
            hide_credential: config.hide_credential,
            consumer_header: Some(config.consumer_header).filter(|name| !name.is_empty()),
            optional: config.optional,
        })
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        let found = self.from.iter().find_map(|place| Some((place, place.find(request)?)));
        let Some((place, credential)) = found else {
            return self.anonymous(request);
        };
        let Some(consumer) = self.keys.consumer(&credential) else {
            return Ok(self.refuse("invalid-api-key", "The API key is not valid."));
        };
        let consumer_header = self.consumer_header.as_deref().map(|header| (header, Some(consumer.as_bytes())));
        match (place, self.hide_credential, consumer_header) {
            (Place::Header(name), true, Some(field)) => request.set_headers(&[(name, None), field])?,
            (place, hide, field) => {
                if hide {
                    place.remove(request)?;
                }
                if let Some((name, _)) = field {
                    request.set_header(name, consumer)?;
                }
            }
        }
        request.attributes().set(CONSUMER, consumer);
        Ok(Flow::Continue)
    }
}

impl ApiKey {
    /// A request without a key. It must not pass under a name that it gave itself.
    fn anonymous(&self, request: &Request) -> PhaseResult {
        if !self.optional {
            return Ok(self.refuse("missing-api-key", "An API key is needed."));
        }
        if let Some(header) = &self.consumer_header {
            request.remove_header(header)?;
        }
        Ok(Flow::Continue)
    }

    fn refuse(&self, error: &str, message: &str) -> Flow {
        Reply::error(401, error, message).header("www-authenticate", &self.challenge).into()
    }
}

/// What a 401 says about the authentication that is needed (RFC 9110, section 11.6.1).
fn challenge(from: &[Place], realm: &str) -> String {
    let scheme = if from.contains(&Place::Bearer) { "Bearer" } else { "ApiKey" };
    format!("{scheme} realm=\"{realm}\"")
}

#[cfg(test)]
mod tests;
