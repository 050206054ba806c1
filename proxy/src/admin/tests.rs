use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::telemetry::{Exposition, PluginTotals};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A gofe that does what the test says.
struct Fake {
    ready: AtomicBool,
    /// The futures that reloads and rollbacks give, in order.
    changes: Mutex<Vec<Change>>,
    rollbacks: Mutex<Vec<Option<u64>>>,
}

impl Fake {
    fn new(changes: impl IntoIterator<Item = Change>) -> Arc<Self> {
        let changes = Mutex::new(changes.into_iter().collect());
        Arc::new(Self { ready: AtomicBool::new(true), changes, rollbacks: Mutex::default() })
    }
}

impl Control for Fake {
    fn ready(&self) -> bool {
        self.ready.load(SeqCst)
    }

    fn config(&self) -> ConfigView {
        ConfigView {
            generation: 7,
            digest: "ab12".to_owned(),
            loaded_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            file: "gofe.yaml".to_owned(),
            yaml: "routes: []\n".to_owned(),
        }
    }

    fn plugins(&self) -> Vec<PluginView> {
        let view = |name: &str, state| PluginView {
            name: name.to_owned(),
            version: 3,
            source: "std:api-key".to_owned(),
            digest: None,
            abi: Some("gofe:plugin"),
            phases: vec!["request-headers"],
            state,
            totals: PluginTotals {
                calls: vec![("request-headers", 5)],
                faults: vec![("trap", 1)],
                elapsed: Duration::from_micros(2_500),
                instances: 2,
                memory: 65_536,
            },
        };
        let failed = PluginState::Failed { error: "no such file".to_owned() };
        vec![view("key", PluginState::Active), view("tenant", failed)]
    }

    fn certificates(&self) -> Vec<CertificateView> {
        Vec::new()
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        let endpoint = EndpointView {
            address: "127.0.0.1:9000".to_owned(),
            labels: BTreeMap::from([("version".to_owned(), "v2".to_owned())]),
            weight: 1,
            priority: 0,
            health: "healthy",
            check_error: None,
            ejected_for: None,
            latency: None,
            active: 4,
            total: 9,
            failures: 1,
            circuit_breaker: None,
        };
        let (balance, protocol) = ("round-robin", "http1");
        vec![UpstreamView {
            name: "users".to_owned(),
            balance,
            protocol,
            circuit_breaker: None,
            circuit_breaker_opened: None,
            requests: None,
            concurrency_limit: None,
            discovery: None,
            endpoints: vec![endpoint],
        }]
    }

    fn history(&self) -> Vec<HistoryView> {
        vec![HistoryView {
            generation: Some(7),
            digest: "ab12".to_owned(),
            at: SystemTime::UNIX_EPOCH,
            trigger: Trigger::File,
            took: Duration::from_millis(20),
            serving: true,
            error: None,
        }]
    }

    fn metrics(&self, exposition: Exposition) -> String {
        format!("# {exposition:?}\n")
    }

    fn reload(&self) -> Change {
        self.changes.lock().remove(0)
    }

    fn rollback(&self, generation: Option<u64>) -> Change {
        self.rollbacks.lock().push(generation);
        self.changes.lock().remove(0)
    }
}

fn changed(generation: u64) -> Changed {
    let (digest, warnings) = ("cd34".to_owned(), vec!["tenant: no such file".to_owned()]);
    Changed { generation, digest, took: Duration::from_millis(20), warnings }
}

fn now(result: Result<Changed, ChangeError>) -> Change {
    Box::pin(async move { result })
}

fn serve(control: &Arc<Fake>, token: Option<&str>) -> Server {
    let control: Arc<dyn Control> = Arc::<Fake>::clone(control);
    bind(LOOPBACK).unwrap().serve(control, token.map(str::as_bytes)).unwrap()
}

/// An answer, read to its end.
struct Read {
    head: http::response::Parts,
    body: String,
}

impl Read {
    async fn of(response: Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { head, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(server: &Server, method: &str, path: &str, fields: &[(&str, &str)]) -> Read {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", server.address().to_string());
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let answer = Read::of(sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()).await;
    connection.abort();
    answer
}

async fn get(server: &Server, path: &str) -> Read {
    send(server, "GET", path, &[]).await
}

/// Sends bytes and reads what comes until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The server may close with a reset when it does not read all.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_probes_tell_life_from_readiness() {
    let fake = Fake::new([]);
    let server = serve(&fake, Some("token"));
    assert_eq!(get(&server, "/healthz").await.status(), 200);
    assert_eq!(get(&server, "/readyz").await.status(), 200);
    fake.ready.store(false, SeqCst);
    assert_eq!(get(&server, "/healthz").await.status(), 200);
    assert_eq!(get(&server, "/readyz").await.status(), 503);
}

#[tokio::test]
async fn state_is_shown_as_json_for_people() {
    let server = serve(&Fake::new([]), None);
    let config = get(&server, "/config").await;
    assert_eq!(config.header("content-type"), "application/json");
    assert!(config.body.starts_with("{\n  \"generation\": 7,\n"));
    assert_eq!(config.json()["loaded_at"], "1970-01-01T00:00:01.500Z");
    assert_eq!(config.json()["yaml"], "routes: []\n");

    let plugins = get(&server, "/plugins").await.json();
    assert_eq!(plugins[0]["state"], "active");
    assert_eq!(plugins[0]["calls"], json!({ "request-headers": 5 }));
    assert_eq!(plugins[0]["faults"], json!({ "trap": 1 }));
    assert_eq!(plugins[0]["seconds"], 0.0025);
    assert_eq!(plugins[0]["memory_bytes"], 65_536);
    assert_eq!(plugins[1]["state"], "failed");
    assert_eq!(plugins[1]["error"], "no such file");

    assert_eq!(get(&server, "/upstreams").await.json()[0]["endpoints"][0]["labels"]["version"], "v2");
    let history = get(&server, "/history").await.json();
    assert_eq!((&history[0]["trigger"], &history[0]["serving"]), (&json!("file"), &json!(true)));
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let server = serve(&Fake::new([]), None);
    let plain = get(&server, "/metrics").await;
    assert_eq!(
        (plain.body.as_str(), plain.header("content-type")),
        ("# Prometheus\n", "text/plain; version=0.0.4; charset=utf-8")
    );
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
    let open = send(&server, "GET", "/metrics", &[("accept", accept)]).await;
    assert_eq!(open.body, "# OpenMetrics\n");
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
}

#[tokio::test]
async fn a_reload_answers_with_the_new_generation() {
    let server = serve(&Fake::new([now(Ok(changed(8)))]), None);
    let answer = send(&server, "POST", "/reload", &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["generation"], 8);
    assert_eq!(answer.json()["warnings"][0], "tenant: no such file");
}

#[tokio::test]
async fn a_refused_configuration_answers_with_its_diagnostics() {
    let diagnostics = "gofe.yaml:3:5: routes[0].upstream: there is no upstream \"user\"\n";
    let rejected = now(Err(ChangeError::Rejected(diagnostics.to_owned())));
    let server = serve(&Fake::new([rejected, now(Err(ChangeError::Busy))]), None);
    let answer = send(&server, "POST", "/reload", &[]).await;
    assert_eq!((answer.status(), answer.body.as_str()), (422, diagnostics));
    assert_eq!(send(&server, "POST", "/reload", &[]).await.status(), 409);
}

#[tokio::test]
async fn a_rollback_goes_to_the_generation_that_is_named() {
    let unknown = now(Err(ChangeError::Unknown(Some(3))));
    let fake = Fake::new([now(Ok(changed(8))), unknown]);
    let server = serve(&fake, None);
    assert_eq!(send(&server, "POST", "/rollback", &[]).await.status(), 200);
    let answer = send(&server, "POST", "/rollback?generation=3", &[]).await;
    assert_eq!((answer.status(), answer.body.as_str()), (404, "the history has no generation 3\n"));
    for query in ["generation=", "generation=-1", "generation=+1", "generation=1&generation=2", "generations=1"] {
        assert_eq!(send(&server, "POST", &format!("/rollback?{query}"), &[]).await.status(), 400, "{query}");
    }
    assert_eq!(*fake.rollbacks.lock(), [None, Some(3)]);
}

#[tokio::test]
async fn it_answers_while_a_reload_runs_and_a_client_that_leaves_does_not_stop_it() {
    let (begun, mut has_begun) = mpsc::channel(1);
    let (go, mut gone) = mpsc::channel::<()>(1);
    let (done, mut is_done) = mpsc::channel(1);
    let change: Change = Box::pin(async move {
        begun.send(()).await.unwrap();
        gone.recv().await;
        done.send(()).await.unwrap();
        Ok(changed(8))
    });
    let server = serve(&Fake::new([change]), None);
    let mut client = TcpStream::connect(server.address()).await.unwrap();
    client.write_all(b"POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    has_begun.recv().await.unwrap();
    assert_eq!(get(&server, "/healthz").await.status(), 200);
    drop(client);
    assert_eq!(get(&server, "/healthz").await.status(), 200);
    go.send(()).await.unwrap();
    assert_eq!(is_done.recv().await, Some(()));
}

#[tokio::test]
async fn a_change_that_panics_is_an_answer_and_not_the_end_of_the_api() {
    fn panics() -> Result<Changed, ChangeError> {
        panic!("a test's panic")
    }
    let server = serve(&Fake::new([Box::pin(async { panics() }) as Change]), None);
    assert_eq!(send(&server, "POST", "/reload", &[]).await.status(), 500);
    assert_eq!(get(&server, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn wrong_paths_and_methods_say_what_is_right() {
    let server = serve(&Fake::new([]), None);
    let answer = get(&server, "/nothing").await;
    assert_eq!(answer.status(), 404);
    assert!(answer.body.contains("POST /rollback"));
    let answer = get(&server, "/reload").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
    let answer = send(&server, "DELETE", "/config", &[]).await;
    assert_eq!((answer.status(), answer.header("allow")), (405, "GET, HEAD"));
    let answer = send(&server, "HEAD", "/config", &[]).await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn with_a_token_everything_but_the_probes_needs_it() {
    let server = serve(&Fake::new([]), Some("s3cret"));
    for path in ["/config", "/metrics", "/nothing"] {
        let answer = get(&server, path).await;
        assert_eq!((answer.status(), answer.header("www-authenticate")), (401, "Bearer"), "{path}");
    }
    for wrong in ["Bearer s3cre", "Bearer s3cretx", "Bearer ", "Basic s3cret", "s3cret", "Bearer  s3cret"] {
        assert_eq!(send(&server, "GET", "/config", &[("authorization", wrong)]).await.status(), 401, "{wrong}");
    }
    let double = [("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")];
    assert_eq!(send(&server, "GET", "/config", &double).await.status(), 401);
    for right in ["Bearer s3cret", "bearer s3cret"] {
        assert_eq!(send(&server, "GET", "/config", &[("authorization", right)]).await.status(), 200, "{right}");
    }
    let by_name = [("authorization", "Bearer s3cret"), ("host", "edge.internal")];
    assert_eq!(send(&server, "GET", "/config", &by_name).await.status(), 200);
}

#[tokio::test]
async fn a_new_token_counts_from_the_next_request() {
    let server = serve(&Fake::new([]), Some("old"));
    assert!(server.set_token(Some(b"new")));
    assert_eq!(send(&server, "GET", "/config", &[("authorization", "Bearer old")]).await.status(), 401);
    assert_eq!(send(&server, "GET", "/config", &[("authorization", "Bearer new")]).await.status(), 200);
}

#[tokio::test]
async fn an_address_that_others_reach_is_never_served_without_a_token() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = bind(everywhere).unwrap().serve(Fake::new([]), None).unwrap_err();
    assert!(refused.to_string().contains("needs a token"));
}

#[tokio::test]
async fn a_page_whose_name_points_to_loopback_gets_nothing() {
    let server = serve(&Fake::new([]), None);
    for host in ["evil.example", "evil.example:9901", "localhost.evil.example", "127.0.0.1.nip.io"] {
        assert_eq!(send(&server, "GET", "/config", &[("host", host)]).await.status(), 403, "{host}");
    }
    for host in ["localhost", "LOCALHOST:9901", "127.0.0.1:9901", "[::1]:9901"] {
        assert_eq!(send(&server, "GET", "/config", &[("host", host)]).await.status(), 200, "{host}");
    }
    let absolute = b"GET http://evil.example/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(raw(&server, absolute).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_reload() {
    let server = serve(&Fake::new([now(Ok(changed(8)))]), None);
    let own = server.address().to_string();
    for origin in ["https://evil.example", "http://127.0.0.1:1", "null", ""] {
        assert_eq!(send(&server, "POST", "/reload", &[("origin", origin)]).await.status(), 403, "{origin}");
    }
    let same = format!("http://{own}");
    assert_eq!(send(&server, "POST", "/reload", &[("origin", &same)]).await.status(), 200);
}

#[tokio::test]
async fn requests_that_are_not_well_formed_are_refused() {
    let server = serve(&Fake::new([]), None);
    let missing = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert!(raw(&server, missing).await.starts_with("HTTP/1.1 400"));
    let double = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(raw(&server, double).await.starts_with("HTTP/1.1 400"));
    assert!(raw(&server, b"GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
    assert!(raw(&server, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    assert!(raw(&server, b"\x16\x03\x01\x02\x00\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn past_the_limit_a_connection_waits_for_a_place() {
    let server = serve(&Fake::new([]), None);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let mut late = TcpStream::connect(server.address()).await.unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    drop(held);
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_taken_port_is_the_callers_error() {
    let first = bind(LOOPBACK).unwrap();
    assert_eq!(bind(first.address()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn stopped_it_lets_go_of_its_port_and_of_idle_connections() {
    let server = serve(&Fake::new([]), None);
    let address = server.address();
    assert_eq!(get(&server, "/healthz").await.head.status, StatusCode::OK);
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0];
    idle.read_exact(&mut first).await.unwrap();
    drop(server);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(bind(address).is_ok());
}

#[test]
fn every_endpoint_is_documented() {
    let docs = include_str!("../../../docs/operations.md");
    for (path, endpoint) in endpoint::ENDPOINTS {
        let method = if endpoint.changes() { "POST" } else { "GET" };
        assert!(docs.contains(&format!("| `{method} {path}` |")), "docs/operations.md says what {path} is");
    }
}
