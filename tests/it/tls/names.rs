//! Which certificate a client gets, and what comes with it.

use gofe_certificates::{Authority, Issued, Status, Wanted};

use super::{BOTH, ECHO, folder};
use crate::harness::Gofe;
use crate::harness::tls::{TlsClient, fetched, put};

/// A gofe with certificates of these names and their extra keys, the first being the default.
fn start(authority: &Authority, certificates: &[(&str, &Issued, &str)]) -> Gofe {
    let folder = folder(authority);
    let mut list = Vec::new();
    for (name, issued, more) in certificates {
        put(folder.path(), name, issued);
        list.push(format!("{{ certificate: file:{name}.pem, private-key: file:{name}.key{more} }}"));
    }
    let list = list.join(", ");
    let yaml = format!("listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{list}] }} }}]\n{ECHO}");
    Gofe::start_in(folder, &yaml)
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new("test");
    let issue = |names: &[&str]| authority.issue(&Wanted::server(names));
    let (first, exact, below) =
        (issue(&["first.test"]), issue(&["a.wild.test", "Other.Test"]), issue(&["*.wild.test"]));
    let given = issue(&["*.given.test"]);
    let gofe = start(
        &authority,
        &[
            ("first", &first, ""),
            ("exact", &exact, ""),
            ("below", &below, ""),
            ("given", &given, ", names: [x.given.test]"),
        ],
    );
    let client = TlsClient::new(&BOTH);
    for (name, expected) in [
        ("first.test", &first),
        ("a.wild.test", &exact),
        ("A.WILD.test", &exact),
        ("other.test", &exact),
        ("b.wild.test", &below),
        ("c.b.wild.test", &first),
        ("wild.test", &first),
        ("x.given.test", &given),
        ("y.given.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        assert_eq!(client.connect(gofe.address, name).certificate(), expected.der, "{name}");
    }
    let nameless = TlsClient::new(&BOTH).nameless();
    assert_eq!(nameless.connect(gofe.address, "b.wild.test").certificate(), first.der);
    // And curl, which looks whether it is the right one.
    for name in ["first.test", "a.wild.test", "b.wild.test", "x.given.test"] {
        fetched(&gofe, gofe.address, name, &[]);
    }
}

#[test]
fn a_name_may_have_keys_of_two_kinds() {
    let authority = Authority::new("test");
    let elliptic = authority.issue(&Wanted::server(&["site.test"]));
    let rsa = authority.issue(&Wanted { rsa: true, ..Wanted::server(&["site.test"]) });
    let gofe = start(&authority, &[("ec", &elliptic, ""), ("rsa", &rsa, "")]);
    for cipher in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] {
        fetched(&gofe, gofe.address, "site.test", &["--tls-max", "1.2", "--ciphers", cipher]);
    }
    assert_eq!(TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate(), elliptic.der);
}

#[test]
fn the_ocsp_response_comes_with_the_certificate() {
    let authority = Authority::new("test");
    let (first, other) = (authority.issue(&Wanted::server(&["a.test"])), authority.issue(&Wanted::server(&["b.test"])));
    let response = authority.ocsp(&first, Status::Good, 2120);
    let dir = folder(&authority);
    std::fs::write(dir.path().join("first.ocsp"), &response).unwrap();
    put(dir.path(), "first", &first);
    // The authority follows, as it does in most files.
    std::fs::write(dir.path().join("first.pem"), first.pem.clone() + &authority.pem()).unwrap();
    put(dir.path(), "other", &other);
    let yaml = "listeners:\n  - address: 127.0.0.1:0\n    tls:\n      certificates:\n        \
                - { certificate: file:first.pem, private-key: file:first.key, ocsp: file:first.ocsp }\n        \
                - { certificate: file:other.pem, private-key: file:other.key }\n";
    let gofe = Gofe::start_in(dir, &format!("{yaml}{ECHO}"));
    for version in BOTH {
        let client = TlsClient::new(&[version]);
        client.connect(gofe.address, "a.test");
        assert_eq!(client.ocsp(), response, "{version:?}");
        client.connect(gofe.address, "b.test");
        assert!(client.ocsp().is_empty(), "{version:?}");
    }
    // curl takes its signature, its certificate and its date apart.
    fetched(&gofe, gofe.address, "a.test", &["--cert-status"]);
}
