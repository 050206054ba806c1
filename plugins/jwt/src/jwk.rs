//! Keys as JSON (RFC 7517, and RFC 7518 section 6).

use base64ct::{Base64UrlUnpadded, Encoding};
use rsa::{BoxedUint, PublicKey};
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::key::{Key, Material};
use crate::pem;

/// One key as it is written. What else it has, such as `x5c`, is not looked at (RFC 7517, section 4).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// A set of keys.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JwkSet {
    pub(crate) keys: Vec<Jwk>,
}

impl Jwk {
    /// The key, pinned to its `alg` and to what is allowed; to the customary algorithm where neither says anything.
    pub(crate) fn key(&self, allowed: Option<&[Algorithm]>) -> Result<Key, String> {
        let verifies = self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|it| it == "verify"));
        if self.r#use.as_ref().is_some_and(|purpose| purpose != "sig") || !verifies {
            return Err("this key is not meant for signatures".to_owned());
        }
        let material = self.material()?;
        let served = material.kind().algorithms().iter().copied();
        let algorithms: Vec<_> = match (&self.alg, allowed) {
            (None, None) => served.take(1).collect(),
            (own, allowed) => served
                .filter(|algorithm| own.as_ref().is_none_or(|name| Algorithm::named(name) == Some(*algorithm)))
                .filter(|algorithm| allowed.is_none_or(|list| list.contains(algorithm)))
                .collect(),
        };
        if algorithms.is_empty() {
            return Err(format!("none of the allowed algorithms fits {}", material.kind().in_words()));
        }
        Ok(Key { id: self.kid.clone(), algorithms, material })
    }

    fn material(&self) -> Result<Material, String> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => Ok(Material::Secret(bytes("k", self.k.as_ref())?)),
            ("RSA", _) => {
                let number = |name, value| Ok::<_, String>(BoxedUint::from_be_slice_vartime(&bytes(name, value)?));
                let key = PublicKey::new(number("n", self.n.as_ref())?, number("e", self.e.as_ref())?);
                pem::rsa(key.map_err(|error| format!("`n` and `e` are not an RSA key: {error}"))?)
            }
            ("EC", Some("P-256")) => p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point(32)?)
                .map(|key| Material::P256(Box::new(key)))
                .map_err(|_| "`x` and `y` are not a point of P-256".to_owned()),
            ("EC", Some("P-384")) => p384::ecdsa::VerifyingKey::from_sec1_bytes(&self.point(48)?)
                .map(|key| Material::P384(Box::new(key)))
                .map_err(|_| "`x` and `y` are not a point of P-384".to_owned()),
            ("OKP", Some("Ed25519")) => bytes("x", self.x.as_ref())?
                .try_into()
                .ok()
                .and_then(|x| ed25519_dalek::VerifyingKey::from_bytes(&x).ok())
                .map(|key| Material::Ed25519(Box::new(key)))
                .ok_or_else(|| "`x` is not a key of Ed25519".to_owned()),
            (kind, curve) => Err(format!("keys of kind `{kind}` {} are not supported", curve.unwrap_or_default())),
        }
    }

    /// An uncompressed point (SEC 1, section 2.3.3) with coordinates of this length.
    fn point(&self, length: usize) -> Result<Vec<u8>, String> {
        let (x, y) = (bytes("x", self.x.as_ref())?, bytes("y", self.y.as_ref())?);
        if x.len() != length || y.len() != length {
            return Err(format!("`x` and `y` have {length} bytes each on this curve"));
        }
        Ok([&[4], x.as_slice(), &y].concat())
    }
}

fn bytes(name: &str, value: Option<&String>) -> Result<Vec<u8>, String> {
    let text = value.ok_or_else(|| format!("the key has no `{name}`"))?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| format!("`{name}` is not base64url without padding"))
}
