//! Clients with certificates of their own.

use gofe_certificates::{Authority, Issued, Wanted};
use rcgen::DnType;

use super::{BOTH, ECHO, folder, listener};
use crate::harness::tls::{TlsClient, curl, fetched, put};
use crate::harness::{Gofe, get};

const HEADER: &str = "x-client-cert-subject";

fn asking(verify: &str) -> String {
    listener(&format!(", client-certificates: {{ authorities: file:ca.pem, verify: {verify}, header: {HEADER} }}"))
}

/// A gofe that asks for certificates of this authority's clients, with those of `alice` in its folder.
fn start(authority: &Authority, verify: &str, rest: &str) -> (Gofe, Issued) {
    let folder = folder(authority);
    let alice = authority.issue(&Wanted::client("alice"));
    put(folder.path(), "alice", &alice);
    (Gofe::start_in(folder, &format!("{}{rest}", asking(verify))), alice)
}

const ALICE: [&str; 4] = ["--cert", "alice.pem", "--key", "alice.key"];

fn subject(answer: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    answer["headers"][HEADER].as_str().map(str::to_owned)
}

#[test]
fn who_has_no_certificate_is_refused_where_it_is_required() {
    let authority = Authority::new("test");
    let (gofe, _) = start(&authority, "required", ECHO);
    for version in ["1.2", "1.3"] {
        assert!(!curl(&gofe, gofe.address, "site.test", &["--tls-max", version]).status.success());
        let answer = fetched(&gofe, gofe.address, "site.test", &[&ALICE[..], &["--tls-max", version]].concat());
        assert_eq!(subject(&answer).as_deref(), Some("CN=alice,O=Example"));
    }
    put(gofe.folder(), "alice", &Authority::new("another").issue(&Wanted::client("alice")));
    assert!(!curl(&gofe, gofe.address, "site.test", &ALICE).status.success(), "of another authority");
    put(gofe.folder(), "alice", &authority.issue(&Wanted { years: (2020, 2021), ..Wanted::client("alice") }));
    assert!(!curl(&gofe, gofe.address, "site.test", &ALICE).status.success(), "expired");
    put(gofe.folder(), "alice", &authority.issue(&Wanted::server(&["alice"])));
    assert!(!curl(&gofe, gofe.address, "site.test", &ALICE).status.success(), "not a client's");
    gofe.counts(r#"gofe_tls_handshakes_total{result="client-certificate"}"#, 5);
}

#[test]
fn where_it_is_optional_nobody_can_say_that_they_are_somebody() {
    let authority = Authority::new("test");
    let (gofe, _) = start(&authority, "optional", ECHO);
    let forged = ["-H", "x-client-cert-subject: CN=root", "-H", "X_Client_Cert_Subject: CN=root"];
    for protocol in ["--http1.1", "--http2"] {
        let answer = fetched(&gofe, gofe.address, "site.test", &[&forged[..], &[protocol]].concat());
        assert!(!answer.contains("CN=root"), "{answer}");
        let away = ["-H", "connection: close, x-client-cert-subject"];
        let known = [&forged[..], &ALICE, &[protocol], if protocol == "--http1.1" { &away[..] } else { &[] }].concat();
        let answer = fetched(&gofe, gofe.address, "site.test", &known);
        assert_eq!(subject(&answer).as_deref(), Some("CN=alice,O=Example"));
        assert!(!answer.contains("CN=root"), "{answer}");
    }
    put(gofe.folder(), "alice", &Authority::new("another").issue(&Wanted::client("alice")));
    assert!(!curl(&gofe, gofe.address, "site.test", &ALICE).status.success(), "a certificate that does not verify");
}

#[test]
fn a_listener_without_certificates_lets_no_identity_pass() {
    let authority = Authority::new("test");
    let dir = folder(&authority);
    let tls = asking("required");
    let yaml = tls.replace("listeners: [", "listeners: [{ address: '127.0.0.2:0' }, ");
    let gofe = Gofe::start_in(dir, &format!("{yaml}{ECHO}"));
    let answer = get(gofe.address, "/", &[(HEADER, "CN=root"), ("x-other", "stays")]);
    assert_eq!(subject(&answer.body), None);
    assert!(answer.body.contains("stays"));
}

#[test]
fn plugins_and_the_access_log_know_the_subject() {
    let rest = "plugins: { log: { source: std:access-log, config: { fields: [tls_client_subject, 'request_header:x-client-cert-subject'] } } }\n\
                chains: { all: [log] }\nroutes: [{ chain: all, upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";
    let (mut gofe, _) = start(&Authority::new("test"), "required", rest);
    fetched(&gofe, gofe.address, "site.test", &ALICE);
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    let line: serde_json::Value = serde_json::from_str(gofe.stdout().trim()).unwrap();
    assert_eq!(line["tls_client_subject"], "CN=alice,O=Example");
    assert_eq!(line["request_header:x-client-cert-subject"], "CN=alice,O=Example");
}

#[test]
fn a_subject_reads_in_one_way_only() {
    let authority = Authority::new("test");
    let (gofe, _) = start(&authority, "required", ECHO);
    let subject_of = |parts: Vec<(DnType, &str)>| {
        put(gofe.folder(), "alice", &authority.issue(&Wanted { subject: parts, ..Wanted::client("") }));
        subject(&fetched(&gofe, gofe.address, "site.test", &ALICE)).unwrap()
    };
    assert_eq!(subject_of(vec![(DnType::CommonName, "a,O=Admins")]), r"CN=a\,O\=Admins");
    assert_eq!(subject_of(vec![(DnType::CommonName, " #ä\r\nx: y ")]), r"CN=\ #\C3\A4\0D\0Ax: y\ ");
    let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
    let text = subject_of(vec![(DnType::OrganizationName, "E"), (email, "a@b")]);
    assert!(text.starts_with("1.2.840.113549.1.9.1=#") && text.ends_with(",O=E"), "{text}");
}

#[test]
fn a_session_goes_on_only_as_long_as_its_authority_is_trusted() {
    let authority = Authority::new("test");
    let (gofe, alice) = start(&authority, "optional", ECHO);
    for version in BOTH {
        let client = TlsClient::new(&[version]).showing(&alice);
        client.connect(gofe.address, "site.test").get("/");
        let mut again = client.connect(gofe.address, "site.test");
        assert!(again.resumed() && again.get("/").contains("CN=alice,O=Example"), "{version:?}");
    }
    let client = TlsClient::new(&BOTH).showing(&alice);
    client.connect(gofe.address, "site.test").get("/");
    std::fs::write(gofe.folder().join("ca.pem"), Authority::new("another").pem()).unwrap();
    gofe.logged("a configuration was put into service");
    let mut refused = client.try_connect(gofe.address, "site.test");
    // In TLS 1.3 a client is done before the server has seen its certificate.
    let answer = refused.as_mut().map(|session| session.try_get("/"));
    assert!(!matches!(answer, Ok(Ok(_))));
}
