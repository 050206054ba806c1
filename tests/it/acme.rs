//! Certificates by ACME where the authority does not do its part: `cargo xtask conformance acme` has one that does.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use gofe_certificates::{Authority, Wanted};
use tempfile::TempDir;

use crate::harness::tls::{TlsClient, curl, put};
use crate::harness::{Gofe, Upstream, full, get};

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

fn yaml(directory: &str, challenge: &str) -> String {
    format!(
        "listeners:\n\
         - address: '127.0.0.1:0'\n\
         - address: '127.0.0.2:0'\n  \
           tls: {{ acme: {{ directory: '{directory}', names: [site.test], authority: file:ca.pem, storage: file:acme, \
           agree-to-terms: true, timeout: 1s, challenge: {challenge} }} }}\n\
         routes: [{{ upstream: echo }}]\nupstreams: {{ echo: {{ builtin: echo }} }}\n"
    )
}

fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    folder
}

/// An authority that refuses every account, once it has told where to ask.
fn refusing(authority: &Authority) -> (Gofe, Upstream, String) {
    let ca = Upstream::start(|request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let answer = hyper::Response::builder().header("replay-nonce", "bm9uY2U");
        if request.uri().path() == "/directory" {
            let url = |path: &str| format!("https://{host}/{path}");
            let text = format!(
                r#"{{"newNonce":"{}","newAccount":"{}","newOrder":"{}"}}"#,
                url("nonce"),
                url("account"),
                url("order")
            );
            return answer.body(full(text.leak())).unwrap();
        }
        if request.uri().path() == "/nonce" {
            return answer.body(full("")).unwrap();
        }
        let problem = r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"not for you","status":403}"#;
        answer.status(403).header("content-type", "application/problem+json").body(full(problem)).unwrap()
    });
    let folder = folder(authority);
    put(folder.path(), "site", &authority.issue(&Wanted::server(&["localhost"])));
    let front = Gofe::start_in(
        folder,
        &format!(
            "listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ certificate: file:site.pem, \
             private-key: file:site.key }}] }} }}]\n\
             routes: [{{ upstream: ca }}]\nupstreams: {{ ca: {{ endpoints: ['{}'] }} }}\n",
            ca.address
        ),
    );
    let directory = format!("https://localhost:{}/directory", front.address.port());
    (front, ca, directory)
}

/// What cannot be got is told, and whatever else gofe does goes on.
fn goes_on(gofe: &Gofe, reason: &str) {
    let line = gofe.logged("no certificate was issued");
    assert!(line.contains(reason) && line.contains("site.test"), "{line}");
    gofe.counts(r#"gofe_acme_orders_total{result="failed"}"#, 1);
    let shown = gofe.ask("/certificates").json();
    assert!(shown[0]["error"].as_str().unwrap().contains(reason), "{shown}");
    assert!(shown[0]["next_order"].is_string() && shown[0]["names"][0] == "site.test", "{shown}");
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    // Nobody else's challenge is answered, and such a path is the routes'.
    assert_eq!(get(gofe.address, "/.well-known/acme-challenge/token", &[]).status, 200);
}

#[test]
fn an_authority_that_refuses_leaves_everything_else_as_it_is() {
    let authority = Authority::new("test");
    let (_front, _ca, directory) = refusing(&authority);
    let gofe = Gofe::start_in(folder(&authority), &yaml(&directory, "http-01"));
    goes_on(&gofe, "not for you");
    let secure = gofe.address_on("127.0.0.2");
    assert!(!curl(&gofe, secure, "site.test", &[]).status.success(), "there is no certificate yet");
    assert!(TlsClient::new(&BOTH).try_connect(secure, "site.test").is_err());
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
}

#[test]
fn an_authority_that_hangs_is_left_after_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = format!("https://localhost:{}/directory", listener.local_addr().unwrap().port());
    let gofe = Gofe::start_in(folder(&Authority::new("test")), &yaml(&directory, "tls-alpn-01"));
    goes_on(&gofe, "did not do its part within 1s");
}

#[test]
fn an_authority_that_closes_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = format!("https://localhost:{}/directory", listener.local_addr().unwrap().port());
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let gofe = Gofe::start_in(folder(&Authority::new("test")), &yaml(&directory, "http-01"));
    goes_on(&gofe, "the authority gives no account");
}

/// Puts a certificate where gofe keeps the one that it got in an earlier run.
fn keep(folder: &Path, directory: &str, pem: &str) {
    let digest = digest(&SHA256, format!("{directory} site.test").as_bytes());
    let short: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir(folder.join("acme")).unwrap();
    std::fs::write(folder.join(format!("acme/site.test-{short}.pem")), pem).unwrap();
}

/// Whom a TLS client sees.
fn shown(address: SocketAddr) -> Vec<u8> {
    TlsClient::new(&BOTH).connect(address, "site.test").certificate().to_vec()
}

#[test]
fn a_renewal_that_fails_leaves_the_certificate_of_an_earlier_run() {
    let authority = Authority::new("test");
    let (_front, _ca, directory) = refusing(&authority);
    let folder = folder(&authority);
    // Two thirds of its life are over.
    let issued = authority.issue(&Wanted { years: (2000, 2030), ..Wanted::server(&["site.test"]) });
    keep(folder.path(), &directory, &format!("{}{}", issued.key, issued.pem));
    let gofe = Gofe::start_in(folder, &yaml(&directory, "tls-alpn-01"));
    let line = gofe.logged("no certificate was issued");
    assert!(line.contains("the one there is serves on"), "{line}");
    let secure = gofe.address_on("127.0.0.2");
    assert_eq!(shown(secure), issued.der);
    let state = gofe.ask("/certificates").json();
    assert!(state[0]["issued"] == true && state[0]["not_after"].as_str().unwrap().starts_with("2030"), "{state}");
    // A reload asks nobody again, and keeps what there is.
    assert_eq!(gofe.tell("/reload").status, 200);
    assert_eq!(shown(secure), issued.der);
    gofe.counts(r#"gofe_acme_orders_total{result="failed"}"#, 1);
}

#[test]
fn a_certificate_of_an_earlier_run_that_is_damaged_is_asked_for_anew() {
    let authority = Authority::new("test");
    let (_front, _ca, directory) = refusing(&authority);
    let folder = folder(&authority);
    keep(folder.path(), &directory, "nothing");
    let gofe = Gofe::start_in(folder, &yaml(&directory, "tls-alpn-01"));
    gofe.logged("the certificate of an earlier run is not used");
    goes_on(&gofe, "not for you");
}
