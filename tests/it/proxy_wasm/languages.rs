//! A guest in another language than Rust: AssemblyScript, which has an allocator, a start function and an SDK of its own.

use super::{Gofe, at, get, yaml};
use crate::harness::{Upstream, foreign_guest, post};

const SETTINGS: &str = "vm: { root-id: test }, config: AssemblyScript";

fn gofe(yaml: &str) -> Option<Gofe> {
    let Some(module) = foreign_guest("assemblyscript") else {
        eprintln!("there is no guest in AssemblyScript: left out");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(module, folder.path().join("guest.wasm")).unwrap();
    Some(Gofe::start_in(folder, yaml))
}

#[test]
fn a_guest_in_another_language_changes_requests_and_responses() {
    let Some(gofe) = gofe(&yaml(SETTINGS, "{ builtin: echo }")) else { return };
    let answer = get(gofe.address, "/", &[("x-gone", "1")]);
    assert_eq!((answer.status, answer.header("x-route")), (200, Some("r")));
    assert!(answer.body.contains("GET with AssemblyScript") && !answer.body.contains("x-gone"), "{}", answer.body);
    let denied = get(gofe.address, "/", &[("x-deny", "1")]);
    assert_eq!((denied.status, denied.header("x-denied-by")), (403, Some("AssemblyScript")));
    assert_eq!(denied.body, "no entry");
    gofe.logged("stream is over");
}

#[test]
fn a_guest_in_another_language_sees_bodies() {
    let upstream = Upstream::text("ok");
    let Some(gofe) = gofe(&yaml(SETTINGS, &at(&upstream))) else { return };
    assert_eq!(post(gofe.address, "/", &[], "in a body").status, 200);
    gofe.logged("body: in a body");
}
