//! Endpoints by DNS, from a real name server.

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::names::Names;
use super::*;

/// An upstream whose name is asked for at this server.
fn yaml(names: &Names, rest: &str) -> String {
    format!(
        "workers: 1\nroutes: [{{ upstream: u }}]\nupstreams:\n  u:\n    discovery:\n      dns: {{ servers: ['{}'], \
         minimum-ttl: 100ms, maximum-ttl: 200ms, {rest} }}\n",
        names.address
    )
}

fn addresses(gofe: &Gofe) -> Vec<String> {
    endpoints(gofe).iter().map(|endpoint| endpoint["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn addresses_are_found_and_followed() {
    let (names, a) = (Names::start(60), named("a"));
    let port = a.address.port();
    names.addresses("users.test", &["127.0.0.1"]);
    let gofe = Gofe::start(&yaml(&names, &format!("name: users.test, port: {port}")));
    assert_eq!(shares(answers(&gofe, 4, "/", &[]))["a"], 4);
    names.addresses("users.test", &["127.0.0.1", "127.0.0.2"]);
    names.set("users.test", RecordType::AAAA, [RData::AAAA(std::net::Ipv6Addr::LOCALHOST.into())]);
    gofe.logged("\"now\":3");
    let expected = [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"), format!("[::1]:{port}")];
    assert_eq!(addresses(&gofe), expected);
    names.addresses("users.test", &["127.0.0.1"]);
    names.set("users.test", RecordType::AAAA, []);
    gofe.logged("\"before\":3,\"now\":1");
    assert_eq!(shares(answers(&gofe, 4, "/", &[]))["a"], 4);
}

#[test]
fn the_last_good_answer_is_kept() {
    let (names, a) = (Names::start(0), named("a"));
    names.addresses("users.test", &["127.0.0.1"]);
    let gofe = Gofe::start(&yaml(&names, &format!("name: users.test, port: {}", a.address.port())));
    assert_eq!(answers(&gofe, 1, "/", &[]), ["a"]);
    for code in [ResponseCode::ServFail, ResponseCode::NXDomain] {
        names.breaks(Some(code));
        gofe.logged("the endpoints are not found");
        assert_eq!(answers(&gofe, 1, "/", &[]), ["a"]);
        assert!(gofe.ask("/upstreams").json()[0]["discovery"]["found_at"].is_string());
    }
    names.breaks(None);
    names.addresses("users.test", &[]);
    assert_eq!(answers(&gofe, 1, "/", &[]), ["a"]);
}

#[test]
fn a_name_that_does_not_resolve_is_no_reason_not_to_start() {
    let (names, a) = (Names::start(0), named("a"));
    let other = named("other");
    let text = yaml(&names, &format!("name: late.test, port: {}", a.address.port()));
    let text = text.replace("routes: [", "routes: [{ match: { path: /other }, upstream: other }, ");
    let gofe = Gofe::start(&format!("{text}  other: {{ endpoints: ['{}'] }}\n", other.address));
    gofe.logged("the endpoints are not found: late.test");
    assert_eq!(KeepAlive::connect(gofe.address).get("/", &[]).status, 503);
    assert_eq!(answers(&gofe, 1, "/other", &[]), ["other"]);
    names.addresses("late.test", &["127.0.0.1"]);
    gofe.logged("\"before\":0,\"now\":1");
    assert_eq!(answers(&gofe, 1, "/", &[]), ["a"]);
}

#[test]
fn a_thousand_addresses_are_endpoints() {
    let (names, a) = (Names::start(60), named("a"));
    let many: Vec<String> = (0..1_200).map(|n| format!("127.1.{}.{}", n / 250, n % 250 + 1)).collect();
    names.addresses("many.test", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let gofe = Gofe::start(&yaml(&names, &format!("name: many.test, port: {}", a.address.port())));
    gofe.logged("too many endpoints: the first 1000 are used");
    assert_eq!(addresses(&gofe).len(), 1_000);
    // Nobody listens there: a refused connection is passed over for the next.
    assert_eq!(KeepAlive::connect(gofe.address).get("/", &[]).status, 502);
}

#[test]
fn services_have_ports_weights_and_priorities() {
    let (names, heavy, light, spare) = (Names::start(60), named("heavy"), named("light"), named("spare"));
    let srv = |priority, weight, upstream: &Upstream, target: &str| {
        RData::SRV(SRV::new(priority, weight, upstream.address.port(), Name::from_utf8(target).unwrap()))
    };
    let records = [srv(10, 3, &heavy, "one.test."), srv(10, 1, &light, "one.test."), srv(20, 1, &spare, "two.test.")];
    names.set("_http._tcp.test", RecordType::SRV, records);
    names.addresses("one.test", &["127.0.0.1"]);
    names.addresses("two.test", &["127.0.0.1"]);
    let gofe = Gofe::start(&yaml(&names, "name: _http._tcp.test, records: srv"));
    let shares = shares(answers(&gofe, 40, "/", &[]));
    assert_eq!(shares, BTreeMap::from([("heavy".to_owned(), 30), ("light".to_owned(), 10)]));
    let priorities = endpoints(&gofe).iter().filter(|endpoint| endpoint["priority"] == 1).count();
    assert_eq!(priorities, 1);
}
