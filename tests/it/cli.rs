//! The command line: what is printed, and how it exits.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{Check, Gofe, check, get, guest};

const ROUTE: &str = "routes: [{ chain: all, respond: { status: 200 } }]\nlisteners: [{ address: '127.0.0.1:0' }]\n";

/// Runs gofe to its end.
fn gofe(arguments: &[&str]) -> Output {
    Gofe::command().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `gofe check` of one plugin, whose source or configuration is this.
fn check_plugin(plugin: &str) -> Check {
    check(&format!("plugins: {{ p: {plugin} }}\nchains: {{ all: [p] }}\n{ROUTE}"))
}

#[track_caller]
fn refused(check: &Check, words: &[&str]) {
    assert_eq!(check.status.code(), Some(1), "{}", check.stdout);
    assert_eq!(check.stdout, "");
    for word in words {
        assert!(check.stderr.contains(word), "no {word:?} in\n{}", check.stderr);
    }
}

#[test]
fn every_example_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    gofe_certificates::examples(&folder.join("certificates")).unwrap();
    std::fs::copy(guest("example-hello"), folder.join("plugins/hello.wasm")).unwrap();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(!files.is_empty());
    for file in files {
        let output = gofe(&["check", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}: {}", file.display(), text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("{}: no mistakes\n", file.display()));
        // Three show where to put a plugin of the reader's own, and do without it until then.
        let own = ["waf", "auth", "audit"].map(|name| format!("plugins/{name}.wasm cannot be read"));
        let warnings = text(&output.stderr);
        let warnings: Vec<_> =
            warnings.lines().filter(|line| !own.iter().any(|own| line.contains(own.as_str()))).collect();
        assert!(warnings.is_empty(), "{} has warnings: {warnings:#?}", file.display());
    }
}

#[test]
fn the_version_and_the_help_are_printed() {
    let version = gofe(&["--version"]);
    assert!(version.status.success());
    assert_eq!(text(&version.stdout), format!("gofe {}\n", env!("CARGO_PKG_VERSION")));
    assert!(text(&gofe(&["--help"]).stdout).contains("check"));
    let wrong = gofe(&["rnu"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("rnu"), "{}", text(&wrong.stderr));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for command in ["check", "run"] {
        let output = gofe(&[command, "/nowhere/gofe.yaml"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("/nowhere/gofe.yaml"), "{}", text(&output.stderr));
    }
}

/// All instances that gofe would like to have room for take 16 TiB of addresses.
#[test]
fn few_addresses_mean_few_instances_and_no_refusal() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart.yaml");
    let limited = "ulimit -v 100000000 && exec \"$0\" check \"$1\"";
    let output = Command::new("sh").args(["-c", limited]).arg(Gofe::command().get_program()).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let broken = check(
        "listeners: [{ address: '127.0.0.1' }]
plugns: {}
routes:
  - { match: { path: /a }, upstream: usres }
  - { match: { path: /b }, chain: nothing, upstream: users, timeout: 5 }
upstreams:
  users: { endpoints: ['127.0.0.1:9000'], balnce: least-request }
",
    );
    refused(
        &broken,
        &[
            "gofe.yaml:1:24: listeners[0].address",
            "gofe.yaml:2:1: ",
            "unknown key `plugns`",
            "`plugins`",
            "gofe.yaml:4:38: routes[0].upstream: there is no upstream `usres`",
            "did you mean `users`?",
            "gofe.yaml:5:35: routes[1].chain",
            "routes[1].timeout",
            "unknown key `balnce`",
            "`balance`",
        ],
    );
}

#[test]
fn mistakes_that_plugins_find_are_located_in_the_file() {
    let broken = check(
        "listeners: [{ address: '127.0.0.1:0' }]
plugins:
  key:
    source: std:api-key
    config: { keys: { secret: alice }, realmm: x }
  limit:
    source: std:rate-limit
    config: { rate: fast }
  log:
    source: std:access-log
    config: { fields: [statsu] }
  jwt:
    source: std:jwt
    config: { jwks: { url: 'http://issuer.example/keys' } }
  canary:
    source: std:router
    config:
      rules:
        - { upstream: demo }
        - { upstream: nowhere }
chains: { all: [key, limit, log, jwt, canary] }
routes: [{ chain: all, upstream: demo }]
upstreams: { demo: { builtin: echo } }
",
    );
    refused(
        &broken,
        &[
            "gofe.yaml:5:48: plugins.key.config.realmm: unknown key `realmm`",
            "gofe.yaml:8:21: plugins.limit.config.rate",
            "gofe.yaml:11:24: plugins.log.config.fields[0]",
            "`status`",
            "plugins.jwt.config.jwks.url",
            "gofe.yaml:20:23: plugins.canary.config.rules[1].upstream: there is no upstream `nowhere`",
        ],
    );
}

#[test]
fn files_that_are_no_plugin_are_told_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let empty = file("empty.wasm", b"");
    let text = file("text.wasm", b"#!/bin/sh\n");
    let module = file("module.wasm", b"\0asm\x01\0\0\0");
    let component = file("component.wasm", b"\0asm\x0d\0\x01\0");
    let cut = file("cut.wasm", &std::fs::read(guest("version")).unwrap()[..2000]);
    let good = guest("version");
    let wrong = format!("{{ source: 'file:{}', digest: 'sha256:{}' }}", good.display(), "0".repeat(64));
    let mut said = std::collections::BTreeSet::new();
    for (plugin, words) in [
        (format!("{{ source: 'file:{}/gone.wasm' }}", folder.path().display()), "cannot be read"),
        (format!("{{ source: 'file:{}' }}", folder.path().display()), "cannot be read"),
        (format!("{{ source: 'file:{empty}' }}"), "empty"),
        (format!("{{ source: 'file:{text}' }}"), "WebAssembly"),
        (format!("{{ source: 'file:{module}' }}"), "world"),
        (format!("{{ source: 'file:{component}' }}"), ""),
        (format!("{{ source: 'file:{cut}' }}"), ""),
        (wrong, "has the digest sha256:"),
        ("{ source: std:api-kye }".to_owned(), "api-key"),
    ] {
        let check = check_plugin(&plugin);
        refused(&check, &["gofe.yaml:1:", "plugins.p", words]);
        said.insert(check.stderr.lines().next().unwrap().to_owned());
    }
    assert_eq!(said.len(), 9, "{said:#?}");
    assert!(check_plugin(&format!("{{ source: 'file:{}' }}", good.display())).status.success());
}

#[test]
fn what_does_not_fit_fail_open_is_a_warning() {
    let check = check_plugin("{ source: file:gone.wasm, on-error: fail-open }");
    assert!(check.status.success(), "{}", check.stderr);
    assert!(check.stderr.contains("gone.wasm") && check.stderr.contains("plugin `p`"), "{}", check.stderr);
}

#[test]
fn secrets_that_are_not_there_are_mistakes() {
    let secrets = "secrets: { a: { env: TEST_NO_SUCH_VARIABLE }, b: { file: nothing } }\n";
    let check =
        check(&format!("{secrets}plugins: {{ p: {{ source: std:access-log }} }}\nchains: {{ all: [p] }}\n{ROUTE}"));
    refused(&check, &["gofe.yaml:1:", "secrets.a", "TEST_NO_SUCH_VARIABLE", "secrets.b", "nothing"]);
}

#[test]
fn an_admin_token_is_there_and_not_empty() {
    let admin = |token: &str| {
        check(&format!(
            "admin: {{ address: '127.0.0.1:0', token: {token} }}\n{ANSWER}\
                                              listeners: [{{ address: '127.0.0.1:0' }}]\n"
        ))
    };
    refused(&admin("{ file: nothing }"), &["gofe.yaml:1:", "admin.token", "nothing cannot be read"]);
    refused(&admin("{ file: /dev/null }"), &["gofe.yaml:1:", "admin.token", "is empty"]);
}

/// Runs `gofe run` of a configuration that it must refuse.
#[track_caller]
fn refused_run(yaml: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gofe.yaml");
    std::fs::write(&file, yaml).unwrap();
    let output = gofe(&["run", file.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} not in\n{said}");
    assert!(!said.contains("gofe serves"), "{said}");
}

const ANSWER: &str = "routes: [{ respond: { body: here } }]\n";

#[test]
fn a_port_in_use_is_told_by_its_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let words = ["gofe.yaml:3:", "listeners[1].address", "in use"];
    refused_run(&format!("listeners:\n  - address: 127.0.0.1:0\n  - address: {address}\n{ANSWER}"), &words);
    let words = ["gofe.yaml:2:", "admin.address", "in use"];
    refused_run(
        &format!("listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '{address}' }}\n{ANSWER}"),
        &words,
    );
}

#[test]
fn two_gofes_do_not_share_a_port() {
    let first = Gofe::start(ANSWER);
    let words = ["gofe.yaml:1:", "listeners[0].address", "in use"];
    refused_run(&format!("listeners: [{{ address: '{}' }}]\n{ANSWER}", first.address), &words);
    assert!((0..8).all(|_| get(first.address, "/", &[]).body == "here"));
}

#[test]
fn a_log_filter_that_means_nothing_is_a_mistake() {
    let yaml = format!("log: {{ filter: 'gofe=loud' }}\nlisteners: [{{ address: '127.0.0.1:0' }}]\n{ANSWER}");
    refused(&check(&yaml), &["gofe.yaml:1:", "log.filter", "gofe=loud"]);
    refused_run(&yaml, &["gofe.yaml:1:", "log.filter", "gofe=loud"]);
}

#[test]
fn a_bad_filter_of_the_environment_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gofe.yaml");
    std::fs::write(&file, format!("listeners: [{{ address: '127.0.0.1:0' }}]\n{ANSWER}")).unwrap();
    let output = Gofe::command().env("GOFE_LOG", "gofe=loud").arg("run").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("GOFE_LOG") && said.contains("gofe=loud") && !said.contains("gofe.yaml"), "{said}");
}

#[test]
fn the_log_is_json_or_for_people() {
    let mut json = Gofe::start(ANSWER);
    json.signal("TERM");
    assert!(json.ended().success());
    json.logged("gofe ends");
    for line in json.log() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    // A configuration that cannot listen says why in plain words, also when the log is JSON.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let yaml = format!("log: {{ format: json }}\nlisteners:\n  - address: {address}\n{ANSWER}");
    refused_run(&yaml, &["error: ", "gofe.yaml:3:14: listeners[0].address: cannot listen on "]);
}
