//! One order: account, challenges, certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::Issued;
use super::answers::{Answers, Given};
use super::storage::{self, Storage};
use crate::config::{Acme, Challenge};
use crate::net::tls::PROVIDER;

/// How often to ask whether an order goes on; `config.timeout` ends it.
const RETRIES: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(600));

/// Orders a certificate, and keeps it.
///
/// # Errors
/// A sentence on what went wrong, for the operator.
pub(super) async fn issue(config: &Acme, storage: &Storage, answers: &Arc<Answers>) -> Result<Issued, String> {
    let account = account(config, storage).await?;
    let names: Vec<Identifier> = config.names.iter().cloned().map(Identifier::Dns).collect();
    let said = |what: &'static str| move |error: Error| format!("{what}: {}", reason(&error));
    let mut order =
        account.new_order(&NewOrder::new(&names)).await.map_err(said("the authority takes no order for the names"))?;
    let given = answer(config, answers, &mut order).await?;
    let ready = order.poll_ready(&RETRIES).await.map_err(said("the authority does not say how the order goes"))?;
    if ready != OrderStatus::Ready {
        return Err(refusal(&mut order).await);
    }
    drop(given);
    let key = order.finalize().await.map_err(said("the authority does not take the request for the certificate"))?;
    let chain = order.poll_certificate(&RETRIES).await.map_err(said("the authority gives no certificate"))?;
    let pem = format!("{key}{chain}").into_bytes();
    let issued = storage::read(&pem).map_err(|reason| format!("the certificate cannot be used: {reason}"))?;
    storage.keep_certificate(&pem)?;
    Ok(issued)
}

/// The account with the authority, made where there is none.
async fn account(config: &Acme, storage: &Storage) -> Result<Account, String> {
    let builder = || {
        let builder = match &config.authority {
            Some(path) => Account::builder_with_root(path),
            None => Account::builder(),
        };
        builder.map_err(|error| format!("the authority cannot be asked: {error}"))
    };
    if let Some(kept) = storage.account() {
        let credentials: AccountCredentials =
            serde_json::from_slice(&kept).map_err(|error| format!("the account's file is damaged: {error}"))?;
        let account = builder()?.from_credentials(credentials).await;
        return account.map_err(|error| format!("the authority cannot be reached: {}", reason(&error)));
    }
    let contact: Vec<&str> = config.contact.iter().map(String::as_str).collect();
    // The configuration is refused without the operator's consent.
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let made = builder()?.create(&new, config.directory.clone(), None).await;
    let (account, credentials) = made.map_err(|error| format!("the authority gives no account: {}", reason(&error)))?;
    let credentials = serde_json::to_vec(&credentials).map_err(|error| error.to_string())?;
    storage.keep_account(&credentials)?;
    Ok(account)
}

/// Answers what the authority asks for each name, for as long as what is returned is held.
async fn answer(config: &Acme, answers: &Arc<Answers>, order: &mut Order) -> Result<Vec<Given>, String> {
    let mut given = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| reason(&error))?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            status => return Err(format!("an authorization is {status:?} before it was asked for")),
        }
        let (kind, name) = match config.challenge {
            Challenge::Http01 => (ChallengeType::Http01, "http-01"),
            Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
        };
        let mut challenge =
            authorization.challenge(kind).ok_or_else(|| format!("the authority does not offer {name} for a name"))?;
        given.push(match config.challenge {
            Challenge::Http01 => answers.give_text(&challenge.token, challenge.key_authorization().as_str()),
            Challenge::TlsAlpn01 => {
                let name = challenge.identifier().to_string();
                answers.give_certificate(&name, proof(&name, &challenge)?)
            }
        });
        challenge.set_ready().await.map_err(|error| reason(&error))?;
    }
    Ok(given)
}

/// The certificate of a challenge (RFC 8737, section 3).
fn proof(name: &str, challenge: &ChallengeHandle<'_>) -> Result<CertifiedKey, String> {
    let made = |error: rcgen::Error| format!("the challenge's certificate cannot be made: {error}");
    let mut wanted = CertificateParams::new(vec![name.to_owned()]).map_err(made)?;
    let digest = challenge.key_authorization().digest();
    wanted.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate().map_err(made)?;
    let certificate = wanted.self_signed(&key).map_err(made)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = PROVIDER.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![CertificateDer::from(certificate.der().to_vec())], key))
}

/// Why an order came to nothing.
async fn refusal(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        let name = state.identifier().to_string();
        reasons.extend(errors.map(|error| format!("{name}: {error}")));
    }
    if reasons.is_empty() {
        reasons.extend(order.state().error.as_ref().map(ToString::to_string));
    }
    format!("the authority does not believe that the names lead here: {}", reasons.join("; "))
}

/// An error with what is behind it: a client's own says too little.
fn reason(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
