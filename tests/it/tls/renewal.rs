//! Certificates that change while gofe serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gofe_certificates::Authority;

use super::{BOTH, site, start};
use crate::harness::tls::TlsClient;

#[test]
fn a_renewed_certificate_is_shown_and_no_connection_is_dropped() {
    let authority = Authority::new("test");
    let gofe = start(&authority, "");
    let client = TlsClient::new(&BOTH);
    let mut kept = client.connect(gofe.address, "site.test");
    let before = kept.certificate().to_vec();
    kept.get("/");
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stop, address) = (stop.clone(), gofe.address);
        std::thread::spawn(move || {
            let client = TlsClient::new(&BOTH);
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                assert!(client.connect(address, "site.test").get("/").starts_with("HTTP/1.1 200"));
                count += 1;
            }
            count
        })
    };
    // Certificate and key are two files: between the two writes they may not belong together, and the old ones serve on.
    let renewed = site(&authority, gofe.folder());
    let shown = || TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate().to_vec();
    gofe.logged("a configuration was put into service");
    assert_eq!(shown(), renewed);
    assert_ne!(before, renewed);
    assert!(kept.get("/").starts_with("HTTP/1.1 200"), "the connection from before lives on");
    stop.store(true, Ordering::Relaxed);
    assert!(load.join().expect("no connection fails") > 0);
    assert!(client.connect(gofe.address, "site.test").resumed(), "tickets outlive a renewal");
}

#[test]
fn a_renewal_that_went_wrong_leaves_what_serves() {
    let authority = Authority::new("test");
    let gofe = start(&authority, "");
    let before = TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate().to_vec();
    std::fs::write(gofe.folder().join("site.pem"), "").unwrap();
    let line = gofe.logged("the configuration is refused");
    assert!(line.contains("site.pem is empty") && line.contains("gofe.yaml:"), "{line}");
    assert_eq!(TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate(), before);
    let renewed = site(&authority, gofe.folder());
    gofe.logged("a configuration was put into service");
    assert_eq!(TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate(), renewed);
}

#[test]
fn a_link_that_is_switched_to_another_folder_is_followed() {
    let authority = Authority::new("test");
    let folder = super::folder(&authority);
    let live = folder.path().join("live");
    let place = |name: &str| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        site(&authority, &to)
    };
    place("first");
    std::os::unix::fs::symlink("first", &live).unwrap();
    let second = place("second");
    let yaml = super::listener("").replace("file:site", "file:live/site");
    let gofe = crate::harness::Gofe::start_in(folder, &format!("{yaml}{}", super::ECHO));
    let switched = gofe.folder().join("switched");
    std::os::unix::fs::symlink("second", &switched).unwrap();
    std::fs::rename(&switched, gofe.folder().join("live")).unwrap();
    gofe.signal("HUP");
    gofe.logged("a configuration was put into service");
    assert_eq!(TlsClient::new(&BOTH).connect(gofe.address, "site.test").certificate(), second);
}
