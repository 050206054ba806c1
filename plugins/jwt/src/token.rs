//! A token as it is written: a JWS in compact serialization (RFC 7515, section 7.1).

use base64ct::{Base64UrlUnpadded, Encoding};
use gofe_plugin::json;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::algorithm::Algorithm;

/// The longest token that is looked at.
const LONGEST: usize = 16 * 1024;

/// A token whose signature has not been checked.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    /// The identifier of the key.
    pub(crate) kid: Option<String>,
    /// What is signed: header and payload as they are written.
    pub(crate) signed: &'a [u8],
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("the token is too long");
        }
        let malformed = "this is not a signed token";
        let text = std::str::from_utf8(text).map_err(|_| malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(malformed)?;
        let decode = |part| Base64UrlUnpadded::decode_vec(part).map_err(|_| malformed);
        let header: Header = json::read(&decode(header)?).map_err(|_| malformed)?;
        if header.crit.is_some() {
            // An extension that must be understood, and none is (RFC 7515, section 4.1.11).
            return Err("the token needs an extension that is not supported");
        }
        let algorithm = Algorithm::named(&header.alg).ok_or("the token's alg is not allowed")?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            signed: signed.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}
