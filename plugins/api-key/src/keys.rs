//! The known keys. How long a look-up takes tells nothing about them.

use std::collections::BTreeMap;
use std::fmt;

use gofe_plugin::config::token;
use gofe_plugin::{ConfigErrors, random, secrets};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;
use subtle::ConstantTimeEq;

/// The mark of a key that stands in the configuration as its digest.
const DIGEST: &str = "sha256:";

/// The known keys and their consumers.
///
/// Entries are found by a hash under a random key, so that nobody can choose credentials which come near to one; the
/// credential itself is then compared in constant time.
#[derive(Default)]
pub(crate) struct Keys {
    hash_key: (u64, u64),
    plain: BTreeMap<u64, Entry>,
    digests: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    key: Vec<u8>,
    consumer: String,
}

// Keys have no business in logs.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keys({})", self.plain.len() + self.digests.len())
    }
}

impl Keys {
    /// Takes the keys of the configuration, and those that it names as secrets.
    pub(crate) fn new(keys: &BTreeMap<String, String>, named: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let mut new = Self { hash_key: (random::u64(), random::u64()), ..Self::default() };
        let mut errors = ConfigErrors::none();
        for (key, consumer) in keys {
            if let Err(message) = new.add_written(key, consumer) {
                errors.push(format!("/keys{}", token(key)), message);
            }
        }
        for (name, consumer) in named {
            if let Err(message) = new.add_secret(name, consumer) {
                errors.push(format!("/secrets{}", token(name)), message);
            }
        }
        errors.into_result(new)
    }

    /// The consumer that a credential belongs to.
    pub(crate) fn consumer(&self, credential: &[u8]) -> Option<&str> {
        let plain = self.find(&self.plain, credential);
        if plain.is_some() || self.digests.is_empty() {
            return plain;
        }
        self.find(&self.digests, &Sha256::digest(credential))
    }

    fn find<'a>(&self, entries: &'a BTreeMap<u64, Entry>, key: &[u8]) -> Option<&'a str> {
        let entry = entries.get(&self.hash(key))?;
        bool::from(entry.key.ct_eq(key)).then_some(&*entry.consumer)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1).hash(key)
    }

    fn add_written(&mut self, key: &str, consumer: &str) -> Result<(), String> {
        match key.strip_prefix(DIGEST) {
            None => self.add(key.as_bytes(), consumer),
            Some(hexadecimal) => {
                let digest =
                    digest(hexadecimal).ok_or_else(|| "expected 64 hexadecimal digits behind `sha256:`".to_owned())?;
                check_consumer(consumer)?;
                let entry = Entry { key: digest.clone(), consumer: consumer.to_owned() };
                self.digests.insert(self.hash(&digest), entry);
                Ok(())
            }
        }
    }

    fn add_secret(&mut self, name: &str, consumer: &str) -> Result<(), String> {
        let secret = secrets::get(name)
            .map_err(|_| format!("the secret `{name}` is not granted; name it under `allow: {{ secrets: [...] }}`"))?;
        // Secrets that come from files end with a line feed that nobody meant.
        self.add(secret.trim_ascii_end(), consumer)
    }

    fn add(&mut self, key: &[u8], consumer: &str) -> Result<(), String> {
        if key.is_empty() {
            return Err("the key is empty".to_owned());
        }
        check_consumer(consumer)?;
        let entry = Entry { key: key.to_vec(), consumer: consumer.to_owned() };
        match self.plain.insert(self.hash(key), entry) {
            Some(other) if other.consumer != consumer => {
                Err(format!("this key belongs to `{}` already", other.consumer))
            }
            _ => Ok(()),
        }
    }
}

/// A consumer's name travels in a header.
fn check_consumer(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(|c: char| c.is_control()) || name.trim() != name {
        return Err("the consumer's name is empty, or has control characters or spaces around it".to_owned());
    }
    Ok(())
}

fn digest(hexadecimal: &str) -> Option<Vec<u8>> {
    if hexadecimal.len() != 64 || !hexadecimal.is_ascii() {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).ok()).collect()
}
