//! A component in another language than Rust: JavaScript, an event handler as people write it, with a whole engine around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::Response;

use super::yaml;
use crate::harness::{Gofe, Upstream, check, foreign_guest, full, get, post};

/// Says what it was asked, and with what.
fn server() -> Upstream {
    Upstream::start(|request| async move {
        let (parts, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Response::new(full(Box::leak(format!("{} {} [{body}]", parts.method, parts.uri).into_boxed_str())))
    })
}

// covers wasi:http: incoming-handler.handle, outgoing-handler.handle, types.request, types.fields, types.body
// covers wasi:http: wasi:cli.stdout
#[test]
fn a_component_in_another_language_serves_and_asks_where_it_may() {
    let Some(component) = foreign_guest("javascript") else {
        eprintln!("there is no guest in JavaScript: left out");
        return;
    };
    let asked_other = Arc::new(AtomicUsize::new(0));
    let counter = asked_other.clone();
    let other = Upstream::start(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Response::new(full("not for it")))
    });
    let server = server();
    let keys = format!("allow: {{ http: [\"{}\", named] }}, limits: {{ time: 2s, memory: 128MiB }}", server.address);
    let more = format!(
        "  named: {{ endpoints: [\"{}\"] }}\n  hidden: {{ endpoints: [\"{}\"] }}\n",
        server.address, other.address
    );
    let file = yaml(&keys, &more);
    // To compile an engine takes longer than a start may take. After this it is in the cache.
    let whole = file.replace("file:c.wasm", &format!("\"file:{}\"", component.display()));
    let checked = check(&format!("listeners: [{{ address: 127.0.0.1:0 }}]\n{whole}"));
    assert!(checked.status.success(), "{}", checked.stderr);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(component, folder.path().join("c.wasm")).unwrap();
    let gofe = Gofe::start_in(folder, &file);

    let hello = get(gofe.address, "/hello", &[]);
    assert_eq!((hello.status, &*hello.body), (200, "hello from JavaScript"), "{}", hello.head);
    assert_eq!(hello.header("content-type"), Some("text/plain"));
    let fields = get(gofe.address, "/fields?q=1", &[("x-a", "b")]);
    assert_eq!((fields.status, fields.header("x-method")), (204, Some("GET")));
    assert_eq!((fields.header("x-query"), fields.header("x-seen")), (Some("1"), Some("b")));
    let upper = post(gofe.address, "/upper", &[], "some text");
    assert_eq!((upper.status, &*upper.body), (201, "SOME TEXT"));
    let long = "0123456789".repeat(30_000);
    assert!(post(gofe.address, "/stream", &[], &long).body == long, "the body comes back as it went");

    let asked = |url: &str| get(gofe.address, "/fetch", &[("x-url", url)]).body;
    assert_eq!(asked(&format!("http://{}/a?b", server.address)), "200 POST /a?b [from JavaScript]");
    assert_eq!(asked("http://named/c"), "200 POST /c [from JavaScript]");
    for url in [format!("http://{}/", other.address), "http://hidden/".to_owned()] {
        let said = asked(&url);
        assert!(said.starts_with("failed: "), "{url}: {said}");
    }
    assert_eq!(asked_other.load(Ordering::Relaxed), 0);

    assert_eq!(get(gofe.address, "/log", &[]).body, "logged");
    assert!(gofe.logged("JavaScript was here").contains("upstream/c"));
    // A handler that throws is the engine's to answer.
    assert_eq!(get(gofe.address, "/throw", &[]).status, 500);
    assert_eq!(get(gofe.address, "/hello", &[]).status, 200);
}
