//! Public keys in PEM (RFC 7468).

use p256::pkcs8::DecodePublicKey;
use rsa::PublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;

use crate::key::Material;

/// Reads a public key, or says what it is instead.
pub(crate) fn parse(text: &str) -> Result<Material, String> {
    let (label, der) =
        pem_rfc7468::decode_vec(text.trim().as_bytes()).map_err(|error| format!("this is not PEM: {error}"))?;
    match label {
        "PUBLIC KEY" => public_key(&der),
        "RSA PUBLIC KEY" => {
            let key = PublicKey::from_pkcs1_der(&der).map_err(|error| format!("not an RSA public key: {error}"))?;
            rsa(key)
        }
        "CERTIFICATE" => Err("this is a certificate; take its key by `openssl x509 -pubkey -noout`".to_owned()),
        label if label.contains("PRIVATE") => {
            Err("this is a private key, which has no business here; give the public one".to_owned())
        }
        label => Err(format!("this is a `{label}`; expected a `PUBLIC KEY`")),
    }
}

/// A key of any kind (SubjectPublicKeyInfo, RFC 5280, section 4.1).
fn public_key(der: &[u8]) -> Result<Material, String> {
    if let Ok(key) = PublicKey::from_public_key_der(der) {
        return rsa(key);
    }
    let p256 = || p256::ecdsa::VerifyingKey::from_public_key_der(der).map(|key| Material::P256(Box::new(key)));
    let p384 = || p384::ecdsa::VerifyingKey::from_public_key_der(der).map(|key| Material::P384(Box::new(key)));
    let ed25519 = || ed25519_dalek::VerifyingKey::from_public_key_der(der).map(|key| Material::Ed25519(Box::new(key)));
    p256()
        .or_else(|_| p384())
        .or_else(|_| ed25519())
        .map_err(|_| "expected a key for RSA, P-256, P-384 or Ed25519".to_owned())
}

/// An RSA key that is long enough (RFC 7518, section 3.3).
pub(crate) fn rsa(key: PublicKey) -> Result<Material, String> {
    use rsa::traits::PublicKeyParts;
    match key.n().bit_width() {
        bits @ ..2048 => Err(format!("an RSA key has at least 2048 bits (RFC 7518, section 3.3), this one {bits}")),
        _ => Ok(Material::Rsa(Box::new(key))),
    }
}
