//! What a plugin gets from its host, through a guest, end to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Response;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::harness::{Gofe, KeepAlive, Upstream, full, get, guest};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["probe", "wasi"] {
        std::fs::copy(guest(name), folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    folder
}

/// gofe with the guest `probe` under these settings, in front of a route that says `through`.
fn probing(settings: &str) -> Gofe {
    let yaml = format!(
        "secrets: {{ granted: {{ file: secret }}, other: {{ file: secret }} }}\n\
         plugins: {{ p: {{ source: file:probe.wasm, {settings} }} }}\nchains: {{ c: [p] }}\n\
         routes: [{{ name: r, chain: c, respond: {{ status: 200, body: through }} }}]\n"
    );
    let folder = folder();
    std::fs::write(folder.path().join("secret"), "mellon").unwrap();
    Gofe::start_in(folder, &yaml)
}

/// What the guest says to this command.
fn probe(gofe: &Gofe, command: &str) -> String {
    let answer = get(gofe.address, "/", &[("x-probe", command)]);
    assert_eq!(answer.status, 200, "{command}: {}", answer.body);
    answer.body
}

fn assert_says(answer: &str, word: &str) {
    assert!(answer.contains(word), "{answer}");
}

/// An upstream that holds its answers back until it gets permits, and how many requests it has seen.
fn held_back() -> (Upstream, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (permits, counted) = (gate.clone(), seen.clone());
    let upstream = Upstream::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    });
    (upstream, gate, seen)
}

#[test]
fn a_method_is_any_token_but_for_the_one_that_makes_a_tunnel() {
    let gofe = probing("");
    assert_eq!(probe(&gofe, "method PURGE"), " PURGE");
    for name in ["CONNECT", "a,b"] {
        assert_eq!(probe(&gofe, &format!("method {name}")), "invalid GET", "{name}");
    }
}

#[test]
fn the_key_value_store_is_shared_by_workers_and_must_be_granted() {
    let gofe = probing("allow: { key-value: true }");
    assert_eq!(probe(&gofe, "key-value get k"), "Ok(None)");
    assert_eq!(probe(&gofe, "key-value set k v"), "Ok(())");
    for _ in 0..20 {
        assert_eq!(probe(&gofe, "key-value get k"), "Ok(Some(\"v\"))");
    }
    assert_eq!(probe(&gofe, "key-value delete k"), "Ok(())");
    assert_eq!(probe(&gofe, "key-value get k"), "Ok(None)");
    let gofe = probing("allow: {}");
    assert_says(&probe(&gofe, "key-value get k"), "denied");
    assert_says(&probe(&gofe, "key-value set k v"), "denied");
}

#[test]
fn the_state_of_a_plugin_outlives_a_swap() {
    let gofe = probing("allow: { key-value: true }");
    probe(&gofe, "key-value set k kept");
    probe(&gofe, "limiter add n 5");
    let yaml = std::fs::read_to_string(gofe.folder().join("gofe.yaml")).unwrap();
    gofe.write(&yaml.replace("key-value: true", "key-value: true, metrics: true"));
    while probe(&gofe, "metrics add now").contains("denied") {}
    assert_eq!(probe(&gofe, "key-value get k"), "Ok(Some(\"kept\"))");
    assert_eq!(probe(&gofe, "limiter get n"), "5");
}

#[test]
fn the_limiter_counts_for_all_workers() {
    let gofe = probing("allow: {}");
    let allowed = (0..20).filter(|_| probe(&gofe, "limiter take bucket 1").starts_with("allowed=true")).count();
    assert_eq!(allowed, 5, "the bucket holds five");
    assert_eq!(probe(&gofe, "limiter add c 7"), "7");
    assert_eq!(probe(&gofe, "limiter add c -2"), "5");
    assert_eq!(probe(&gofe, "limiter get c"), "5");
    assert_eq!(probe(&gofe, "limiter get unknown"), "0");
}

#[test]
fn metrics_of_a_plugin_are_in_the_metrics_of_gofe() {
    let gofe = probing("allow: { metrics: true }");
    assert_eq!(probe(&gofe, "metrics add things"), "Ok(())");
    assert_eq!(probe(&gofe, "metrics add things"), "Ok(())");
    assert_eq!(probe(&gofe, "metrics set level"), "Ok(())");
    assert_eq!(probe(&gofe, "metrics observe wait"), "Ok(())");
    assert_says(&probe(&gofe, "metrics add 0-bad"), "invalid");
    let metrics = gofe.ask("/metrics").body;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains("plugin=\"p\""));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned())
    };
    assert_eq!(value("gofe_plugin_things_total{").as_deref(), Some("6"), "{metrics}");
    assert_eq!(value("gofe_plugin_level{").as_deref(), Some("2.5"), "{metrics}");
    assert_eq!(value("gofe_plugin_wait_count{").as_deref(), Some("1"), "{metrics}");
    assert_says(&probe(&probing("allow: {}"), "metrics add things"), "denied");
}

#[test]
fn a_secret_is_given_to_whom_it_is_granted_only() {
    let gofe = probing("allow: { secrets: [granted] }");
    assert_eq!(probe(&gofe, "secrets granted"), "Ok(\"mellon\")");
    assert_says(&probe(&gofe, "secrets other"), "denied");
    assert_says(&probe(&gofe, "secrets unknown"), "denied");
}

#[test]
fn output_log_clock_and_random_work() {
    let gofe = probing("allow: { output: stdout }");
    assert_eq!(probe(&gofe, "output a-line"), "true");
    while gofe.stdout() != "a-line\n" {
        assert!("a-line\n".starts_with(&gofe.stdout()), "{}", gofe.stdout());
    }
    probe(&gofe, "log from-the-guest");
    let line = gofe.logged("from-the-guest");
    assert!(line.contains("\"plugin\":\"p\"") && line.contains("\"route\":\"r\""), "{line}");
    assert_eq!(probe(&gofe, "clock"), "true");
    assert_eq!(probe(&gofe, "random"), "true");
}

#[test]
fn a_plugin_calls_hosts_that_are_granted_and_no_others() {
    let (granted, other) = (Upstream::text("hello"), Upstream::text("never"));
    let gofe = probing(&format!("allow: {{ http: ['{}'] }}", granted.address));
    assert_eq!(probe(&gofe, &format!("allowed http://{}/", granted.address)), "true");
    assert_eq!(probe(&gofe, &format!("outbound http://{}/path", granted.address)), "200 hello");
    assert_eq!(probe(&gofe, &format!("allowed http://{}/", other.address)), "false");
    assert_says(&probe(&gofe, &format!("outbound http://{}/", other.address)), "Denied");
    assert_says(&probe(&gofe, "outbound file:///etc/passwd"), "Invalid");
    let gone = granted.address;
    drop(granted);
    while !probe(&gofe, &format!("outbound http://{gone}/")).contains("Unreachable") {}
}

#[test]
fn a_slow_callout_is_not_the_plugins_time_and_holds_up_nobody() {
    let (slow, gate, seen) = held_back();
    let yaml = format!("limits: {{ time: 100ms }}, allow: {{ http: {{ hosts: ['{}'], timeout: 20s }} }}", slow.address);
    let gofe = probing(&yaml);
    let mut calling = KeepAlive::connect(gofe.address);
    calling.send(format!("GET / HTTP/1.1\r\nhost: test\r\nx-probe: outbound http://{}/\r\n\r\n", slow.address));
    while seen.load(Ordering::SeqCst) == 0 {}
    // On both workers, whichever has the caller, and for longer than the plugin's time.
    for _ in 0..500 {
        assert_eq!(get(gofe.address, "/", &[]).body, "through");
    }
    gate.add_permits(1);
    assert_eq!(calling.answer().unwrap().body, "200 at last");
    assert_eq!(gofe.ask("/plugins").json()[0]["faults"], serde_json::json!({}));
    // The plugin's own limit ends a call that does not.
    assert_says(&probe(&gofe, &format!("outbound http://{}/ 50", slow.address)), "Timeout");
}

#[test]
fn ticks_run_in_one_worker_only() {
    // The first plugin's tick calls out and is kept waiting. A second worker would tick, and call, too; the ticks of the
    // second plugin say that there was time for it.
    let (slow, gate, seen) = held_back();
    let yaml = format!(
        "workers: 2\nplugins:\n\
         \x20 held: {{ source: file:probe.wasm, allow: {{ http: {{ hosts: ['{0}'], timeout: 60s }} }}, \
         config: {{ tick: 1, call: 'outbound http://{0}/' }} }}\n\
         \x20 free: {{ source: file:probe.wasm, config: {{ tick: 1 }} }}\n\
         chains: {{ h: [held], f: [free] }}\nroutes:\n\
         \x20 - {{ match: {{ path: /held }}, chain: h, respond: {{ status: 200 }} }}\n\
         \x20 - {{ match: {{ path: /free }}, chain: f, respond: {{ status: 200 }} }}\n",
        slow.address
    );
    let gofe = Gofe::start_in(folder(), &yaml);
    let ticks = |path| get(gofe.address, path, &[("x-probe", "limiter get ticks")]).body.parse::<usize>().unwrap();
    while seen.load(Ordering::SeqCst) == 0 {}
    let before = ticks("/free");
    while ticks("/free") < before + 50 {}
    assert_eq!((seen.load(Ordering::SeqCst), ticks("/held")), (1, 1));
    gate.add_permits(1);
    while ticks("/held") < 2 {}
    // A reload without the plugin ends its timer.
    let yaml = std::fs::read_to_string(gofe.folder().join("gofe.yaml")).unwrap();
    gofe.write(&yaml.replace("config: { tick: 1 }", "config: { tick: 0 }"));
    gofe.logged("put into service");
    let after = ticks("/free");
    gate.add_permits(20);
    while ticks("/held") < 10 {}
    assert!(ticks("/free") <= after + 1, "one that was under way at most");
}

#[test]
fn a_guest_for_wasi_prints_to_the_log_and_sees_nothing_of_the_machine() {
    let yaml = "plugins: { w: { source: file:wasi.wasm } }\nchains: { c: [w] }\n\
                routes: [{ chain: c, respond: { status: 200 } }]\n";
    let gofe = Gofe::start_in(folder(), yaml);
    let answer = get(gofe.address, "/here", &[]);
    assert_eq!(answer.header("x-sandbox"), Some("file=false variables=0 socket=false"), "{}", answer.head);
    for stream in ["stdout of /here", "stderr of /here"] {
        let line = gofe.logged(stream);
        assert!(line.contains("\"plugin\":\"w\""), "{line}");
    }
    assert_eq!(gofe.stdout(), "");
}
