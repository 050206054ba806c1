//! What `gofe check` says of certificates, keys and authorities: everything at once, each at its place.

use std::path::Path;

use gofe_certificates::{Authority, Status, Wanted};
use tempfile::TempDir;

use super::{ECHO, folder};
use crate::harness::tls::put;
use crate::harness::{Gofe, refused_start};

/// What `gofe check` prints to standard error about a configuration in a folder, and whether it accepts it.
fn check(folder: &Path, yaml: &str) -> (bool, String) {
    std::fs::write(folder.join("gofe.yaml"), yaml).unwrap();
    let output = Gofe::command().current_dir(folder).args(["check", "gofe.yaml"]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// A listener with these certificates, one in a line from line 5 on: certificate, key and further keys.
fn yaml(certificates: &[(&str, &str, &str)], more: &str) -> String {
    let mut text = "listeners:\n  - address: 127.0.0.1:0\n    tls:\n      certificates:\n".to_owned();
    for (certificate, key, more) in certificates {
        text += &format!("        - {{ certificate: file:{certificate}, private-key: file:{key}{more} }}\n");
    }
    text + more + ECHO
}

fn broken() -> TempDir {
    let authority = Authority::new("test");
    let folder = folder(&authority);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("empty.pem", "");
    write("text.pem", "this is no certificate\n");
    write("damaged.pem", "-----BEGIN CERTIFICATE-----\nMIIB!!!!\n-----END CERTIFICATE-----\n");
    write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    write("nonsense.key", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    write("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    write("old.key", old);
    let other = authority.issue(&Wanted::server(&["other.test"]));
    put(folder.path(), "other", &other);
    std::fs::write(folder.path().join("der.pem"), &other.der).unwrap();
    std::fs::write(folder.path().join("other.ocsp"), authority.ocsp(&other, Status::Good, 2120)).unwrap();
    std::fs::write(folder.path().join("later.ocsp"), authority.ocsp(&other, Status::TryLater, 2120)).unwrap();
    folder
}

#[test]
fn all_that_is_wrong_with_the_files_is_told_at_once() {
    let folder = broken();
    let text = yaml(
        &[
            ("missing.pem", "missing.key", ""),
            ("empty.pem", "empty.pem", ""),
            ("text.pem", "text.pem", ""),
            ("damaged.pem", "site.pem", ""),
            ("cut.pem", "old.key", ""),
            ("site.key", "encrypted.key", ""),
            ("der.pem", "der.pem", ""),
            ("nonsense.pem", "nonsense.key", ""),
            ("site.pem", "other.key", ", ocsp: file:other.ocsp"),
            ("other.pem", "other.key", ", ocsp: file:later.ocsp"),
            ("other.pem", "other.key", ", ocsp: file:site.pem"),
        ],
        "      client-certificates: { authorities: file:site.key }\n",
    );
    let (accepted, said) = check(folder.path(), &text);
    assert!(!accepted);
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("error: ") || line.contains("help: ")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/files/tls.err");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, lines.join("\n") + "\n").unwrap();
    }
    assert_eq!(lines.join("\n") + "\n", std::fs::read_to_string(golden).unwrap(), "{said}");
    let shown = said.lines().find(|line| line.starts_with("5 | ")).unwrap();
    assert!(shown.contains("certificate: file:missing.pem") && !shown.contains("missing.key"), "{shown}");
    // A start says the same, and starts nothing.
    let start = refused_start(folder.path(), &text);
    assert_eq!(start.status.code(), Some(1));
    assert!(start.stderr.contains("is encrypted"), "{}", start.stderr);
}

#[test]
fn what_does_not_hold_today_is_a_warning_and_is_served() {
    let authority = Authority::new("test");
    let dir = folder(&authority);
    let path = dir.path();
    put(path, "expired", &authority.issue(&Wanted { years: (2020, 2021), ..Wanted::server(&["expired.test"]) }));
    put(path, "early", &authority.issue(&Wanted { years: (2119, 2120), ..Wanted::server(&["early.test"]) }));
    put(path, "nameless", &authority.issue(&Wanted::server(&[])));
    let issued = authority.issue(&Wanted::server(&["revoked.test"]));
    put(path, "revoked", &issued);
    std::fs::write(path.join("revoked.ocsp"), authority.ocsp(&issued, Status::Revoked, 2021)).unwrap();
    let text = yaml(
        &[
            ("expired.pem", "expired.key", ""),
            ("early.pem", "early.key", ""),
            ("nameless.pem", "nameless.key", ""),
            ("revoked.pem", "revoked.key", ", ocsp: file:revoked.ocsp"),
            ("site.pem", "site.key", ", names: [site.test, another.test]"),
            ("site.pem", "site.key", ""),
        ],
        "",
    );
    let (accepted, said) = check(path, &text);
    assert!(accepted, "{said}");
    for line in [
        "warning: gofe.yaml:5:26: listeners[0].tls.certificates[0].certificate: the certificate expired.pem expired on 2021-01-01T00:00:00Z",
        "warning: gofe.yaml:6:26: listeners[0].tls.certificates[1].certificate: the certificate early.pem is not valid before 2119-01-01T00:00:00Z",
        "warning: gofe.yaml:7:26: listeners[0].tls.certificates[2].certificate: the certificate nameless.pem names no DNS name",
        "warning: gofe.yaml:8:81: listeners[0].tls.certificates[3].ocsp: the OCSP response revoked.ocsp does not say that the certificate is good",
        "warning: gofe.yaml:8:81: listeners[0].tls.certificates[3].ocsp: the OCSP response revoked.ocsp is out of date since 2021-01-01T00:00:00Z",
        "warning: gofe.yaml:9:69: listeners[0].tls.certificates[4].names: the certificate site.pem does not name `another.test`: clients refuse it",
        "warning: gofe.yaml:10:11: listeners[0].tls.certificates[5]: `site.test` has a certificate already: this one is not used for it",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    assert_eq!(said.matches("warning: ").count(), 7, "{said}");
    let gofe = Gofe::start_in(dir, &text);
    gofe.logged("expired.pem expired on 2021");
    let client = crate::harness::tls::TlsClient::new(&super::BOTH);
    assert!(client.connect(gofe.address, "expired.test").get("/").starts_with("HTTP/1.1 200"));
}
