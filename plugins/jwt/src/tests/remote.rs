//! Keys by URL: caching and rotation.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mock::{IncomingResponse, OutboundError};

use super::*;

const URL: &str = "https://issuer.example/jwks";

/// A place where keys are published.
#[derive(Clone, Default)]
struct Issuer {
    /// The names of the published keys; nothing while it cannot be reached.
    published: Rc<RefCell<Option<Vec<&'static str>>>>,
    requests: Rc<Cell<usize>>,
}

impl Issuer {
    fn publish(&self, names: &[&'static str]) {
        *self.published.borrow_mut() = Some(names.to_vec());
    }

    fn disappear(&self) {
        *self.published.borrow_mut() = None;
    }

    fn answer(&self) -> impl Fn(&mock::OutgoingRequest) -> Result<IncomingResponse, OutboundError> + 'static {
        let issuer = self.clone();
        move |request| {
            assert_eq!((request.method.as_str(), request.uri.as_str()), ("GET", URL));
            issuer.requests.set(issuer.requests.get() + 1);
            let published = issuer.published.borrow();
            let names = published.as_ref().ok_or_else(|| OutboundError::Unreachable("refused".to_owned()))?;
            let keys: Vec<_> = names.iter().map(|name| vectors()["jwk"][name].clone()).collect();
            let body = json!({ "keys": keys }).to_string().into_bytes();
            Ok(IncomingResponse { status: 200, headers: Vec::new(), body })
        }
    }
}

fn set_up(host: Host) -> (Host, Issuer) {
    let (host, issuer) = (host.http("issuer.example"), Issuer::default());
    host.answer(issuer.answer());
    (host, issuer)
}

fn instance(host: &Host) -> Loaded<Jwt> {
    host.load(&json!({ "jwks": { "url": URL, "refresh": "10m" } }).to_string()).unwrap()
}

fn token(algorithm: &str) -> String {
    vectors()["tokens"][algorithm].as_str().unwrap().to_owned()
}

#[test]
fn keys_are_fetched_once_and_again_when_they_are_old() {
    let (host, issuer) = set_up(Host::new());
    issuer.publish(&["rsa", "p256"]);
    let plugin = instance(&host);
    assert_eq!(issuer.requests.get(), 0);
    for _ in 0..3 {
        assert_eq!(status(&plugin, &token("RS256")), 200);
        assert_eq!(status(&plugin, &token("ES256")), 200);
    }
    assert_eq!(issuer.requests.get(), 1);
    host.advance(Duration::from_secs(600));
    assert_eq!(status(&plugin, &token("RS256")), 200);
    assert_eq!(issuer.requests.get(), 2);
}

#[test]
fn a_key_that_is_withdrawn_is_forgotten_with_its_tokens() {
    let (host, issuer) = set_up(Host::new());
    issuer.publish(&["rsa", "p256"]);
    let plugin = instance(&host);
    assert_eq!(status(&plugin, &token("RS256")), 200);
    issuer.publish(&["p256"]);
    host.advance(Duration::from_secs(600));
    assert_eq!(status(&plugin, &token("RS256")), 401);
}

#[test]
fn a_new_key_is_found_at_once_but_unknown_ones_do_not_flood_the_issuer() {
    let (host, issuer) = set_up(Host::new());
    issuer.publish(&["rsa"]);
    let plugin = instance(&host);
    assert_eq!(status(&plugin, &token("RS256")), 200);
    issuer.publish(&["rsa", "p256"]);
    assert_eq!(status(&plugin, &token("ES256")), 200);
    assert_eq!(issuer.requests.get(), 2);
    for _ in 0..5 {
        assert_eq!(status(&plugin, &token("EdDSA")), 401);
    }
    assert_eq!(issuer.requests.get(), 2);
    issuer.publish(&["ed25519"]);
    host.advance(Duration::from_secs(30));
    assert_eq!(status(&plugin, &token("EdDSA")), 200);
    assert_eq!(issuer.requests.get(), 3);
}

#[test]
fn instances_share_what_one_has_fetched() {
    let (host, issuer) = set_up(Host::new().key_value());
    issuer.publish(&["rsa"]);
    let (one, two) = (instance(&host), instance(&host));
    assert_eq!(status(&one, &token("RS256")), 200);
    assert_eq!(status(&two, &token("RS256")), 200);
    assert_eq!(issuer.requests.get(), 1);
    issuer.publish(&["rsa", "p256"]);
    host.advance(Duration::from_secs(1));
    assert_eq!(status(&one, &token("ES256")), 200);
    assert_eq!(status(&two, &token("ES256")), 200);
    assert_eq!(issuer.requests.get(), 2);
    assert_eq!(status(&one, &token("EdDSA")), 401);
    assert_eq!(status(&two, &token("EdDSA")), 401);
    assert_eq!(issuer.requests.get(), 2);
}

#[test]
fn old_keys_serve_while_the_issuer_is_away() {
    let (host, issuer) = set_up(Host::new());
    issuer.publish(&["rsa"]);
    let plugin = instance(&host);
    assert_eq!(status(&plugin, &token("RS256")), 200);
    issuer.disappear();
    host.advance(Duration::from_secs(600));
    for _ in 0..3 {
        assert_eq!(status(&plugin, &token("RS256")), 200);
    }
    assert_eq!(issuer.requests.get(), 2);
    assert!(host.logs().iter().any(|(_, message)| message.contains("stay as they were: ")));
}

#[test]
fn without_any_keys_the_plugin_fails() {
    let (host, issuer) = set_up(Host::new());
    let plugin = instance(&host);
    let failed = plugin.send(bearer(&token("RS256")));
    assert!(failed.failure().unwrap().starts_with("there are no keys from https://issuer.example/jwks: "));
    assert_eq!(plugin.send(bearer(&token("RS256"))).response().status(), 500);
    assert_eq!(issuer.requests.get(), 1);
    issuer.publish(&["rsa"]);
    host.advance(Duration::from_secs(5));
    assert_eq!(status(&plugin, &token("RS256")), 200);
}

#[test]
fn a_published_secret_is_no_key() {
    let (host, _) = set_up(Host::new());
    let secret = Base64UrlUnpadded::encode_string(SECRET.as_bytes());
    let body = json!({ "keys": [{ "kty": "oct", "k": secret }] }).to_string().into_bytes();
    host.answer(move |_| Ok(IncomingResponse { status: 200, headers: Vec::new(), body: body.clone() }));
    let plugin = instance(&host);
    let failed = plugin.send(bearer(&super::token(&json!({}))));
    assert!(failed.failure().unwrap().ends_with("none of its keys is usable"));
}
