//! TLS towards clients: what curl and browsers see, what a client that behaves badly can do, and what a renewal does.

mod clients;
mod hostile;
mod mistakes;
mod names;
mod renewal;

use std::path::Path;

use gofe_certificates::{Authority, Wanted};
use tempfile::TempDir;

use crate::harness::tls::{TlsClient, fetched, put};
use crate::harness::{Gofe, get};

/// Routes that show what the upstream gets.
const ECHO: &str = "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";
const SITE: &str = "{ certificate: file:site.pem, private-key: file:site.key }";
const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// A folder with an authority's `ca.pem`, and `site.pem` for `site.test` with its key.
fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    site(authority, folder.path());
    folder
}

/// Issues a certificate for `site.test` and returns it in DER.
fn site(authority: &Authority, folder: &Path) -> Vec<u8> {
    let issued = authority.issue(&Wanted::server(&["site.test"]));
    put(folder, "site", &issued);
    issued.der
}

/// A listener with TLS; `more` goes into its `tls`.
fn listener(more: &str) -> String {
    format!("listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{SITE}]{more} }} }}]\n")
}

/// A gofe with the certificate of `site.test`; `more` goes into its `tls`.
fn start(authority: &Authority, more: &str) -> Gofe {
    Gofe::start_in(folder(authority), &format!("{}{ECHO}", listener(more)))
}

#[test]
fn curl_speaks_every_version_and_protocol() {
    let gofe = start(&Authority::new("test"), "");
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        for (protocol, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let arguments = [version, &[protocol, "-w", " %{http_version}"]].concat();
            let answer = fetched(&gofe, gofe.address, "site.test", &arguments);
            assert!(answer.ends_with(&format!(" {number}")), "{answer}");
            assert!(answer.contains(r#""x-forwarded-proto":"https""#), "{answer}");
        }
    }
    gofe.counts(r#"gofe_tls_handshakes_total{result="full"}"#, 4);
}

#[test]
fn the_protocols_are_those_of_the_file() {
    for (alpn, asked, got) in [("http/1.1", "--http2", "1.1"), ("h2", "--http2", "2")] {
        let gofe = start(&Authority::new("test"), &format!(", alpn: [{alpn}]"));
        let answer = fetched(&gofe, gofe.address, "site.test", &[asked, "-o", "/dev/null", "-w", "%{http_version}"]);
        assert_eq!(answer, got);
    }
}

#[test]
fn a_body_of_a_megabyte_goes_both_ways() {
    let gofe = start(&Authority::new("test"), "");
    std::fs::write(gofe.folder().join("body"), "x".repeat(1 << 20)).unwrap();
    for protocol in ["--http1.1", "--http2"] {
        let answer = fetched(&gofe, gofe.address, "site.test", &[protocol, "--data-binary", "@body"]);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["body"].as_str().unwrap().len(), 1 << 20, "{protocol}");
    }
}

#[test]
fn the_key_exchange_resists_quantum_computers() {
    let gofe = start(&Authority::new("test"), "");
    let session = TlsClient::new(&[&rustls::version::TLS13]).connect(gofe.address, "site.test");
    assert_eq!(session.key_exchange(), "X25519MLKEM768");
}

#[test]
fn an_old_version_is_refused_where_the_file_says_so() {
    let gofe = start(&Authority::new("test"), ", minimum-version: 1.3");
    assert!(TlsClient::new(&[&rustls::version::TLS12]).try_connect(gofe.address, "site.test").is_err());
    fetched(&gofe, gofe.address, "site.test", &["--tlsv1.2"]);
    gofe.counts(r#"gofe_tls_handshakes_total{result="incompatible"}"#, 1);
}

#[test]
fn every_worker_resumes_a_session_that_another_began() {
    let gofe = Gofe::start_in(folder(&Authority::new("test")), &format!("workers: 4\n{}{ECHO}", listener("")));
    for version in BOTH {
        let client = TlsClient::new(&[version]);
        let resumed = (0..16).filter(|_| {
            let mut session = client.connect(gofe.address, "site.test");
            session.get("/");
            session.resumed()
        });
        assert_eq!(resumed.count(), 15, "{version:?}");
    }
    gofe.counts(r#"gofe_tls_handshakes_total{result="resumed"}"#, 30);
}

#[test]
fn plugins_and_the_access_log_know_what_tls_says() {
    let log = "plugins: { log: { source: std:access-log, config: { fields: [tls_version, tls_cipher, tls_server_name, scheme] } } }\n\
               chains: { all: [log] }\nroutes: [{ chain: all, upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";
    let mut gofe = Gofe::start_in(folder(&Authority::new("test")), &format!("{}{log}", listener("")));
    fetched(&gofe, gofe.address, "site.test", &["--tlsv1.3", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    assert_eq!(
        gofe.stdout().trim(),
        r#"{"tls_version":"TLSv1.3","tls_cipher":"TLS_AES_128_GCM_SHA256","tls_server_name":"site.test","scheme":"https"}"#
    );
}

#[test]
fn cleartext_is_sent_to_https_and_https_says_to_stay() {
    let yaml = format!(
        "listeners:\n  - {{ address: 127.0.0.1:0, tls: {{ certificates: [{SITE}] }}, hsts: {{ max-age: 1h, include-subdomains: true }} }}\n  \
         - {{ address: 127.0.0.2:0, redirect-to-https: {{ port: 8443 }} }}\n{ECHO}"
    );
    let gofe = Gofe::start_in(folder(&Authority::new("test")), &yaml);
    let (secure, plain) = (gofe.address, gofe.address_on("127.0.0.2"));
    let answer = get(plain, "/a/b?c=d", &[("host", "site.test:80")]);
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://site.test:8443/a/b?c=d")));
    assert_eq!(answer.header("strict-transport-security"), None, "RFC 6797, section 7.2");
    assert_eq!(get(plain, "/", &[("host", "a b")]).status, 400);
    for protocol in ["--http1.1", "--http2"] {
        let answer = fetched(&gofe, secure, "site.test", &[protocol, "-D", "-", "-o", "/dev/null"]);
        assert!(answer.contains("strict-transport-security: max-age=3600; includeSubDomains\r\n"), "{answer}");
    }
    gofe.counts("gofe_redirects_total", 1);
}
