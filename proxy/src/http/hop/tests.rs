use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn request(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = map(fields);
    strip_request(&mut headers);
    headers
}

fn response(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = map(fields);
    strip_response(&mut headers);
    headers
}

#[test]
fn fields_of_the_connection_stay_on_the_connection() {
    let headers = request(&[
        ("host", "a"),
        ("connection", "keep-alive, Upgrade, HTTP2-Settings"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAA"),
        ("trailer", "sum"),
        ("accept", "*/*"),
    ]);
    assert_eq!(names(&headers), ["accept", "host", "trailer"]);
}

#[test]
fn what_connection_names_goes_in_each_of_its_fields() {
    let headers = request(&[
        ("connection", "x-one,, X-Two ,\tclose"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("connection", "authorization"),
        ("authorization", "Bearer x"),
        ("x-three", "3"),
        ("connection", "not a name, @"),
    ]);
    assert_eq!(names(&headers), ["x-three"]);
}

#[test]
fn what_gofe_sets_cannot_be_named_away() {
    let kept = [
        ("host", "a"),
        ("content-length", "3"),
        ("via", "1.1 other"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    let mut headers = map(&kept);
    headers.insert(
        "connection",
        HeaderValue::from_static("host, content-length, via, forwarded, x-forwarded-for, X-Forwarded-Proto"),
    );
    strip_request(&mut headers);
    assert_eq!(headers, map(&kept));
}

#[test]
fn te_says_trailers_or_nothing() {
    assert_eq!(request(&[("te", "gzip;q=0.5, Trailers;q=1")]), map(&[("te", "trailers")]));
    assert_eq!(request(&[("te", "trailers"), ("connection", "te")]), map(&[("te", "trailers")]));
    assert_eq!(request(&[("te", "gzip"), ("te", "deflate")]), map(&[]));
}

#[test]
fn a_response_loses_what_was_for_gofe() {
    let headers = response(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("content-length", "3"),
        ("server", "s"),
    ]);
    assert_eq!(names(&headers), ["content-length", "server"]);
}

#[test]
fn a_length_beside_chunks_says_nothing() {
    assert_eq!(response(&[("transfer-encoding", "chunked"), ("content-length", "3")]), map(&[]));
}

fn forwarded(address: &str, secure: bool, fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = map(fields);
    Peer::new(address.parse().unwrap(), secure).forward(&mut headers, Version::HTTP_11);
    headers
}

#[test]
fn an_upstream_is_told_who_asked() {
    let headers = forwarded("192.0.2.1", false, &[("host", "example.com:8080")]);
    let expected = map(&[
        ("host", "example.com:8080"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "example.com:8080"),
        ("forwarded", "for=192.0.2.1;proto=http;host=\"example.com:8080\""),
        ("via", "1.1 gofe"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn an_address_of_version_6_is_quoted_and_a_mapped_one_is_of_version_4() {
    let headers = forwarded("2001:db8::1", true, &[]);
    assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";proto=https");
    assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    assert!(!headers.contains_key("x-forwarded-host"));
    assert_eq!(forwarded("::ffff:192.0.2.1", true, &[])["x-forwarded-for"], "192.0.2.1");
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let headers = forwarded(
        "192.0.2.1",
        false,
        &[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "admin.internal"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/admin"),
            ("x-real-ip", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-forward", "kept"),
        ],
    );
    let expected = map(&[
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=192.0.2.1;proto=http"),
        ("x-forward", "kept"),
        ("via", "1.1 gofe"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn a_host_cannot_break_out_of_its_quotes() {
    let headers = forwarded("192.0.2.1", false, &[("host", "a\";for=\"\\b")]);
    assert_eq!(headers["forwarded"], r#"for=192.0.2.1;proto=http;host="a\";for=\"\\b""#);
}

#[test]
fn a_connection_may_ask_for_several_hosts() {
    let peer = Peer::new("192.0.2.1".parse().unwrap(), false);
    for (host, expected) in [("a", "\"a\""), ("a", "\"a\""), ("b", "\"b\""), ("a", "\"a\"")] {
        let mut headers = map(&[("host", host)]);
        peer.forward(&mut headers, Version::HTTP_11);
        assert_eq!(headers["forwarded"], format!("for=192.0.2.1;proto=http;host={expected}"));
    }
}

#[test]
fn via_grows_and_names_the_version_that_came() {
    let mut headers = map(&[("via", "1.0 other")]);
    via(&mut headers, Version::HTTP_2);
    via(&mut headers, Version::HTTP_10);
    let all: Vec<_> = headers.get_all("via").iter().collect();
    assert_eq!(all, ["1.0 other", "2 gofe", "1.0 gofe"]);
}
