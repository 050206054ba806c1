//! Endpoints from a file.

use super::*;
use crate::harness::RawUpstream;

const YAML: &str =
    "workers: 1\nroutes: [{ upstream: u }]\nupstreams: { u: { discovery: { file: file:endpoints.yaml } } }\n";

fn start(text: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("endpoints.yaml"), text).unwrap();
    Gofe::start_in(folder, YAML)
}

/// Replaces the file as a deployment does.
fn replace(gofe: &Gofe, text: &str) {
    let new = gofe.folder().join("endpoints.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, gofe.folder().join("endpoints.yaml")).unwrap();
}

#[test]
fn endpoints_change_while_it_runs() {
    let (a, b) = (named("a"), named("b"));
    let gofe = start(&format!("endpoints: ['{}']", a.address));
    assert_eq!(shares(answers(&gofe, 4, "/", &[]))["a"], 4);
    replace(
        &gofe,
        &format!("{{\"endpoints\": [{{\"address\": \"{}\", \"labels\": {{\"version\": \"v2\"}}}}]}}", b.address),
    );
    gofe.logged("\"before\":1,\"now\":1");
    assert_eq!(shares(answers(&gofe, 4, "/", &[]))["b"], 4);
    assert_eq!(endpoints(&gofe)[0]["labels"]["version"], "v2");
    assert_eq!(gofe.ask("/config").json()["generation"], 1);
}

#[test]
fn a_file_that_is_half_written_changes_nothing() {
    let a = named("a");
    let gofe = start(&format!("endpoints: ['{}']", a.address));
    for (text, complaint) in [
        ("endpoints: ['127.0.0.1:9000', '127.0.", "endpoints.yaml:1:"),
        ("", "the file is empty"),
        ("endpoints: []", "there are no endpoints"),
        ("endpoints: [{ address: '127.0.0.1:9000', weight: 0 }]", "every endpoint has the weight 0"),
        ("endpoints: ['127.0.0.1:9000', '127.0.0.1:9000']", "is in this upstream twice"),
        ("endpoints: ['127.0.0.1:9000']\nweights: 1", "unknown key `weights`"),
    ] {
        replace(&gofe, text);
        gofe.logged(complaint);
        assert_eq!(answers(&gofe, 1, "/", &[]), ["a"], "{text}");
    }
    let shown = gofe.ask("/upstreams").json()[0]["discovery"].clone();
    assert!(shown["error"].as_str().unwrap().contains("weights") && shown["found_at"].is_string(), "{shown}");
    replace(&gofe, &format!("endpoints: ['{}', '127.0.0.1:1']", a.address));
    gofe.logged("\"before\":1,\"now\":2");
    assert!(gofe.ask("/upstreams").json()[0]["discovery"]["error"].is_null());
}

#[test]
fn a_file_that_comes_later_is_seen() {
    let gofe = Gofe::start(YAML);
    assert_eq!(KeepAlive::connect(gofe.address).get("/", &[]).status, 503);
    let a = named("a");
    replace(&gofe, &format!("endpoints: ['{}']", a.address));
    gofe.logged("\"before\":0,\"now\":1");
    assert_eq!(answers(&gofe, 1, "/", &[]), ["a"]);
}

#[test]
fn an_endpoint_that_leaves_ends_what_it_has_begun() {
    let (raw, b) = (RawUpstream::start(), named("b"));
    let gofe = start(&format!("endpoints: ['{}']", raw.address));
    let mut client = crate::harness::Wire::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut server = raw.next();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbegun");
    client.until("begun");
    replace(&gofe, &format!("endpoints: ['{}']", b.address));
    gofe.logged("\"before\":1,\"now\":1");
    assert_eq!(shares(answers(&gofe, 3, "/", &[]))["b"], 3);
    let shown = endpoints(&gofe);
    assert_eq!((shown.len(), &shown[1]["health"], &shown[1]["active"]), (2, &"draining".into(), &1.into()));
    server.send("ended");
    client.until("ended");
    gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"draining\"}", 0);
    assert_eq!(endpoints(&gofe).len(), 1);
}
