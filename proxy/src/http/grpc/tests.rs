use super::*;

fn call(method: &str, kind: &str) -> Option<Form> {
    let (parts, ()) = http::Request::builder().method(method).header(CONTENT_TYPE, kind).body(()).unwrap().into_parts();
    Call::of(&parts).map(|call| call.form)
}

#[test]
fn a_call_is_known_by_its_content_type() {
    for (kind, form) in [
        ("application/grpc", Some(Form::Native)),
        ("application/grpc+proto", Some(Form::Native)),
        ("application/grpc;x=y", Some(Form::Native)),
        ("application/grpc-web", Some(Form::Web)),
        ("application/grpc-web+proto", Some(Form::Web)),
        ("application/grpc-web-text", Some(Form::WebText)),
        ("application/grpc-web-text+proto", Some(Form::WebText)),
        ("application/grpc-webby", None),
        ("application/grpcx", None),
        ("application/json", None),
    ] {
        assert_eq!(call("POST", kind), form, "{kind}");
    }
    assert_eq!(call("GET", "application/grpc"), None);
}

#[test]
fn timeouts_have_units() {
    let read = |text: &'static str| timeout(&HeaderValue::from_static(text));
    assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
    assert_eq!(read("3M"), Some(Duration::from_secs(180)));
    assert_eq!(read("1S"), Some(Duration::from_secs(1)));
    assert_eq!(read("250m"), Some(Duration::from_millis(250)));
    assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
    assert_eq!(read("5n"), Some(Duration::from_nanos(5)));
    for wrong in ["", "S", "1", "123456789S", "1s", "-1S", "1.5S", "+1S"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

fn refused(status: u16, kind: Option<&'static str>, body: &str) -> (response::Parts, bool) {
    let mut builder = http::Response::builder().status(status).header(CONTENT_LENGTH, body.len());
    if let Some(kind) = kind {
        builder = builder.header(CONTENT_TYPE, kind);
    }
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    let call = Call { form: Form::Native, translated: false, timeout: None, own: true, status: None };
    let refused = call.refuse(&mut parts, body.as_bytes());
    (parts, refused)
}

#[test]
fn an_error_becomes_a_status_and_a_message() {
    let (parts, refused_it) = refused(429, Some("text/plain; charset=utf-8"), "zu viel: 100 %\n");
    assert!(refused_it && parts.status == 200 && parts.headers[CONTENT_TYPE] == "application/grpc");
    assert_eq!(
        (&parts.headers[GRPC_STATUS], &parts.headers[GRPC_MESSAGE]),
        (&"8".parse().unwrap(), &"zu viel: 100 %25".parse().unwrap())
    );
    assert!(!parts.headers.contains_key(CONTENT_LENGTH));
    let (parts, _) = refused(401, Some("application/json"), "{}");
    assert_eq!(
        (&parts.headers[GRPC_STATUS], &parts.headers[GRPC_MESSAGE]),
        (&"16".parse().unwrap(), &"Unauthorized".parse().unwrap())
    );
    assert_eq!(escaped("ä\n"), "%C3%A4%0A");
}

#[test]
fn a_success_is_no_error() {
    let (parts, refused_it) = refused(200, None, "hello");
    assert!(!refused_it && !parts.headers.contains_key(GRPC_STATUS));
}

#[test]
fn statuses_mean_what_they_mean() {
    let expected = [(400, 13), (401, 16), (403, 7), (404, 12), (408, 4), (413, 8), (418, 2), (429, 8), (500, 13)];
    for (status, expected) in expected.into_iter().chain([(502, 14), (503, 14), (504, 4)]) {
        assert_eq!(code(StatusCode::from_u16(status).unwrap()), expected, "{status}");
    }
}
