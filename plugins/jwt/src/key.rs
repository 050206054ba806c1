//! Keys, and what they say of a token.

use ed25519_dalek::Verifier;
use hmac::{Hmac, KeyInit, Mac};
use rsa::PublicKey;
use sha2::{Sha256, Sha384, Sha512};

use crate::algorithm::{Algorithm, Kind};
use crate::token::Token;

/// The most keys that are tried for one token: a token without `kid` must not keep the proxy busy.
const MOST_TRIED: usize = 4;

/// A key that is pinned to its algorithms.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) material: Material,
}

/// The key itself.
#[derive(Clone)]
pub(crate) enum Material {
    Secret(Vec<u8>),
    Rsa(Box<PublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
}

// Keys have no business in logs.
impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.kind().in_words())
    }
}

/// What keys say of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One of them signed it.
    Signed,
    /// Those that might have signed it did not.
    Forged,
    /// None of them has the token's `kid` and `alg`.
    NoKey,
}

impl Verdict {
    /// The verdict of two sets of keys.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Signed, _) | (_, Self::Signed) => Self::Signed,
            (Self::NoKey, other) => other,
            (forged, _) => forged,
        }
    }
}

/// Looks for the key that signed a token. A key with an identifier serves tokens with the same one or none.
pub(crate) fn verify(keys: &[Key], token: &Token<'_>) -> Verdict {
    let fits = |key: &&Key| {
        let named = match (&key.id, &token.kid) {
            (Some(id), Some(kid)) => id == kid,
            _ => true,
        };
        named && key.algorithms.contains(&token.algorithm)
    };
    let mut verdict = Verdict::NoKey;
    for key in keys.iter().filter(fits).take(MOST_TRIED) {
        if key.material.signed(token) {
            return Verdict::Signed;
        }
        verdict = Verdict::Forged;
    }
    verdict
}

impl Material {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Secret(_) => Kind::Secret,
            Self::Rsa(_) => Kind::Rsa,
            Self::P256(_) => Kind::P256,
            Self::P384(_) => Kind::P384,
            Self::Ed25519(_) => Kind::Ed25519,
        }
    }

    /// Whether this key made the token's signature. False where the algorithm is not one of the key's kind.
    fn signed(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed, token.signature.as_slice());
        match (self, token.algorithm) {
            (Self::Secret(secret), algorithm) => mac_matches(secret, algorithm, message, signature),
            (Self::Rsa(key), algorithm) => rsa_signed(key, algorithm, message, signature),
            (Self::P256(key), Algorithm::ES256) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            (Self::P384(key), Algorithm::ES384) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            (Self::Ed25519(key), Algorithm::EdDSA) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|it| key.verify_strict(message, &it).is_ok())
            }
            _ => false,
        }
    }
}

/// Compares in constant time.
fn mac_matches(secret: &[u8], algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    macro_rules! matches {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
        };
    }
    match algorithm {
        Algorithm::HS256 => matches!(Sha256),
        Algorithm::HS384 => matches!(Sha384),
        Algorithm::HS512 => matches!(Sha512),
        _ => false,
    }
}

fn rsa_signed(key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::RS256 => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
        Algorithm::RS384 => key.pkcs1v15_verify::<Sha384>(message, signature).is_ok(),
        Algorithm::RS512 => key.pkcs1v15_verify::<Sha512>(message, signature).is_ok(),
        Algorithm::PS256 => key.pss_verify::<Sha256>(message, signature).is_ok(),
        Algorithm::PS384 => key.pss_verify::<Sha384>(message, signature).is_ok(),
        Algorithm::PS512 => key.pss_verify::<Sha512>(message, signature).is_ok(),
        _ => false,
    }
}
