//! `std:api-key`.

use super::chain;
use crate::harness::{Gofe, get};

const DIGEST: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // of "secret"

/// One of the secrets is an environment variable that every process has.
fn environment() -> String {
    std::env::var("PATH").unwrap()
}

fn with_secrets() -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bob.key"), "bobs-key\n").unwrap();
    let plugins = "  key:
    source: std:api-key
    allow: { secrets: [alice-key, bob-key] }
    config:
      secrets: { alice-key: alice, bob-key: bob }
      from: [bearer, 'query:api_key']
      consumer-header: x-user
secrets:
  alice-key: { env: PATH }
  bob-key: { file: bob.key }";
    Gofe::start_in(folder, &chain("key", plugins))
}

#[test]
fn a_key_from_the_environment_and_one_from_a_file_name_their_consumers() {
    let gofe = with_secrets();
    let alice = get(gofe.address, "/a", &[("authorization", &format!("Bearer {}", environment()))]).json();
    assert_eq!(alice["headers"]["x-user"], "alice");
    assert!(alice["headers"].get("authorization").is_none(), "{alice}");
    let bob = get(gofe.address, "/a?x=1&api_key=bobs-key&y=2", &[]).json();
    assert_eq!(bob["headers"]["x-user"], "bob");
    assert_eq!(bob["path"], "/a?x=1&y=2");
}

#[test]
fn a_refusal_says_whether_the_key_is_missing_or_wrong() {
    let gofe = with_secrets();
    let missing = get(gofe.address, "/", &[]);
    assert_eq!((missing.status, &missing.json()["error"]), (401, &"missing-api-key".into()));
    assert!(missing.header("www-authenticate").unwrap().starts_with("Bearer realm=\"api\""), "{}", missing.head);
    let wrong = get(gofe.address, "/", &[("authorization", "Bearer bobs-key\u{1}")]);
    assert_ne!(wrong.status, 200);
    let wrong = get(gofe.address, "/?api_key=alice", &[]);
    assert_eq!((wrong.status, &wrong.json()["error"]), (401, &"invalid-api-key".into()));
}

#[test]
fn a_key_may_stand_as_its_digest_and_the_consumer_cannot_be_forged() {
    let plugins =
        format!("  key: {{ source: std:api-key, config: {{ keys: {{ '{DIGEST}': alice }}, optional: true }} }}");
    let gofe = Gofe::start(&chain("key", &plugins));
    let forged = ("x-consumer", "root");
    let known = get(gofe.address, "/", &[("x-api-key", "secret"), forged]).json();
    assert_eq!(known["headers"]["x-consumer"], "alice");
    let without = get(gofe.address, "/", &[forged]);
    assert_eq!(without.status, 200);
    assert!(without.json()["headers"].get("x-consumer").is_none(), "{}", without.body);
    assert_eq!(get(gofe.address, "/", &[("x-api-key", DIGEST)]).status, 401);
}
