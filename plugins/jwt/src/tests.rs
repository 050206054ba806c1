//! What clients, upstreams and operators notice.

mod keys;
mod remote;

use base64ct::{Base64UrlUnpadded, Encoding};
use gofe_plugin::serde_json::{self, Value, json};
use hmac::{Hmac, KeyInit, Mac};
use mock::{Exchange, Host, Loaded};
use sha2::Sha256;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The time at which the mock's clock stands.
const NOW: u64 = 1_767_225_600;

/// Keys and tokens that another implementation made (Python's `cryptography`): `pem`, `jwk` and `tokens`.
fn vectors() -> Value {
    serde_json::from_str(include_str!("tests/vectors.json")).unwrap()
}

fn signed_with(secret: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let message = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(message.as_bytes());
    format!("{message}.{}", Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()))
}

/// A token with these claims, which holds until 2100 where they do not say otherwise.
fn token(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().entry("exp").or_insert(json!(4_102_444_800_u64));
    signed_with(SECRET, &json!({ "alg": "HS256" }), &claims)
}

/// The plugin with the secret, and with what else is given.
fn plugin(options: &Value) -> Loaded<Jwt> {
    let mut configuration = json!({ "keys": [{ "value": SECRET }] });
    configuration.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Host::new().load(&configuration.to_string()).unwrap()
}

fn bearer(token: &str) -> mock::Request {
    mock::Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn status(plugin: &Loaded<Jwt>, token: &str) -> u16 {
    plugin.send(bearer(token)).response().status()
}

fn mistake(configuration: &Value) -> (String, String) {
    mistake_with(&Host::new(), configuration)
}

fn mistake_with(host: &Host, configuration: &Value) -> (String, String) {
    let errors = host.load::<Jwt>(&configuration.to_string()).unwrap_err();
    let error = errors.iter().next().unwrap();
    (error.pointer.clone(), error.message.clone())
}

fn refused(exchange: &Exchange, reason: &str) {
    assert!(exchange.upstream_request().is_none());
    let response = exchange.response();
    assert_eq!(response.status(), 401);
    let expected = format!("Bearer realm=\"api\", error=\"invalid_token\", error_description=\"{reason}\"");
    assert_eq!(response.header("www-authenticate"), Some(expected.as_str()));
}

#[test]
fn a_good_token_passes_and_its_subject_is_known() {
    let exchange = plugin(&json!({})).send(bearer(&token(&json!({ "sub": "alice" }))));
    assert!(exchange.upstream_request().unwrap().header("authorization").is_some());
    assert_eq!(exchange.attribute("jwt.sub"), Some("alice"));
}

#[test]
fn only_the_request_headers_phase_costs_anything() {
    assert_eq!(plugin(&json!({})).interest.phases, gofe_plugin::Phases::REQUEST_HEADERS);
}

#[test]
fn without_a_token_there_is_no_error_code() {
    let response = plugin(&json!({})).send(mock::Request::get("/")).response().clone();
    assert_eq!(response.status(), 401);
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"api\""));
}

#[test]
fn what_is_no_token_is_refused() {
    let plugin = plugin(&json!({}));
    let good = token(&json!({}));
    for text in
        ["x", "a.b.c", "..", "e30.e30.", "a.b.c.d.e", &good[..good.len() - 3], &format!("{good}="), "\u{e9}.x.y"]
    {
        assert_eq!(status(&plugin, text), 401, "{text}");
    }
    refused(&plugin.send(bearer(&"x".repeat(20_000))), "the token is too long");
    let no_object = signed_with(SECRET, &json!({ "alg": "HS256" }), &json!([1]));
    refused(&plugin.send(bearer(&no_object)), "the token's payload is not a JSON object");
}

#[test]
fn a_forged_token_is_refused() {
    let plugin = plugin(&json!({}));
    let other =
        signed_with("another secret, also thirty-two!", &json!({ "alg": "HS256" }), &json!({ "exp": NOW + 60 }));
    refused(&plugin.send(bearer(&other)), "the signature is not valid");
    let unsigned = signed_with(SECRET, &json!({ "alg": "none" }), &json!({ "exp": NOW + 60 }));
    let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
    refused(&plugin.send(bearer(unsigned)), "the token's alg is not allowed");
    let critical = signed_with(SECRET, &json!({ "alg": "HS256", "crit": ["b64"] }), &json!({ "exp": NOW + 60 }));
    refused(&plugin.send(bearer(&critical)), "the token needs an extension that is not supported");
}

#[test]
fn times_are_kept_with_leeway() {
    let plugin = plugin(&json!({ "leeway": "10s" }));
    assert_eq!(status(&plugin, &token(&json!({ "exp": NOW - 9 }))), 200);
    refused(&plugin.send(bearer(&token(&json!({ "exp": NOW - 10 })))), "the token has expired");
    assert_eq!(status(&plugin, &token(&json!({ "nbf": NOW + 10 }))), 200);
    refused(&plugin.send(bearer(&token(&json!({ "nbf": NOW + 11 })))), "the token is not valid yet");
    refused(&plugin.send(bearer(&token(&json!({ "exp": "tomorrow" })))), "exp is not a number");
}

#[test]
fn a_token_that_was_good_expires_all_the_same() {
    let host = Host::new();
    let plugin = host.load::<Jwt>(&json!({ "keys": [{ "value": SECRET }], "leeway": "0s" }).to_string()).unwrap();
    let token = token(&json!({ "exp": NOW + 60 }));
    assert_eq!(status(&plugin, &token), 200);
    assert_eq!(status(&plugin, &token), 200);
    host.advance(std::time::Duration::from_secs(60));
    refused(&plugin.send(bearer(&token)), "the token has expired");
}

#[test]
fn issuer_audience_and_required_claims_are_checked() {
    let plugin = plugin(&json!({ "issuer": ["a", "b"], "audience": "api", "require": ["exp", "sub"] }));
    let good = json!({ "iss": "b", "aud": ["web", "api"], "sub": "alice" });
    assert_eq!(status(&plugin, &token(&good)), 200);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        plugin.send(bearer(&token(&claims)))
    };
    refused(&with("iss", json!("c")), "the token is from another issuer");
    refused(&with("iss", json!(["b"])), "the token is from another issuer");
    refused(&with("aud", json!("web")), "the token is for another audience");
    refused(&with("aud", json!(null)), "the token is for another audience");
    let no_subject = token(&json!({ "iss": "b", "aud": "api" }));
    refused(&plugin.send(bearer(&no_subject)), "the token lacks a claim that is required");
    let endless = signed_with(SECRET, &json!({ "alg": "HS256" }), &json!({ "iss": "b", "aud": "api", "sub": "a" }));
    refused(&plugin.send(bearer(&endless)), "the token lacks a claim that is required");
}

#[test]
fn claims_become_headers_and_attributes() {
    let plugin = plugin(&json!({
        "headers": { "X-User": "sub", "x-roles": "realm.roles", "x-deep": "realm", "x-none": "missing",
                     "x-uri": "https://example.com/team" },
        "attributes": ["sub", "age", "realm.roles"],
    }));
    let claims = json!({
        "sub": "alice", "age": 7, "realm": { "roles": ["admin", "dev"] }, "https://example.com/team": "red"
    });
    let request = bearer(&token(&claims)).header("x-user", "root").header("x-none", "forged");
    let exchange = plugin.send(request);
    let sent = exchange.upstream_request().unwrap();
    assert_eq!(sent.headers().iter().filter(|(name, _)| name == "x-user").count(), 1);
    assert_eq!(sent.header("x-user"), Some("alice"));
    assert_eq!(sent.header("x-roles"), Some("admin,dev"));
    assert_eq!(sent.header("x-deep"), Some("{\"roles\":[\"admin\",\"dev\"]}"));
    assert_eq!(sent.header("x-none"), None);
    assert_eq!(sent.header("x-uri"), Some("red"));
    assert_eq!(exchange.attribute("jwt.age"), Some("7"));
    assert_eq!(exchange.attribute("jwt.realm.roles"), Some("admin,dev"));

    let split = plugin.send(bearer(&token(&json!({ "sub": "a\r\nx: y" }))));
    refused(&split, "a claim of the token cannot be sent as a header");
}

#[test]
fn tokens_are_found_at_each_place_and_hidden_there() {
    let plugin = plugin(&json!({ "from": ["header:x-token", "cookie:t", "query:t"], "hide-credential": true }));
    let token = token(&json!({}));
    let header = plugin.send(mock::Request::get("/").header("x-token", &token));
    assert_eq!(header.upstream_request().unwrap().header("x-token"), None);
    let cookie = plugin.send(mock::Request::get("/").header("cookie", format!("a=1; t={token}")));
    assert_eq!(cookie.upstream_request().unwrap().header("cookie"), Some("a=1"));
    let query = plugin.send(mock::Request::get(&format!("/?t={token}&a=1")));
    assert_eq!(query.upstream_request().unwrap().path_with_query(), "/?a=1");
    assert_eq!(plugin.send(bearer(&token)).response().status(), 401);
}

#[test]
fn an_optional_token_must_still_be_right() {
    let plugin = plugin(&json!({ "optional": true, "headers": { "x-user": "sub" } }));
    let anonymous = plugin.send(mock::Request::get("/").header("x-user", "root"));
    assert_eq!(anonymous.upstream_request().unwrap().header("x-user"), None);
    assert_eq!(status(&plugin, "x.y.z"), 401);
}
