//! Keys of a plugin that mean nothing to the ABI of its code: they are refused when the file is loaded, each at its place.

use crate::harness::{check, guest};

fn refused(plugin: &str, keys: &[&str]) -> Vec<String> {
    let lines = keys.iter().map(|key| format!("    {key}\n")).collect::<String>();
    let checked = check(&format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nsecrets: {{ s: {{ env: HOME }} }}\nplugins:\n  p:\n    source: \"file:{}\"\n\
         {lines}chains: {{ c: [p] }}\nroutes: [{{ chain: c, respond: {{ status: 200 }} }}]\n",
        guest(plugin).display()
    ));
    assert_eq!(checked.status.code(), Some(1), "{plugin}: {}", checked.stdout);
    checked.stderr.lines().map(str::to_owned).collect()
}

/// Each of these keys of this plugin is refused on its own line, which is the fifth for the first of them.
fn assert_each_refused(plugin: &str, keys: &[(&str, &str)]) {
    let said = refused(plugin, &keys.iter().map(|(line, _)| *line).collect::<Vec<_>>());
    for (number, (line, key)) in keys.iter().enumerate() {
        let place = format!("gofe.yaml:{}:", number + 6);
        let wanted = format!("`{key}` has no effect on a plugin of ");
        assert!(said.iter().any(|said| said.contains(&place) && said.contains(&wanted)), "{plugin} {line}: {said:#?}");
    }
}

#[test]
fn keys_without_effect_on_an_abi_are_refused_all_at_once() {
    let vm = ("vm: { id: a }", "vm");
    assert_each_refused("http-wasm", &[vm, ("allow: { metrics: true }", "metrics")]);
    assert_each_refused(
        "proxy-wasm",
        &[("instance: per-call", "instance"), ("allow: { key-value: true }", "key-value")],
    );
    assert_each_refused("proxy-wasm", &[("allow: { secrets: [s] }", "secrets")]);
    assert_each_refused(
        "wasi-middleware",
        &[vm, ("limits: { body: 1KiB }", "body"), ("allow: { output: stdout }", "output")],
    );
    assert_each_refused("probe", &[vm]);
    for grant in ["http: [a.internal]", "key-value: true", "secrets: [s]", "output: stderr"] {
        let key = grant.split_once(':').unwrap().0;
        assert_each_refused("http-wasm", &[(&format!("allow: {{ {grant} }}"), key)]);
    }
}

#[test]
fn a_grant_that_is_not_given_needs_no_use() {
    let checked = check(&format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\n\
         plugins: {{ p: {{ source: \"file:{}\", allow: {{ metrics: false, secrets: [] }} }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ chain: c, respond: {{ status: 200 }} }}]\n",
        guest("http-wasm").display()
    ));
    assert!(checked.status.success(), "{}", checked.stderr);
}
