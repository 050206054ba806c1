//! A cookie that keeps a client at its target.

use std::time::Duration;

use gofe_plugin::credential::is_token;
use gofe_plugin::{ConfigErrors, Request};

use crate::config::StickyConfig;

/// A cookie that keeps a client at its target.
#[derive(Debug)]
pub(crate) struct Sticky {
    cookie: String,
    max_age: Option<Duration>,
}

impl Sticky {
    pub(crate) fn new(pointer: &str, config: StickyConfig) -> Result<Self, ConfigErrors> {
        if !is_token(&config.cookie) {
            let message = format!("`{}` is not the name of a cookie", config.cookie);
            return Err(ConfigErrors::new(format!("{pointer}/cookie"), message));
        }
        Ok(Self { cookie: config.cookie, max_age: config.max_age })
    }

    /// The target that the client was given before.
    pub(crate) fn target(&self, request: &Request) -> Option<String> {
        request.cookie(&self.cookie)
    }

    /// The value of `set-cookie` for this target (RFC 6265, section 4.1).
    pub(crate) fn set(&self, target: &str, request: &Request) -> String {
        let mut value = format!("{}={target}; Path=/; HttpOnly; SameSite=Lax", self.cookie);
        if let Some(age) = self.max_age {
            value.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if request.scheme() == "https" {
            value.push_str("; Secure");
        }
        value
    }
}
