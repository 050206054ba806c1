//! Signature algorithms (RFC 7518, section 3.1, and RFC 8037).

use serde::Deserialize;

/// Defines the algorithms and their names, once.
macro_rules! algorithms {
    ($($name:literal = $variant:ident),* $(,)?) => {
        /// A signature algorithm. `none` is not among them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub(crate) enum Algorithm {
            $(#[serde(rename = $name)] $variant,)*
        }

        impl Algorithm {
            /// The algorithm of this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        use Algorithm::{$($variant),*};
    };
}

algorithms! {
    "HS256" = HS256,
    "HS384" = HS384,
    "HS512" = HS512,
    "RS256" = RS256,
    "RS384" = RS384,
    "RS512" = RS512,
    "PS256" = PS256,
    "PS384" = PS384,
    "PS512" = PS512,
    "ES256" = ES256,
    "ES384" = ES384,
    "EdDSA" = EdDSA,
}

/// What a key of one kind can be used for. An algorithm belongs to one kind only, so that no public key can ever be
/// taken for a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    /// The algorithms that keys of this kind serve; the customary one first.
    pub(crate) fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Secret => &[HS256, HS384, HS512],
            Self::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::P256 => &[ES256],
            Self::P384 => &[ES384],
            Self::Ed25519 => &[EdDSA],
        }
    }

    /// What a person calls it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Secret => "a shared secret",
            Self::Rsa => "an RSA key",
            Self::P256 => "a P-256 key",
            Self::P384 => "a P-384 key",
            Self::Ed25519 => "an Ed25519 key",
        }
    }
}
