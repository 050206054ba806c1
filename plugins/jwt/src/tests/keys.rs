//! Keys of every kind, and algorithms that do not fit them.

use super::*;

/// The tokens that pass with a configuration.
fn passing(configuration: &Value) -> Vec<String> {
    let plugin = Host::new().load::<Jwt>(&configuration.to_string()).unwrap();
    let vectors = vectors();
    let tokens = vectors["tokens"].as_object().unwrap().iter();
    let mut passing: Vec<_> = tokens
        .filter(|(_, token)| status(&plugin, token.as_str().unwrap()) == 200)
        .map(|(algorithm, _)| algorithm.clone())
        .collect();
    passing.sort();
    passing
}

const RSA: [&str; 6] = ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

#[test]
fn tokens_of_every_algorithm_pass_with_their_key() {
    let vectors = vectors();
    for kind in ["pem", "jwk"] {
        let key = |name: &str| json!({ "keys": [{ kind: vectors[kind][name], "algorithms": null }] });
        assert_eq!(passing(&key("rsa")), ["RS256"]);
        assert_eq!(passing(&key("p256")), ["ES256"]);
        assert_eq!(passing(&key("p384")), ["ES384"]);
        assert_eq!(passing(&key("ed25519")), ["EdDSA"]);
        let all = json!({ "keys": [{ kind: vectors[kind]["rsa"], "algorithms": RSA }] });
        assert_eq!(passing(&all), RSA);
        let some = json!({ "algorithms": ["PS384", "ES256"], "keys": [{ kind: vectors[kind]["rsa"] }] });
        assert_eq!(passing(&some), ["PS384"]);
    }
    assert_eq!(passing(&json!({ "keys": [{ "pem": vectors["pem"]["rsa-pkcs1"] }] })), ["RS256"]);
    let set: Vec<_> = vectors["jwk"].as_object().unwrap().values().collect();
    assert_eq!(passing(&json!({ "jwks": { "keys": set } })), ["ES256", "ES384", "EdDSA", "RS256"]);
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let pem = vectors()["pem"]["rsa"].as_str().unwrap().to_owned();
    let plugin = Host::new().load::<Jwt>(&json!({ "keys": [{ "pem": pem }] }).to_string()).unwrap();
    let confused = signed_with(&pem, &json!({ "alg": "HS256" }), &json!({ "exp": NOW + 60 }));
    refused(&plugin.send(bearer(&confused)), "no known key fits the token's kid and alg");
}

#[test]
fn a_kid_chooses_the_key() {
    let configuration = json!({ "keys": [{ "id": "a", "value": SECRET }] });
    let plugin = Host::new().load::<Jwt>(&configuration.to_string()).unwrap();
    let with = |kid: Value| signed_with(SECRET, &json!({ "alg": "HS256", "kid": kid }), &json!({ "exp": NOW + 60 }));
    assert_eq!(status(&plugin, &with(json!("a"))), 200);
    assert_eq!(status(&plugin, &with(json!(null))), 200);
    assert_eq!(status(&plugin, &with(json!("b"))), 401);
}

#[test]
fn a_secret_may_hold_either_kind_of_key() {
    let pem = vectors()["pem"]["p256"].as_str().unwrap().to_owned();
    let host = Host::new().secret("shared", format!("{SECRET}\n")).secret("public", pem);
    let configuration = json!({ "keys": [{ "secret": "shared" }, { "secret": "public" }] });
    let plugin = host.load::<Jwt>(&configuration.to_string()).unwrap();
    assert_eq!(status(&plugin, &token(&json!({}))), 200);
    assert_eq!(status(&plugin, vectors()["tokens"]["ES256"].as_str().unwrap()), 200);

    let encoded = base64ct::Base64::encode_string(SECRET.as_bytes());
    let configuration = json!({ "keys": [{ "value": encoded, "base64": true }] });
    let plugin = Host::new().load::<Jwt>(&configuration.to_string()).unwrap();
    assert_eq!(status(&plugin, &token(&json!({}))), 200);
}

#[test]
fn mistakes_are_found_with_their_place() {
    let pem = vectors()["pem"].clone();
    for (configuration, pointer, message) in [
        (json!(null), "", "there are no keys"),
        (json!({ "keys": [{}] }), "/keys/0", "expected one of"),
        (json!({ "keys": [{ "value": SECRET, "pem": "" }] }), "/keys/0", "expected one of"),
        (json!({ "keys": [{ "value": "short" }] }), "/keys/0", "at least 32 bytes"),
        (json!({ "keys": [{ "value": SECRET, "algorithms": ["HS512"] }] }), "/keys/0", "at least 64 bytes"),
        (json!({ "keys": [{ "value": "%", "base64": true }] }), "/keys/0/value", "not base64"),
        (json!({ "keys": [{ "secret": "jwt" }] }), "/keys/0/secret", "not granted"),
        (json!({ "keys": [{ "pem": "x" }] }), "/keys/0/pem", "not PEM"),
        (json!({ "keys": [{ "pem": pem["rsa-1024"] }] }), "/keys/0/pem", "at least 2048 bits"),
        (
            json!({ "keys": [{ "pem": pem["rsa"], "algorithms": ["HS256"] }] }),
            "/keys/0/algorithms",
            "an RSA key cannot",
        ),
        (json!({ "keys": [{ "pem": pem["rsa"] }], "algorithms": ["ES256"] }), "/keys/0/algorithms", "fits an RSA key"),
        (
            json!({ "keys": [{ "value": SECRET, "algorithms": ["none"] }] }),
            "/keys/0/algorithms/0",
            "unknown value `none`",
        ),
        (json!({ "keys": [{ "value": SECRET }], "algorithms": [] }), "/algorithms", "the list is empty"),
        (json!({ "keys": [{ "value": SECRET }], "from": [] }), "/from", "the list is empty"),
        (json!({ "keys": [{ "value": SECRET }], "headers": { "a b": "sub" } }), "/headers/a b", "not the name"),
        (json!({ "keys": [{ "value": SECRET }], "leeway": 5 }), "/leeway", "expected a string, not the number 5"),
        (json!({ "keys": [{ "value": SECRET }], "audiense": "x" }), "/audiense", "did you mean `audience`?"),
        (json!({ "jwks": {} }), "/jwks", "either `keys` or `url`"),
        (json!({ "jwks": { "url": "ftp://x" } }), "/jwks/url", "absolute"),
        (json!({ "jwks": { "url": "https://issuer.example/jwks" } }), "/jwks/url", "not granted"),
    ] {
        let (found, explained) = mistake(&configuration);
        assert_eq!(found, pointer, "{configuration}");
        assert!(explained.contains(message), "{configuration}: {explained}");
    }
    let armoured = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
    for (label, message) in [
        ("CERTIFICATE", "openssl x509"),
        ("EC PRIVATE KEY", "private key"),
        ("PUBLIC KEY", "expected a key for"),
        ("X", "`X`"),
    ] {
        let (_, explained) = mistake(&json!({ "keys": [{ "pem": armoured(label) }] }));
        assert!(explained.contains(message), "{label}: {explained}");
    }
}

#[test]
fn keys_that_are_broken_are_refused() {
    let jwk = vectors()["jwk"].clone();
    let broken = |name: &str, member: &str, value: Value| {
        let mut key = jwk[name].clone();
        key[member] = value;
        mistake(&json!({ "jwks": { "keys": [key] } }))
    };
    let zeros = "A".repeat(342);
    let even = format!("{}A", &jwk["rsa"]["n"].as_str().unwrap()[..341]);
    for (name, member, value) in [
        ("rsa", "n", json!("")),
        ("rsa", "n", json!(zeros)),
        ("rsa", "n", json!(even)),
        ("rsa", "n", json!("AQAB")),
        ("rsa", "n", json!("_".repeat(4000))),
        ("rsa", "n", json!("a+b")),
        ("rsa", "n", json!(null)),
        ("rsa", "e", json!("")),
        ("rsa", "e", json!("AA")),
        ("rsa", "e", json!("Ag")),
        ("rsa", "e", json!(zeros)),
        ("rsa", "use", json!("enc")),
        ("rsa", "key_ops", json!(["sign"])),
        ("rsa", "alg", json!("HS256")),
        ("rsa", "kty", json!("oct")),
        ("p256", "x", json!("")),
        ("p256", "x", jwk["p256"]["y"].clone()),
        ("p384", "y", json!(null)),
        ("p256", "crv", json!("P-521")),
        ("ed25519", "x", json!("AAAA")),
        ("ed25519", "crv", json!("X25519")),
    ] {
        assert_eq!(broken(name, member, value.clone()).0, "/jwks/keys/0", "{name} {member} {value}");
    }
}
