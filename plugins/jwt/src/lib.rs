//! jwt: a request passes with a JSON Web Token (RFC 7519) that a known key has signed and whose claims hold.
//!
//! docs/plugins/jwt.md is the reference.

mod algorithm;
mod cache;
mod claims;
mod config;
mod forward;
mod jwk;
mod key;
mod pem;
mod remote;
mod token;

use std::rc::Rc;

use gofe_plugin::credential::Place;
use gofe_plugin::prelude::*;

use cache::Cache;
use claims::{Claims, Rules};
use config::Config;
use forward::Forward;
use key::{Key, Verdict};
use remote::Remote;
use token::Token;

/// The configured plugin.
#[derive(Debug)]
pub struct Jwt {
    keys: Vec<Key>,
    remote: Option<Remote>,
    rules: Rules,
    forward: Forward,
    from: Vec<Place>,
    hide_credential: bool,
    optional: bool,
    realm: String,
    cache: Cache,
}

/// Why a token did not pass.
enum Refusal {
    /// The token is at fault; the client is told this.
    Token(&'static str),
    /// The plugin could not judge it.
    Failure(Error),
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::Token(reason)
    }
}

#[gofe_plugin::plugin]
impl Plugin for Jwt {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = config.check();
        let keys = errors.take(config.keys()).unwrap_or_default();
        let remote = errors.take(config.remote()).flatten();
        let forward = Forward::new(&config.headers, &config.attributes);
        errors.into_result(Self {
            keys,
            remote,
            rules: Rules::new(config.issuer, config.audience, config.leeway, config.require),
            forward,
            from: config.from,
            hide_credential: config.hide_credential,
            optional: config.optional,
            realm: config.realm,
            cache: Cache::default(),
        })
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        let found = self.from.iter().find_map(|place| Some((place, place.find(request)?)));
        let Some((place, text)) = found else {
            return self.anonymous(request);
        };
        let claims = match self.judge(&text) {
            Ok(claims) => claims,
            Err(Refusal::Token(reason)) => return Ok(self.refuse(reason)),
            Err(Refusal::Failure(error)) => return Err(error),
        };
        if self.hide_credential {
            place.remove(request)?;
        }
        match self.forward.apply(&claims, request) {
            Ok(()) => Ok(Flow::Continue),
            Err(reason) => Ok(self.refuse(reason)),
        }
    }
}

impl Jwt {
    /// A request without a token. It must not pass with headers that claims would have set.
    fn anonymous(&self, request: &Request) -> PhaseResult {
        if !self.optional {
            let challenge = format!("Bearer realm=\"{}\"", self.realm);
            let reply = Reply::error(401, "missing-token", "A token is needed.");
            return Ok(reply.header("www-authenticate", challenge).into());
        }
        self.forward.clear(request)?;
        Ok(Flow::Continue)
    }

    /// The answer to a token that did not pass (RFC 6750, section 3.1).
    fn refuse(&self, reason: &str) -> Flow {
        let realm = &self.realm;
        let challenge = format!("Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{reason}\"");
        Reply::error(401, "invalid-token", reason).header("www-authenticate", challenge).into()
    }

    /// The claims of a token that holds now.
    fn judge(&self, text: &[u8]) -> Result<Rc<Claims>, Refusal> {
        if let Some(remote) = &self.remote
            && remote.refresh().map_err(Refusal::Failure)?
        {
            self.cache.clear();
        }
        let claims = match self.cache.get(text) {
            Some(claims) => claims,
            None => {
                let claims = Rc::new(self.verify(&Token::parse(text)?)?);
                self.cache.put(text, &claims);
                claims
            }
        };
        self.rules.check(&claims)?;
        Ok(claims)
    }

    /// The claims of a token that a known key has signed.
    fn verify(&self, token: &Token<'_>) -> Result<Claims, Refusal> {
        let mut verdict = key::verify(&self.keys, token);
        if let (false, Some(remote)) = (verdict == Verdict::Signed, &self.remote) {
            verdict = verdict.or(remote.verify(token));
            if verdict == Verdict::NoKey && remote.refresh_for_unknown_key() {
                self.cache.clear();
                verdict = remote.verify(token);
            }
        }
        match verdict {
            Verdict::Signed => Ok(Claims::parse(&token.payload)?),
            Verdict::Forged => Err("the signature is not valid".into()),
            Verdict::NoKey => Err("no known key fits the token's kid and alg".into()),
        }
    }
}

#[cfg(test)]
mod tests;
