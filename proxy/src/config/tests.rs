use std::time::Duration;

use super::*;

mod keys;

const DESIGN: &str = r"
workers: 2                       # default: one per core
listeners:
  - address: 127.0.0.1:8080
admin: { address: 127.0.0.1:9901 }
plugins:
  access-log: { source: std:access-log }
  api-key:    { source: std:api-key, config: { keys: { secret: alice } } }
  limit:      { source: std:rate-limit, config: { key: client-ip, rate: 100/s, burst: 50 } }
  tenant:     { source: file:plugins/tenant.wasm, on-error: fail-open, limits: { time: 5ms, memory: 16MiB },
                allow: { http: [users.internal:8080] }, config: { header: x-tenant } }
chains:
  api: [access-log, api-key, limit, tenant]
routes:
  - match: { path: /api/** }
    chain: api
    upstream: users
    timeout: 1s
upstreams:
  users: { endpoints: [127.0.0.1:9000], balance: least-request }
";

#[test]
fn the_design_example_is_read() {
    let loaded = parse("conf/gofe.yaml", DESIGN).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.config;
    assert_eq!(config.workers, 2);
    let tenant = &config.plugins["tenant"];
    assert_eq!(tenant.source, PluginSource::File("conf/plugins/tenant.wasm".into()));
    assert_eq!(tenant.limits.time, Duration::from_millis(5));
    assert_eq!(tenant.limits.memory, 16 << 20);
    assert_eq!(config.routes[0].name, "/api/**");
    assert_eq!(config.upstreams["users"].balance.policy, Policy::LeastRequest);
}

/// Each `x.yaml` in `tests/config` beside its `x.err`: all that gofe says about it, nothing where it is right.
/// `UPDATE_GOLDEN=1 cargo test -p gofe golden` writes them anew.
#[test]
fn golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of golden files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).expect("a golden file");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = match parse(&name, &text) {
            Ok(loaded) => loaded.warnings.to_string(),
            Err(diagnostics) => diagnostics.to_string(),
        };
        let said = if said.is_empty() { said } else { said + "\n" };
        let expected = path.with_extension("err");
        if update {
            std::fs::write(&expected, &said).expect("a golden file is written");
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(&said) {
            wrong.push(format!("{}\n{said}", expected.display()));
        }
    }
    assert!(count >= 25, "only {count} golden files were found");
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

fn loaded(text: &str) -> Loaded {
    parse("gofe.yaml", text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config").join(name);
    std::fs::read_to_string(path).expect("a golden file")
}

#[test]
fn every_key_has_its_effect() {
    let config = loaded(&golden("complete.yaml")).config;
    assert_eq!(config.listeners[1].address.to_string(), "[::1]:8080");
    let admin = config.admin.expect("the admin API");
    assert_eq!((admin.address.port(), admin.token), (9901, Some(Secret::Env("ADMIN_TOKEN".into()))));
    let limits = ClientLimits {
        connections: 1000,
        connections_per_client: 20,
        handshakes: 30,
        header_size: 16 << 10,
        header_count: 50,
        body_size: 1 << 30,
        streams: 10,
        resets: 40,
        body_rate: 1 << 10,
    };
    assert_eq!(config.limits, limits);
    let (header_read, idle, drain) = (Duration::from_secs(5), Duration::from_secs(60), Duration::ZERO);
    let body_grace = Duration::from_secs(2);
    assert_eq!(config.timeouts, ClientTimeouts { header_read, idle, body_grace, drain });
    assert_eq!(config.log, Log { filter: "gofe=debug".into(), format: LogFormat::Json });
    assert_eq!(config.secrets["signing"], Secret::File("secrets/signing".into()));

    let plugin = &config.plugins["tenant"];
    assert_eq!(plugin.source, PluginSource::File("plugins/tenant.wasm".into()));
    assert!(plugin.digest.as_ref().is_some_and(|digest| digest.starts_with("e3b0c442") && digest.len() == 64));
    assert_eq!((plugin.on_error, plugin.instance), (OnError::FailOpen, InstanceMode::PerRequest));
    assert_eq!(plugin.limits, PluginLimits { time: Duration::from_millis(5), memory: 32 << 20, body: 64 << 10 });
    assert_eq!(plugin.allow.http, ["users.internal:8080", "auth.internal"]);
    let outbound = OutboundLimits { timeout: Duration::from_secs(1), response_size: 16 << 10 };
    assert_eq!(plugin.allow.http_limits, outbound);
    assert!(plugin.allow.key_value && plugin.allow.metrics && plugin.allow.secrets.contains("signing"));
    assert_eq!(plugin.allow.output, Output::File("logs/tenant.log".into()));
    assert_eq!(plugin.config, serde_json::json!({ "header": "x-tenant", "list": [1, 2.5, null, true] }));
    assert_eq!(config.plugins["caller"].allow.http, ["keys.internal"]);
    assert_eq!(config.chains["api"], ["tenant", "caller"]);
}

#[test]
fn listeners_have_their_effect() {
    let config = loaded(&golden("complete.yaml")).config;
    let [plain, redirect, secure, old, passed, edge] = &config.listeners[..] else { panic!("six listeners") };
    assert_eq!((&plain.tls, &plain.redirect, &plain.hsts), (&None, &None, &None));
    let status = http::StatusCode::MOVED_PERMANENTLY;
    assert_eq!(redirect.redirect, Some(Redirect { port: 8443, status }));
    let tls = secure.tls.as_ref().expect("TLS");
    assert_eq!(tls.certificates[0].certificate, Path::new("tls/site.pem"));
    assert_eq!(tls.certificates[1].private_key, Path::new("/etc/a.key"));
    let names = [HostPattern::Exact("a.example.com".into()), HostPattern::Suffix("b.example.com".into())];
    assert_eq!((tls.certificates[0].names.len(), &tls.certificates[1].names[..]), (0, &names[..]));
    assert_eq!((tls.minimum_version, &tls.alpn[..]), (TlsVersion::Tls13, &[Alpn::Http11][..]));
    assert_eq!(tls.handshake_timeout, Duration::from_secs(5));
    let header = Some(http::HeaderName::from_static("x-client-cert-subject"));
    let clients = ClientCertificates { authorities: "tls/ca.pem".into(), verify: Verify::Optional, header };
    assert_eq!(tls.client_certificates, Some(clients));
    let files: Vec<_> = tls.files().map(|file| file.display().to_string()).collect();
    assert_eq!(files, ["tls/site.pem", "tls/site.key", "tls/site.ocsp", "/etc/a.pem", "/etc/a.key", "tls/ca.pem"]);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(secure.hsts, Some(Hsts { max_age: 730 * day, include_subdomains: true, preload: true }));
    assert_eq!(old.hsts, Some(Hsts { max_age: 365 * day, include_subdomains: false, preload: false }));
    let tls = old.tls.as_ref().expect("TLS");
    assert_eq!((tls.minimum_version, &tls.alpn[..]), (TlsVersion::Tls12, &[Alpn::Http2, Alpn::Http11][..]));
    let acme = Acme {
        directory: "https://ca.internal:14000/dir".into(),
        contact: vec!["mailto:ops@example.com".into()],
        names: vec!["example.com".into(), "www.example.com".into()],
        authority: Some("tls/ca.pem".into()),
        storage: "acme".into(),
        challenge: Challenge::Http01,
        timeout: Duration::from_secs(30),
    };
    assert_eq!(tls.acme, Some(acme));
    assert_eq!((tls.handshake_timeout, &old.redirect), (Duration::from_secs(10), &None));
    let names = [HostPattern::Exact("a.test".into()), HostPattern::Suffix("test".into())];
    let names = names.map(|name| (name, "users".to_owned())).to_vec();
    let chain = Some("api".into());
    let tcp = Tcp { upstream: Some("users".into()), names, chain, idle_timeout: Duration::from_secs(3600) };
    assert_eq!((&passed.tcp, &plain.tcp), (&Some(tcp), &None));
    assert_eq!((edge.name.as_deref(), edge.address.to_string()), (Some("edge"), "unix:run/edge.sock".into()));
    assert_eq!((edge.mode, plain.mode), (0o600, 0o660));
    let networks = |texts: &[&str]| Networks(texts.iter().map(|text| text.parse().unwrap()).collect());
    let timeout = Duration::from_secs(1);
    assert_eq!(edge.proxy_protocol, Some(ProxyProtocol { from: networks(&["127.0.0.1/32"]), timeout }));
    let from = networks(&["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(edge.trusted_proxies, Some(TrustedProxies { from, header: ClientHeader::Forwarded }));
    assert_eq!((&config.routes[0].listeners[..], config.routes[2].listeners.len()), (&["edge".to_owned()][..], 0));
    assert!(config.routes[0].serves_on(Some("edge")) && !config.routes[0].serves_on(None));
}

#[test]
fn a_private_key_in_the_place_of_its_file_is_not_shown() {
    let shown = golden("tls.err");
    assert!(shown.contains("this names no file") && !shown.contains("MIGH"), "{shown}");
}

#[test]
fn routes_and_upstreams_have_their_effect() {
    let config = loaded(&golden("complete.yaml")).config;
    let [api, exact, template, regex, rest] = &config.routes[..] else { panic!("five routes") };
    assert_eq!([&*api.name, &*exact.name, &*rest.name], ["api", "/exact", "/**"]);
    assert_eq!(api.matches.path, PathPattern::Prefix("/api".into()));
    let hosts = [HostPattern::Exact("example.com".into()), HostPattern::Suffix("example.com".into())];
    assert_eq!(api.matches.hosts, hosts);
    assert_eq!(api.matches.methods, ["GET", "POST"]);
    assert_eq!(api.priority, 10);
    let headers: Vec<_> = api.matches.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f"]);
    let values: Vec<_> = api.matches.headers.iter().map(|(_, value)| value).collect();
    let present = &ValueMatch::Present;
    assert_eq!(values[..5], [&ValueMatch::Exact("v".into()), present, present, present, &ValueMatch::Absent]);
    assert!(matches!(values[5], ValueMatch::Regex(pattern) if pattern.text() == "[a-z]+"));
    assert_eq!(api.matches.query[1], ("page".into(), ValueMatch::Prefix("1".into())));
    assert_eq!(api.matches.cookies, [("session".into(), ValueMatch::Suffix(".eu".into()))]);
    let networks: Vec<_> = api.matches.client_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(api.matches.server_names, [HostPattern::Suffix("example.com".into())]);
    assert_eq!([&*template.name, &*regex.name], ["/users/{id}/{rest...}", "/users/[0-9]+"]);
    assert_eq!((api.timeout, api.body_size), (Duration::from_secs(1), Some(10 << 20)));
    let Action::Respond(fixed) = &exact.action else { panic!("a fixed answer") };
    assert_eq!((fixed.status, &*fixed.body), (http::StatusCode::NOT_FOUND, "nothing here"));
    assert_eq!((rest.timeout, rest.body_size), (Duration::from_secs(60), None));

    treatment_has_its_effect(api, template, regex);
    let users = &config.upstreams["users"];
    let Backend::Endpoints(endpoints) = &users.backend else { panic!("endpoints") };
    assert_eq!(endpoints[1].authority, "users.internal:9000");
    assert_eq!(endpoints[1].labels["version"], "v2");
    assert_eq!((&users.balance.policy, users.protocol), (&Policy::LeastRequest, Protocol::Http2));
    assert_eq!((users.connect_timeout, users.idle_timeout), (Duration::from_secs(1), Duration::from_secs(30)));
    assert_eq!(users.idle_connections, 16);
    assert_eq!(config.upstreams["echo"].backend, Backend::Echo);
}

fn treatment_has_its_effect(api: &Route, template: &Route, regex: &Route) {
    let treatment = &api.treatment;
    assert_eq!(treatment.rewrite.path, Some(PathRewrite::Prefix("/v2".into())));
    assert!(treatment.rewrite.host.is_some() && treatment.request_headers.has_variables());
    assert!(!treatment.response_headers.has_variables() && treatment.response_headers.add.len() == 1);
    assert_eq!(treatment.active_requests, Some(50));
    let fault = treatment.fault.as_ref().expect("a fault");
    assert_eq!(fault.delay, Some((Duration::from_secs(2), Share(5_000))));
    assert_eq!(fault.abort, Some((http::StatusCode::SERVICE_UNAVAILABLE, Share(10_000))));
    assert_eq!(fault.headers.len(), 1);
    let mirror = treatment.mirror.as_ref().expect("a mirror");
    assert_eq!((mirror.share, mirror.body_size, mirror.active_requests), (Share(100_000), 1 << 10, 5));
    let fallback = treatment.fallback.as_ref().expect("a fallback");
    assert_eq!(fallback.statuses, [500, 503]);
    assert!(matches!(&fallback.answer, FallbackAnswer::Fixed(fixed) if fixed.headers["retry-after"] == "5"));
    let Action::Split(split) = &template.action else { panic!("several upstreams") };
    assert_eq!(split.sticky, Some(Sticky::Cookie("release".into())));
    assert_eq!((split.choices[0].weight, &split.choices[0].subset[..]), (90, &[("version".into(), "v2".into())][..]));
    let Action::Redirect(redirect) = &regex.action else { panic!("a redirect") };
    assert_eq!(
        (redirect.status, redirect.scheme, redirect.port),
        (http::StatusCode::MOVED_PERMANENTLY, Some("https"), Some(8443))
    );
}

#[test]
fn what_the_file_leaves_out_has_a_default() {
    let minimal = "listeners: [{ address: '127.0.0.1:0' }]\nadmin: {}\nplugins: { a: { source: std:jwt } }\n\
                   chains: { a: [a] }\nroutes: [{ chain: a, upstream: u }]\nupstreams: { u: { endpoints: ['a:1'] } }";
    let config = loaded(minimal).config;
    assert!(config.workers >= 1);
    assert_eq!(config.admin.expect("the admin API").address.to_string(), "127.0.0.1:9901");
    assert_eq!(config.limits.header_size, 64 << 10);
    assert_eq!(config.timeouts.drain, Duration::from_secs(30));
    let plugin = &config.plugins["a"];
    assert_eq!(plugin.limits, PluginLimits { time: Duration::from_millis(10), memory: 16 << 20, body: 1 << 20 });
    assert_eq!((plugin.on_error, plugin.allow.clone()), (OnError::FailClosed, Allow::default()));
    assert!(plugin.config.is_null());
    assert_eq!(config.upstreams["u"].connect_timeout, Duration::from_secs(5));
    assert!(loaded(&minimal.replace("admin: {}\n", "")).config.admin.is_none());
}

#[test]
fn a_route_is_named_by_what_tells_it_apart() {
    let text = "listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { u: { builtin: echo } }\nroutes:\n\
        - { match: { path: /a }, upstream: u }\n\
        - { match: { path: /b, host: a.test }, upstream: u }\n\
        - { match: { path: /b, methods: [GET] }, upstream: u }\n\
        - { match: { path: /b, methods: [PUT], headers: { x-a: true } }, upstream: u }\n\
        - { match: { path: /b, methods: [PUT] }, upstream: u }\n\
        - { name: /c, match: { path: /d }, upstream: u }\n\
        - { match: { path: /c }, upstream: u }\n";
    let names: Vec<String> = loaded(text).config.routes.into_iter().map(|route| route.name).collect();
    assert_eq!(names, ["/a", "a.test/b", "GET /b", "PUT /b #3", "PUT /b #4", "/c", "/c #6"]);
}

#[test]
fn later_stages_report_at_the_right_place() {
    let source = loaded(DESIGN).source;
    assert_eq!(source.locate("/listeners/0/address").to_string(), "gofe.yaml:4:14");
    assert_eq!(source.locate("/plugins/tenant/source").to_string(), "gofe.yaml:10:25");
    assert_eq!(source.locate("/plugins/tenant/config/header/deeper").to_string(), "gofe.yaml:11:75");
    assert_eq!(source.locate("/nothing/here").to_string(), "gofe.yaml:2:1");
    let wrong = source.plugin_error("limit", "/rate", "the rate is not a rate");
    assert_eq!(wrong.short(), "gofe.yaml:9:73: plugins.limit.config.rate: the rate is not a rate");
    let wrong = source.plugin_error("access-log", "/format", "there is no format");
    assert_eq!(wrong.short(), "gofe.yaml:7:3: plugins.access-log.config.format: there is no format");
    let missing = source.error("/plugins/tenant/source", "there is no file plugins/tenant.wasm").with_help("build it");
    let expected = "\
error: gofe.yaml:10:25: plugins.tenant.source: there is no file plugins/tenant.wasm
   |
10 |   tenant:     { source: file:plugins/tenant.wasm, on-error: fail-open, limits: { time: 5ms, memory: 16MiB },
   |                         ^^^^^^^^^^^^^^^^^^^^^^^^
   = help: build it";
    assert_eq!(missing.to_string(), expected);
}

#[test]
fn a_path_of_a_guest_is_not_trusted() {
    let source = loaded(DESIGN).source;
    for pointer in ["", "/", "no-slash", "/~", "/~9/\u{1b}[2J", "//", "/18446744073709551616", "/ü"] {
        let shown = source.plugin_error("api-key", pointer, "\u{1b}[31mred").to_string();
        assert!(shown.contains("gofe.yaml:8:") && !shown.contains('\u{1b}'), "{shown}");
    }
    let shown = source.plugin_error("api-key", "/keys/secret", "is short").to_string();
    assert!(shown.contains("config.keys.***") && !shown.contains("alice"), "{shown}");
}

#[test]
fn the_masked_form_hides_what_may_be_a_secret() {
    let text = "# a comment with hidden-0\n\
        listeners: [{ address: '127.0.0.1:0' }]\n\
        secrets: { hmac: { env: HMAC_SECRET } }\n\
        plugins:\n\
        \x20 a:\n\
        \x20   source: std:api-key\n\
        \x20   allow: { secrets: [hmac] }\n\
        \x20   config:\n\
        \x20     header: x-api-key\n\
        \x20     keys: { hidden-1: alice, hidden-2: [bob] }\n\
        \x20     nested: [{ clientSecret: hidden-3, PASSWORD: hidden-4, url: 'http://a' }]\n\
        \x20     token: 12345\n\
        \x20     credentials: &anchor { user: hidden-5 }\n\
        \x20     again: { <<: *anchor, auth-token: *anchor }\n\
        chains: { a: [a] }\n\
        routes: [{ chain: a, upstream: u }]\n\
        upstreams: { u: { builtin: echo } }\n";
    let masked = loaded(text).source.masked();
    for hidden in ["hidden-0", "hidden-1", "hidden-2", "hidden-3", "hidden-4", "alice", "12345"] {
        assert!(!masked.contains(hidden), "{hidden} in\n{masked}");
    }
    for shown in ["127.0.0.1:0", "HMAC_SECRET", "- hmac", "x-api-key", "http://a", "builtin: echo", "***2"] {
        assert!(masked.contains(shown), "no {shown} in\n{masked}");
    }
}

#[test]
fn huge_and_hostile_texts_are_errors() {
    let nested = |open: &str, count: usize| format!("plugins: {}", open.repeat(count));
    let strings = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a, ".repeat(100));
    let texts = [
        ("is larger than 4 MiB", "a".repeat(MAX_FILE_SIZE + 1)),
        ("more than 500000", format!("[{}]", "a,".repeat(600_000))),
        ("nested more than 64", nested("[", 100_000)),
        ("nested more than 64", nested("{ a: ", 100_000)),
        ("nested more than 64", nested("- ", 100_000).replace("plugins: ", "")),
        ("too large", strings),
        ("inside what it refers to", "a: &a [*a]".to_owned()),
    ];
    for (expected, text) in texts {
        let said = parse("big.yaml", &text).expect_err("an error").to_string();
        assert!(said.contains(expected) && said.len() < 2000, "{expected}: {said}");
    }
}

#[test]
fn a_report_has_an_end() {
    let routes = "- { upstream: usres, timeout: never, chain: none }\n".repeat(5000);
    let text = format!("listeners: [{{ address: '127.0.0.1:0' }}]\nroutes:\n{routes}");
    let report = parse("many.yaml", &text).expect_err("errors");
    assert!(report.len() <= MAX_PROBLEMS, "{}", report.len());
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = std::env::temp_dir().join(format!("gofe-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let missing = load(&folder.join("missing.yaml")).expect_err("no file").to_string();
    assert!(missing.contains("missing.yaml: cannot be read: No such file"), "{missing}");
    assert!(load(&folder).expect_err("a folder").to_string().contains("cannot be read"));
    let path = folder.join("latin.yaml");
    std::fs::write(&path, b"workers: 2\n# caf\xe9\n").expect("a file");
    assert!(load(&path).expect_err("not UTF-8").to_string().contains("line 2 has a byte"));
    std::fs::write(&path, DESIGN).expect("a file");
    let source = load(&path).expect("a configuration").config.plugins["tenant"].source.clone();
    assert_eq!(source, PluginSource::File(folder.join("plugins/tenant.wasm")));
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
}

#[test]
fn damaged_text_is_an_error_and_nothing_worse() {
    let text = golden("complete.yaml");
    let pieces =
        [":", "- ", "{", "}", "[", "]", "*a", "&a ", "\n", "  ", "\"", "'", "!t ", "|", ">", "#", "\t", "<<: ", "ü"];
    let mut seed = 1_u64;
    for _ in 0..3000 {
        let mut damaged = text.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = usize::try_from(seed >> 33).unwrap_or_default();
            let places: Vec<usize> = damaged.char_indices().map(|(place, _)| place).collect();
            let place = places[number % places.len()];
            match number % 3 {
                0 => damaged.insert_str(place, pieces[number / 7 % pieces.len()]),
                1 => _ = damaged.remove(place),
                _ => damaged.truncate(damaged.len().min(place + 200)),
            }
        }
        if let Err(report) = parse("damaged.yaml", &damaged) {
            assert!(report.has_errors() && !report.to_string().is_empty());
        }
    }
}

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    std::fs::read_to_string(path).expect("the reference")
}

#[test]
fn the_example_of_the_reference_is_right() {
    let text = reference();
    let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(loaded(example).warnings.to_string(), "");
}

#[test]
fn the_reference_has_every_key() {
    let map = "{ qqqqqqqq: 1 }";
    let text = format!(
        "qqqqqqqq: 1\nlisteners: [{map}, {{ proxy-protocol: {map}, trusted-proxies: {map} }}, {{ tcp: {map} }}, {{ tcp: {{ server-names: [{map}] }} }}, {{ tls: {map}, redirect-to-https: {map}, hsts: {map} }}, \
         {{ tls: {{ certificates: [{map}], client-certificates: {map}, acme: {map} }} }}]\nadmin: {map}\nlimits: {map}\ntimeouts: {map}\nlog: {map}\nsecrets: {{ a: {map} }}\n\
         plugins: {{ a: {map}, b: {{ limits: {map}, allow: {map} }}, c: {{ allow: {{ http: {map} }} }} }}\n\
         routes: [{map}, {{ match: {map}, respond: {map}, redirect: {map}, rewrite: {map}, request-headers: {map}, upstreams: [{map}], sticky: {map}, \
         fault: {map}, mirror: {map}, fallback: {map} }}, {{ fault: {{ delay: {map}, abort: {map} }}, match: {{ path: {map}, headers: {{ a: {map} }} }} }}]\nupstreams: {{ a: {map}, b: {{ endpoints: [{map}] }}, \
         c: {{ tls: {map}, retry: {map}, retry-budget: {map}, hedge: {map}, circuit-breaker: {map}, limits: {map}, \
         adaptive-concurrency: {map} }}, d: {{ tls: {{ client-certificate: {map} }}, retry: {{ backoff: {map} }} }}, \
         e: {{ balance: {map}, discovery: {map}, health: {map}, outlier-detection: {map} }}, \
         f: {{ balance: {{ key: {map} }}, discovery: {{ dns: {map} }}, health: {{ http: {map}, grpc: {map} }}, \
         outlier-detection: {{ success-rate: {map}, latency: {map} }} }}, \
         g: {{ balance: {{ key: {{ cookie: {map} }} }} }} }}"
    );
    let (reference, mut count) = (reference(), 0);
    for diagnostic in &parse("keys.yaml", &text).expect_err("unknown keys") {
        let help = diagnostic.help.as_deref().unwrap_or_default();
        let Some(keys) = help.strip_prefix("the keys here are ") else { continue };
        count += 1;
        for key in keys.split(", ") {
            assert!(reference.contains(&format!("| `{key}` |")), "`{key}` of {} is not there", diagnostic.path);
        }
    }
    assert_eq!(count, 58, "a structure is not in this test");
}
