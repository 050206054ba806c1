//! Which endpoint gets a request.

use super::peer::{Peer, nobody};
use super::*;

const A: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
const B: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb";
const C: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nc";

async fn peers() -> [Peer; 3] {
    [Peer::always(A).await, Peer::always(B).await, Peer::always(C).await]
}

/// Who answers so many requests, in order.
async fn answers(cluster: &Cluster, count: usize, subset: &[(String, String)]) -> String {
    let mut all = String::new();
    for _ in 0..count {
        all += &text(cluster.send(0, get(), to(subset)).await.unwrap()).await.unwrap();
    }
    all
}

fn labelled(peers: &[Peer], labels: &[&[(&str, &str)]]) -> Cluster {
    let endpoint = |(peer, labels): (&Peer, &&[(&str, &str)])| Endpoint {
        socket: None,
        authority: peer.address.to_string().parse().unwrap(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        weight: 1,
        priority: 0,
    };
    let mut config = config(&[]);
    config.backend = Backend::Endpoints(peers.iter().zip(labels).map(endpoint).collect());
    Cluster::new("users", &config, None, 1)
}

fn subset(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn endpoints_take_turns() {
    let peers = peers().await;
    let cluster = cluster(&peers.each_ref().map(|peer| peer.address));
    assert_eq!(answers(&cluster, 6, &[]).await, "abcabc");
    let totals: Vec<_> = cluster.status().endpoints.iter().map(|endpoint| endpoint.total).collect();
    assert_eq!(totals, [2, 2, 2]);
}

#[tokio::test]
async fn workers_begin_at_different_endpoints() {
    let peers = peers().await;
    let cluster = Cluster::new("users", &config(&peers.each_ref().map(|peer| peer.address)), None, 3);
    let mut all = String::new();
    for worker in 0..3 {
        all += &text(cluster.send(worker, get(), Hint::default()).await.unwrap()).await.unwrap();
    }
    assert_eq!(all, "abc");
}

#[tokio::test]
async fn a_busy_endpoint_is_avoided_until_its_body_has_ended() {
    let peers = peers().await;
    let mut config = config(&[peers[0].address, peers[1].address]);
    config.balance.policy = Policy::LeastRequest;
    let cluster = Cluster::new("users", &config, None, 1);
    let held = cluster.send(0, get(), Hint::default()).await.unwrap();
    let busy = if held.endpoint == cluster.status().endpoints[0].address { "a" } else { "b" };
    assert!(!answers(&cluster, 20, &[]).await.contains(busy));
    assert_eq!(text(held).await.unwrap(), busy);
    assert!(cluster.status().endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
    assert!(answers(&cluster, 50, &[]).await.contains(busy));
}

#[tokio::test]
async fn a_subset_is_what_has_all_labels() {
    let peers = peers().await;
    let cluster = labelled(&peers, &[&[("version", "1")], &[("version", "2"), ("zone", "x")], &[("version", "2")]]);
    assert_eq!(answers(&cluster, 4, &subset(&[("version", "2")])).await, "bcbc");
    assert_eq!(answers(&cluster, 2, &subset(&[("version", "2"), ("zone", "x")])).await, "bb");
    assert!(cluster.has_subset(&subset(&[("zone", "x")])));
    assert!(cluster.has_subset(&[]));
    let missing = subset(&[("version", "3")]);
    assert!(!cluster.has_subset(&missing));
    let error = cluster.send(0, get(), to(&missing)).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("no-endpoint", 503));
    assert_eq!(error.to_string(), "upstream users: no endpoint with version=3");
}

#[tokio::test]
async fn a_subset_that_nobody_is_in_goes_where_the_upstream_says() {
    let peers = peers().await;
    let endpoint = |at: usize, version: &str| Endpoint {
        socket: None,
        authority: peers[at].address.to_string().parse().unwrap(),
        labels: BTreeMap::from([("version".to_owned(), version.to_owned())]),
        weight: 1,
        priority: 0,
    };
    let mut config = config(&[]);
    config.backend = Backend::Endpoints(vec![endpoint(0, "1"), endpoint(1, "1"), endpoint(2, "2")]);
    let missing = subset(&[("version", "3")]);
    config.balance.fallback = Fallback::Any;
    let any = Cluster::new("users", &config, None, 1);
    assert!(any.has_subset(&missing));
    assert_eq!(answers(&any, 3, &missing).await, "abc");
    assert_eq!(answers(&any, 2, &subset(&[("version", "2")])).await, "cc");
    config.balance.fallback = Fallback::Subset(subset(&[("version", "2")]));
    let default = Cluster::new("users", &config, None, 1);
    assert_eq!(answers(&default, 2, &missing).await, "cc");
    config.balance.fallback = Fallback::Subset(missing.clone());
    let nowhere = Cluster::new("users", &config, None, 1);
    assert_eq!(nowhere.send(0, get(), to(&missing)).await.unwrap_err().kind(), "no-endpoint");
}

#[tokio::test]
async fn a_key_that_a_plugin_chose_goes_before_the_requests_own() {
    let peers = peers().await;
    let mut config = config(&peers.each_ref().map(|peer| peer.address));
    let key = HashKey::Attribute("user".to_owned());
    config.balance.policy = Policy::Maglev { key, size: 251 };
    let cluster = Cluster::new("users", &config, None, 1);
    let value = Bytes::from_static(b"alice");
    let attribute = |name: &str| (name == "user").then_some(&value);
    let chosen = cluster.key(Some(b"bob"), attribute).unwrap();
    assert_ne!(Some(chosen), cluster.key(None, attribute));
    assert_eq!(cluster.key(Some(b"alice"), |_| None), cluster.key(None, attribute));
    let mut all = String::new();
    for _ in 0..4 {
        let hint = Hint { key: Some(chosen), ..Hint::default() };
        all += &text(cluster.send(0, get(), hint).await.unwrap()).await.unwrap();
    }
    assert!(["aaaa", "bbbb", "cccc"].contains(&all.as_str()), "{all}");
}

#[tokio::test]
async fn subsets_that_alternate_still_take_turns() {
    let peers = peers().await;
    let cluster = labelled(&peers, &[&[("v", "1")], &[("v", "2")], &[("v", "2")]]);
    let mut second = String::new();
    for _ in 0..4 {
        answers(&cluster, 1, &subset(&[("v", "1")])).await;
        second += &answers(&cluster, 1, &subset(&[("v", "2")])).await;
    }
    assert_eq!(second, "bcbc");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over() {
    let [peer, ..] = peers().await;
    let cluster = cluster(&[nobody(), peer.address, nobody()]);
    assert_eq!(answers(&cluster, 6, &[]).await, "aaaaaa");
    let failures: u64 = cluster.status().endpoints.iter().map(|endpoint| endpoint.failures).sum();
    assert!(failures > 0);
}

#[tokio::test]
async fn where_all_refuse_each_is_tried_once() {
    let cluster = cluster(&[nobody(), nobody(), nobody()]);
    let body = Frames::body(vec![data("unsent")]);
    cluster.send(0, request(Method::POST, body), Hint::default()).await.unwrap_err();
    let totals: Vec<_> = cluster.status().endpoints.iter().map(|endpoint| endpoint.total).collect();
    assert_eq!(totals, [1, 1, 1]);
}

#[tokio::test]
async fn names_are_looked_up() {
    let [peer, ..] = peers().await;
    let mut config = config(&[]);
    config.backend = Backend::Endpoints(vec![Endpoint {
        socket: None,
        authority: format!("localhost:{}", peer.address.port()).parse().unwrap(),
        labels: BTreeMap::new(),
        weight: 1,
        priority: 0,
    }]);
    let cluster = Cluster::new("users", &config, None, 1);
    assert_eq!(answers(&cluster, 2, &[]).await, "aa");
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn the_demo_server_says_what_it_got() {
    let mut config = config(&[]);
    config.backend = Backend::Echo;
    let cluster = Cluster::new("demo", &config, None, 1);
    let mut request = post("hello");
    request.headers_mut().append("x-a", http::HeaderValue::from_static("1"));
    request.headers_mut().append("x-a", http::HeaderValue::from_static("2"));
    let sent = cluster.send(0, request, Hint::default()).await.unwrap();
    assert_eq!(&*sent.endpoint, "echo");
    assert_eq!(sent.response.headers()["content-type"], "application/json");
    let said = text(sent).await.unwrap();
    assert!(said.ends_with("}\n"));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let expected = serde_json::json!({
        "upstream": "demo", "method": "POST", "path": "/a/b?c=d",
        "headers": { "host": "example.com", "x-a": ["1", "2"] }, "body": "hello",
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn the_demo_server_has_a_limit_and_knows_head() {
    let mut config = config(&[]);
    config.backend = Backend::Echo;
    let cluster = Cluster::new("demo", &config, None, 1);
    let large = Body::full(vec![0; (1 << 20) + 1]);
    let error = cluster.send(0, request(Method::POST, large), Hint::default()).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 413);
    let head = cluster.send(0, request(Method::HEAD, Body::Empty), Hint::default()).await.unwrap();
    assert_ne!(head.response.headers()["content-length"], "0");
    assert_eq!(text(head).await.unwrap(), "");
}
