//! Keys that somebody else publishes (JWKS by URL), kept fresh and followed when they rotate.
//!
//! Each instance keeps the parsed keys. With `allow.key-value` the instances share what one of them has fetched;
//! without, each fetches for itself.

use std::cell::RefCell;
use std::time::Duration;

use gofe_plugin::{Error, clock, json, key_value, limiter, outbound};

use crate::algorithm::Algorithm;
use crate::jwk::JwkSet;
use crate::key::{self, Key, Material, Verdict};
use crate::token::Token;

/// How often an unknown `kid` may cause a fetch: anybody can make such tokens.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(30);
/// How long nothing is tried after a fetch has failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// A set of keys at a URL.
#[derive(Debug)]
pub(crate) struct Remote {
    url: String,
    refresh: Duration,
    timeout: Duration,
    allowed: Option<Vec<Algorithm>>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Key>,
    /// When the keys were fetched, since 1970; nothing before the first time.
    fetched: Option<Duration>,
    /// When a fetch failed last.
    failed: Option<Duration>,
    /// When an unknown key caused a fetch last.
    unknown: Option<Duration>,
}

impl Remote {
    pub(crate) fn new(url: String, refresh: Duration, timeout: Duration, allowed: Option<Vec<Algorithm>>) -> Self {
        Self { url, refresh, timeout, allowed, state: RefCell::default() }
    }

    /// What the keys say of a token.
    pub(crate) fn verify(&self, token: &Token<'_>) -> Verdict {
        key::verify(&self.state.borrow().keys, token)
    }

    /// Sees to it that there are keys, and that they are fresh where the URL can be reached. True when they changed.
    pub(crate) fn refresh(&self) -> Result<bool, Error> {
        let (now, fetched, failed) = {
            let state = self.state.borrow();
            (clock::now(), state.fetched, state.failed)
        };
        if fetched.is_some_and(|fetched| now < fetched + self.refresh) {
            return Ok(false);
        }
        if self.take_shared(fetched.unwrap_or_default(), now) {
            return Ok(true);
        }
        let paused = failed.is_some_and(|failed| now < failed + FAILURE_PAUSE);
        // With old keys at hand, one instance that fetches is enough.
        if fetched.is_some() && (paused || !self.is_our_turn("refresh", FAILURE_PAUSE)) {
            return Ok(false);
        }
        if paused {
            return Err(Error::new(format!("there are no keys from {}: the last try failed", self.url)));
        }
        match (self.fetch(now), fetched) {
            (Ok(()), _) => Ok(true),
            (Err(reason), Some(_)) => {
                gofe_plugin::warn!("the keys from {} stay as they were: {reason}", self.url);
                Ok(false)
            }
            (Err(reason), None) => Err(Error::new(format!("there are no keys from {}: {reason}", self.url))),
        }
    }

    /// Looks for new keys because a token names one that is not known. True when they were fetched.
    pub(crate) fn refresh_for_unknown_key(&self) -> bool {
        let now = clock::now();
        let fetched = self.state.borrow().fetched.unwrap_or_default();
        if self.take_shared(fetched, now) {
            return true;
        }
        let recent = |time: Option<Duration>| time.is_some_and(|time| now < time + UNKNOWN_KEY_PAUSE);
        if recent(self.state.borrow().unknown) || recent(self.state.borrow().failed) {
            return false;
        }
        self.state.borrow_mut().unknown = Some(now);
        if !self.is_our_turn("unknown", UNKNOWN_KEY_PAUSE) {
            return false;
        }
        self.fetch(now).inspect_err(|reason| gofe_plugin::warn!("no new keys from {}: {reason}", self.url)).is_ok()
    }

    /// Takes over what another instance has fetched, where that is newer than ours and still fresh.
    fn take_shared(&self, ours: Duration, now: Duration) -> bool {
        let Ok(Some(shared)) = key_value::get(&self.store_key()) else {
            return false;
        };
        let Some((fetched, jwks)) = split_shared(&shared) else {
            return false;
        };
        fetched > ours && now < fetched + self.refresh && self.take(jwks, fetched).is_ok()
    }

    /// Whether this instance shall fetch: the others see what it finds, where they share a store.
    fn is_our_turn(&self, purpose: &str, pause: Duration) -> bool {
        let shared = key_value::get(&self.store_key()).is_ok();
        !shared || limiter::take(&format!("{purpose} {}", self.url), 1, 1, pause, 1).allowed
    }

    fn fetch(&self, now: Duration) -> Result<(), String> {
        let result = self.fetch_text().and_then(|text| self.take(&text, now).map(|()| text));
        let mut state = self.state.borrow_mut();
        match result {
            Ok(text) => {
                state.failed = None;
                let shared = [format!("{}\n", now.as_nanos()).as_bytes(), &text].concat();
                // Without the grant, or with keys too long for the store, each instance fetches for itself.
                let _ = key_value::set(&self.store_key(), shared, self.refresh);
                Ok(())
            }
            Err(reason) => {
                state.failed = Some(now);
                Err(reason)
            }
        }
    }

    fn fetch_text(&self) -> Result<Vec<u8>, String> {
        let response = outbound::get(&self.url, self.timeout).map_err(|error| error.to_string())?;
        match response.status {
            200 => Ok(response.body),
            status => Err(format!("the status is {status}")),
        }
    }

    /// Takes these keys in the place of ours. Those that are not usable are left out, but some must be.
    fn take(&self, jwks: &[u8], fetched: Duration) -> Result<(), String> {
        let set: JwkSet = json::read(jwks).map_err(|error| format!("this is not a JWKS: {error}"))?;
        let usable = |(index, jwk): (usize, &crate::jwk::Jwk)| match jwk.key(self.allowed.as_deref()) {
            // A secret that is published is none.
            Ok(key) if !matches!(key.material, Material::Secret(_)) => Some(key),
            Ok(_) => None,
            Err(reason) => {
                gofe_plugin::debug!("key {index} of {} is left out: {reason}", self.url);
                None
            }
        };
        let keys: Vec<Key> = set.keys.iter().enumerate().filter_map(usable).collect();
        if keys.is_empty() {
            return Err("none of its keys is usable".to_owned());
        }
        let mut state = self.state.borrow_mut();
        (state.keys, state.fetched) = (keys, Some(fetched));
        Ok(())
    }

    fn store_key(&self) -> String {
        format!("jwks {}", self.url)
    }
}

/// The time and the keys of what [`Remote::fetch`] stored.
fn split_shared(shared: &[u8]) -> Option<(Duration, &[u8])> {
    let end = shared.iter().position(|byte| *byte == b'\n')?;
    let time = std::str::from_utf8(&shared[..end]).ok()?.parse().ok()?;
    Some((Duration::from_nanos(time), &shared[end + 1..]))
}
