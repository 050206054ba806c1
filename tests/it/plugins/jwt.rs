//! `std:jwt`, with tokens and published keys of our own making.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use serde_json::{Value, json};

use super::chain;
use super::tokens::{Key, from_now, rsa_pem, unsigned};
use crate::harness::{Answer, Gofe, Upstream, get};

const SECRET: &str = "a secret of at least 32 bytes, as RFC 7518 wants it";

fn claims() -> Value {
    json!({ "iss": "https://issuer.example/", "aud": ["api", "other"], "sub": "alice", "exp": from_now(600),
            "roles": ["a", "b"], "realm": { "tier": "gold" } })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

/// gofe with a key that is shared.
fn shared() -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("session"), format!("{SECRET}\n")).unwrap();
    let plugins = "  jwt:
    source: std:jwt
    allow: { secrets: [session-key] }
    config:
      keys: [{ secret: session-key }]
      issuer: https://issuer.example/
      audience: api
      headers: { x-user: sub, x-roles: roles, x-tier: realm.tier }
secrets: { session-key: { file: session } }";
    Gofe::start_in(folder, &chain("jwt", plugins))
}

fn ask(gofe: &Gofe, token: &str) -> Answer {
    get(gofe.address, "/", &[("authorization", &format!("Bearer {token}")), ("x-user", "root")])
}

#[test]
fn claims_of_a_good_token_become_headers() {
    let gofe = shared();
    let answer = ask(&gofe, &Key::secret(SECRET).token("any", &claims()));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let headers = &answer.json()["headers"];
    assert_eq!((&headers["x-user"], &headers["x-roles"]), (&json!("alice"), &json!("a,b")));
    assert_eq!(headers["x-tier"], "gold");
}

#[test]
fn a_token_that_does_not_hold_is_refused() {
    let gofe = shared();
    let key = Key::secret(SECRET);
    let forged = Key::secret("another secret of at least 32 bytes, longer").token("any", &claims());
    let none = unsigned(&json!({ "alg": "none", "typ": "JWT" }), &claims()) + ".";
    let good = key.token("any", &claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other_claims = format!("{}.{signature}", unsigned(&json!({ "alg": "HS256" }), &with("sub", "root")));
    let mut without_exp = claims();
    without_exp.as_object_mut().unwrap().remove("exp");
    for (what, token) in [
        ("expired", key.token("any", &with("exp", from_now(-3600)))),
        ("not yet valid", key.token("any", &with("nbf", from_now(3600)))),
        ("without exp", key.token("any", &without_exp)),
        ("another issuer", key.token("any", &with("iss", "https://evil.example/"))),
        ("another audience", key.token("any", &with("aud", "other"))),
        ("another key", forged),
        ("no algorithm", none),
        ("no signature", format!("{head}.")),
        ("other claims", other_claims),
        ("no token at all", "x".to_owned()),
    ] {
        let answer = ask(&gofe, &token);
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid-token")), "{what}: {}", answer.body);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        assert_eq!(challenge.contains("expired"), what == "expired", "{what}: {challenge}");
    }
    let missing = get(gofe.address, "/", &[]);
    assert_eq!((missing.status, &missing.json()["error"]), (401, &json!("missing-token")));
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"api\""));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let key = Key::rsa();
    let pem = rsa_pem(&key.public());
    let block: String = pem.lines().map(|line| format!("            {line}\n")).collect();
    let plugins = format!("  jwt:\n    source: std:jwt\n    config:\n      keys:\n        - pem: |\n{block}");
    let gofe = Gofe::start(&chain("jwt", &plugins));
    assert_eq!(ask(&gofe, &key.token("any", &claims())).status, 200);
    assert_eq!(ask(&gofe, &Key::Hs256(pem.clone().into_bytes()).token("any", &claims())).status, 401);
    assert_eq!(ask(&gofe, &Key::secret(pem.trim_end()).token("any", &claims())).status, 401);
    assert_eq!(ask(&gofe, &Key::Hs256(key.public()).token("any", &claims())).status, 401);
}

/// A server that publishes keys, and counts how often it is asked.
struct Issuer {
    upstream: Upstream,
    published: Arc<Mutex<(Value, usize)>>,
}

impl Issuer {
    fn start(keys: &[(&Key, &str)]) -> Self {
        let published = Arc::new(Mutex::new((Value::Null, 0)));
        let seen = published.clone();
        let upstream = Upstream::start(move |_| {
            let mut published = seen.lock().unwrap();
            published.1 += 1;
            let body = Bytes::from(published.0.to_string());
            async move { Response::new(Full::new(body).map_err(|never| match never {}).boxed()) }
        });
        let issuer = Self { upstream, published };
        issuer.publish(keys);
        issuer
    }

    fn publish(&self, keys: &[(&Key, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(key, id)| key.jwk(id)).collect();
        self.published.lock().unwrap().0 = json!({ "keys": keys });
    }

    fn asked(&self) -> usize {
        self.published.lock().unwrap().1
    }

    fn gofe(&self) -> Gofe {
        let address = self.upstream.address;
        let plugins = format!(
            "  jwt:
    source: std:jwt
    allow: {{ http: ['{address}'], key-value: true }}
    config: {{ jwks: {{ url: 'http://{address}/jwks.json' }}, headers: {{ x-user: sub }} }}"
        );
        Gofe::start(&chain("jwt", &plugins))
    }
}

#[test]
fn published_keys_of_each_kind_are_fetched_once_for_all_workers() {
    let (rsa, ec, ed) = (Key::rsa(), Key::ec(), Key::ed());
    let issuer = Issuer::start(&[(&rsa, "r"), (&ec, "e"), (&ed, "d")]);
    let gofe = issuer.gofe();
    for _ in 0..6 {
        for (key, id) in [(&rsa, "r"), (&ec, "e"), (&ed, "d")] {
            let answer = ask(&gofe, &key.token(id, &claims()));
            assert_eq!(answer.status, 200, "{id}: {}", answer.body);
            assert_eq!(answer.json()["headers"]["x-user"], "alice");
        }
    }
    assert_eq!(issuer.asked(), 1);
    let confused = Key::Hs256(rsa.public()).token("r", &claims());
    assert_eq!(ask(&gofe, &confused).status, 401);
    assert_eq!(ask(&gofe, &Key::ec().token("e", &claims())).status, 401);
}

#[test]
fn a_new_key_is_known_as_soon_as_a_token_names_it() {
    let (old, new) = (Key::ed(), Key::ec());
    let issuer = Issuer::start(&[(&old, "old")]);
    let gofe = issuer.gofe();
    assert_eq!(ask(&gofe, &old.token("old", &claims())).status, 200);
    issuer.publish(&[(&old, "old"), (&new, "new")]);
    for _ in 0..6 {
        let answer = ask(&gofe, &new.token("new", &claims()));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(issuer.asked(), 2);
    // Anybody can invent names: they must not make gofe ask again and again.
    for id in ["x", "y", "z"] {
        assert_eq!(ask(&gofe, &new.token(id, &claims())).status, 401);
    }
    assert_eq!(issuer.asked(), 2);
}

#[test]
fn without_any_key_the_failure_policy_decides() {
    let issuer = Issuer::start(&[]);
    let gofe = issuer.gofe();
    assert_eq!(ask(&gofe, &Key::ed().token("any", &claims())).status, 500);
    gofe.logged("none of its keys is usable");
    assert_eq!(get(gofe.address, "/", &[]).status, 401);
}
