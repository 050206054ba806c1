//! The swap: new plugins and new configurations while traffic flows.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Gofe, KeepAlive, Upstream, get, guest};

/// The guest `version` that says this number.
fn version(number: usize) -> Vec<u8> {
    const MARK: &[u8] = b"version-00000000";
    let mut module = std::fs::read(guest("version")).unwrap();
    let at = module.windows(MARK.len()).position(|window| window == MARK).unwrap();
    module[at..at + MARK.len()].copy_from_slice(says(number).as_bytes());
    module
}

fn says(number: usize) -> String {
    format!("version-{number:08}")
}

/// Puts another plugin in the place of the file, as deployments do.
fn replace(file: &Path, number: usize) {
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, version(number)).unwrap();
    std::fs::rename(temporary, file).unwrap();
}

fn yaml(upstream: SocketAddr) -> String {
    format!(
        "plugins: {{ v: {{ source: file:v.wasm }} }}\nchains: {{ c: [v] }}\nroutes: [{{ chain: c, upstream: up }}]\n\
         upstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\n"
    )
}

/// A folder with the plugin in its first version, and a place for compiled code.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cache")).unwrap();
    std::fs::write(folder.path().join("v.wasm"), version(1)).unwrap();
    folder
}

/// Asks until the answer has this version, and fails where an answer fails.
fn until_version(client: &mut KeepAlive, number: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    let wanted = says(number);
    loop {
        let answer = client.get("/", &[]);
        assert_eq!(answer.status, 200, "{}", answer.head);
        if answer.header("x-version") == Some(&wanted) {
            return;
        }
        assert!(Instant::now() < end, "still {:?} and not {wanted}", answer.header("x-version"));
    }
}

fn generation(gofe: &Gofe) -> u64 {
    gofe.ask("/config").json()["generation"].as_u64().unwrap()
}

/// Memory goes up and down all the time, by compilations in progress; what must not move is the middle of the samples,
/// from the first half of them to the second, by more than 5 %.
fn assert_flat(samples: &[u64]) {
    let middle = |samples: &[u64]| {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let (first, second) = samples.split_at(samples.len() / 2);
    let (first, second) = (middle(first), middle(second));
    assert!(first.abs_diff(second) * 20 <= first, "resident memory is not flat, in KiB: {samples:?}");
}

/// A client that asks all the time, and what it saw.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<std::thread::JoinHandle<(usize, BTreeSet<String>)>>,
}

impl Load {
    fn on(address: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut client = KeepAlive::connect(address);
                let (mut requests, mut seen) = (0, BTreeSet::new());
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/", &[]);
                    assert_eq!((answer.status, &*answer.body), (200, "hello"), "{}", answer.head);
                    seen.insert(answer.header("x-version").unwrap().to_owned());
                    requests += 1;
                }
                (requests, seen)
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, clients }
    }

    /// Requests, and the versions that answered them.
    fn stop(self) -> (usize, BTreeSet<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.clients.into_iter().map(|client| client.join().expect("no request fails"));
        ended.fold((0, BTreeSet::new()), |(all, mut versions), (requests, seen)| {
            versions.extend(seen);
            (all + requests, versions)
        })
    }
}

#[test]
fn a_thousand_swaps_under_load_fail_no_request_and_leave_memory_flat() {
    const SWAPS: usize = 1000;
    let upstream = Upstream::text("hello");
    let gofe = Gofe::start_in(folder(), &yaml(upstream.address));
    let load = Load::on(gofe.address, 2);
    let mut client = KeepAlive::connect(gofe.address);
    let file = gofe.folder().join("v.wasm");
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for number in 2..SWAPS + 2 {
        replace(&file, number);
        let written = Instant::now();
        until_version(&mut client, number);
        times.push(written.elapsed());
        if number > SWAPS / 2 && number % 10 == 0 {
            memory.push(gofe.resident());
        }
    }
    let (requests, versions) = load.stop();
    times.sort();
    println!(
        "{SWAPS} swaps, {requests} requests: file written to first answer p50 {:?}, p99 {:?}; {} KiB",
        times[SWAPS / 2],
        times[SWAPS * 99 / 100],
        gofe.resident()
    );
    assert!(versions.len() > SWAPS / 2, "the load saw only {} versions", versions.len());
    assert_flat(&memory);
    let engine = std::fs::read_dir(gofe.folder().join("cache/gofe")).unwrap().next().unwrap().unwrap();
    let compiled = std::fs::read_dir(engine.path()).unwrap().count();
    assert!((1..200).contains(&compiled), "{compiled} files of compiled code are left");
}

#[test]
fn two_thousand_reloads_leave_memory_flat() {
    const RELOADS: usize = 2000;
    let yaml = |number: usize| {
        format!(
            "plugins: {{ k: {{ source: std:api-key, config: {{ keys: {{ key-{number:04}: alice }} }} }} }}\n\
             chains: {{ c: [k] }}\nroutes: [{{ chain: c, respond: {{ status: 200 }} }}]\n"
        )
    };
    let gofe = Gofe::start(&yaml(0));
    let mut admin = KeepAlive::connect(gofe.admin);
    let mut client = KeepAlive::connect(gofe.address);
    let mut memory = Vec::new();
    for number in 1..=RELOADS {
        gofe.write(&yaml(number));
        let answer = admin.request("POST", "/reload", &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let key = format!("key-{number:04}");
        assert_eq!(client.get("/", &[("x-api-key", &key)]).status, 200, "reload {number}");
        if number > RELOADS / 2 && number % 20 == 0 {
            memory.push(gofe.resident());
        }
    }
    assert_flat(&memory);
}

#[test]
fn a_plugin_file_is_taken_up_however_it_changes() {
    let upstream = Upstream::text("hello");
    let gofe = Gofe::start_in(folder(), &yaml(upstream.address));
    let mut client = KeepAlive::connect(gofe.address);
    let file = gofe.folder().join("v.wasm");
    until_version(&mut client, 1);
    // Written over in place.
    std::fs::write(&file, version(2)).unwrap();
    until_version(&mut client, 2);
    // Another renamed to its place.
    replace(&file, 3);
    until_version(&mut client, 3);
    // Removed, and there again.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, version(4)).unwrap();
    until_version(&mut client, 4);
    // A link in its place, switched, and its target written.
    let link = |number: usize| {
        let target = gofe.folder().join(format!("release-{number}.wasm"));
        std::fs::write(&target, version(number)).unwrap();
        std::os::unix::fs::symlink(&target, gofe.folder().join("link")).unwrap();
        std::fs::rename(gofe.folder().join("link"), &file).unwrap();
        target
    };
    link(5);
    until_version(&mut client, 5);
    let target = link(6);
    until_version(&mut client, 6);
    std::fs::write(target, version(7)).unwrap();
    until_version(&mut client, 7);
}

#[test]
fn a_mounted_folder_that_kubernetes_switches_is_taken_up() {
    let upstream = Upstream::text("hello");
    let folder = folder();
    let mount = folder.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    let switch = |number: usize| {
        let release = mount.join(format!("..{number}"));
        std::fs::create_dir(&release).unwrap();
        std::fs::write(release.join("v.wasm"), version(number)).unwrap();
        std::os::unix::fs::symlink(&release, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    switch(1);
    std::os::unix::fs::symlink("..data/v.wasm", mount.join("v.wasm")).unwrap();
    let gofe = Gofe::start_in(folder, &yaml(upstream.address).replace("file:v.wasm", "file:mount/v.wasm"));
    let mount = gofe.folder().join("mount");
    let mut client = KeepAlive::connect(gofe.address);
    for number in 2..5 {
        let release = mount.join(format!("..{number}"));
        std::fs::create_dir(&release).unwrap();
        std::fs::write(release.join("v.wasm"), version(number)).unwrap();
        std::os::unix::fs::symlink(&release, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        until_version(&mut client, number);
    }
}

#[test]
fn a_burst_of_writes_is_few_reloads() {
    let upstream = Upstream::text("hello");
    let gofe = Gofe::start_in(folder(), &yaml(upstream.address));
    let modules: Vec<_> = (2..22).map(version).collect();
    for module in modules {
        std::fs::write(gofe.folder().join("v.wasm"), module).unwrap();
    }
    until_version(&mut KeepAlive::connect(gofe.address), 21);
    let reloads = generation(&gofe) - 1;
    assert!(reloads <= 10, "20 writes made {reloads} reloads");
}

#[test]
fn sighup_reads_what_is_not_watched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("probe"), folder.path().join("p.wasm")).unwrap();
    std::fs::write(folder.path().join("secret"), "first").unwrap();
    let yaml = "secrets: { s: { file: secret } }\n\
                plugins: { p: { source: file:p.wasm, allow: { secrets: [s] } } }\n\
                chains: { c: [p] }\nroutes: [{ chain: c, respond: { status: 200 } }]\n";
    let gofe = Gofe::start_in(folder, yaml);
    let secret = || get(gofe.address, "/", &[("x-probe", "secrets s")]).body;
    assert_eq!(secret(), "Ok(\"first\")");
    std::fs::write(gofe.folder().join("secret"), "second").unwrap();
    gofe.signal("HUP");
    gofe.logged("\"trigger\":\"Signal\"");
    assert_eq!(secret(), "Ok(\"second\")");
}

#[test]
fn a_body_in_flight_finishes_on_the_configuration_it_began_with() {
    let folder = folder();
    let before = "plugins: { v: { source: file:v.wasm } }\nchains: { c: [v] }\n\
                  routes: [{ chain: c, upstream: demo }]\nupstreams: { demo: { builtin: echo } }\n";
    let gofe = Gofe::start_in(folder, before);
    let mut begun = KeepAlive::connect(gofe.address);
    begun.send("POST /begun HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nfirst");
    let begun_requests = || {
        let metrics = gofe.ask("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("gofe_requests_active{"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).unwrap_or_else(|| panic!("{metrics}"))
    };
    until(|| begun_requests() >= 1.0);
    gofe.write("routes: [{ respond: { status: 410 } }]\n");
    until(|| get(gofe.address, "/", &[]).status == 410);
    begun.send("secnd");
    let answer = begun.answer().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["body"], "firstsecnd");
    assert_eq!(answer.header("x-version"), Some(&*says(1)));
    // The next request on that connection has the new one.
    assert_eq!(begun.get("/", &[]).status, 410);
}

/// Waits for what must become true.
fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "it did not become true");
        std::thread::yield_now();
    }
}

/// The files with compiled code below the folder's cache.
fn compiled(folder: &Path) -> usize {
    let engines = std::fs::read_dir(folder.join("cache/gofe")).unwrap();
    let files = engines.flat_map(|engine| std::fs::read_dir(engine.unwrap().path()).unwrap());
    files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "cwasm")).count()
}

#[test]
fn code_that_came_by_a_swap_is_kept_for_the_next_start() {
    let upstream = Upstream::text("hello");
    let gofe = Gofe::start_in(folder(), &yaml(upstream.address));
    assert_eq!(compiled(gofe.folder()), 1);
    replace(&gofe.folder().join("v.wasm"), 2);
    until_version(&mut KeepAlive::connect(gofe.address), 2);
    // The swap does not wait for it.
    until(|| compiled(gofe.folder()) == 2);
}

#[test]
fn rollback_brings_the_old_plugin_back() {
    let upstream = Upstream::text("hello");
    let gofe = Gofe::start_in(folder(), &yaml(upstream.address));
    let mut client = KeepAlive::connect(gofe.address);
    for number in 2..4 {
        replace(&gofe.folder().join("v.wasm"), number);
        until_version(&mut client, number);
    }
    let serving = generation(&gofe);
    let answer = gofe.tell("/rollback");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(client.get("/", &[]).header("x-version"), Some(&*says(2)));
    assert!(generation(&gofe) > serving);
    let answer = gofe.tell("/rollback?generation=1");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(client.get("/", &[]).header("x-version"), Some(&*says(1)));
    assert_eq!(gofe.tell("/rollback?generation=999").status, 404);
}

#[test]
fn a_rollback_to_a_plugin_in_another_folder_stays() {
    let folder = tempfile::tempdir().unwrap();
    for (name, number) in [("old", 1), ("new", 2)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("v.wasm"), version(number)).unwrap();
    }
    let upstream = Upstream::text("hello");
    let in_folder = |name: &str| yaml(upstream.address).replace("file:v.wasm", &format!("file:{name}/v.wasm"));
    let gofe = Gofe::start_in(folder, &in_folder("old"));
    let mut client = KeepAlive::connect(gofe.address);
    gofe.write(&in_folder("new"));
    until_version(&mut client, 2);
    assert_eq!(gofe.tell("/rollback").status, 200);
    // Changes are carried out one after another: when this one is answered, whatever followed the rollback is over.
    assert_eq!(gofe.tell("/rollback?generation=999").status, 404);
    assert_eq!(client.get("/", &[]).header("x-version"), Some(&*says(1)));
}

#[test]
fn the_history_keeps_twenty_and_mistakes_do_not_push_out_what_served() {
    let good = "routes: [{ respond: { status: 200, body: good } }]\n";
    let gofe = Gofe::start("routes: [{ respond: { status: 200, body: first } }]\n");
    gofe.write(good);
    until(|| get(gofe.address, "/", &[]).body == "good");
    gofe.write("nonsense: true\n");
    for _ in 0..30 {
        assert_eq!(gofe.tell("/reload").status, 422);
    }
    let history = gofe.ask("/history").json();
    assert!(history.as_array().unwrap().len() <= 20, "{history}");
    assert!(history.as_array().unwrap().iter().any(|record| record["serving"] == true), "{history}");
    assert_eq!(gofe.tell("/rollback").status, 200);
    assert_eq!(get(gofe.address, "/", &[]).body, "first");
    gofe.write(good);
    for _ in 0..30 {
        assert_eq!(gofe.tell("/reload").status, 200);
    }
    assert_eq!(gofe.ask("/history").json().as_array().unwrap().len(), 20);
}

#[test]
fn a_listener_comes_and_goes_with_the_configuration() {
    let routes = "routes: [{ respond: { status: 200, body: here } }]\n";
    let gofe = Gofe::start(routes);
    gofe.write(&format!("listeners: [{{ address: '127.0.0.1:0' }}, {{ address: '127.0.0.2:0' }}]\n{routes}"));
    let line = gofe.logged("a listener was opened");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let second: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
    let mut kept = KeepAlive::connect(second);
    assert_eq!(kept.get("/", &[]).body, "here");
    gofe.write(routes);
    gofe.logged("a listener was closed");
    until(|| std::net::TcpStream::connect(second).is_err());
    assert_eq!(get(gofe.address, "/", &[]).body, "here");
}

#[test]
fn what_only_a_start_can_change_is_refused_at_a_reload() {
    let routes = "routes: [{ respond: { status: 200, body: here } }]\n";
    let gofe = Gofe::start(routes);
    gofe.write(&format!("workers: 3\n{routes}"));
    let answer = gofe.tell("/reload");
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("workers: the number of workers cannot be changed at a reload"), "{}", answer.body);
    let place = answer.body.lines().find(|line| line.contains("gofe.yaml:")).unwrap();
    assert!(place.contains(":4:10") || place.contains(":1:10"), "{}", answer.body);
    assert_eq!(get(gofe.address, "/", &[]).body, "here");
}

#[test]
fn connections_of_clients_and_to_upstreams_survive_reloads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut answers = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                    }
                }
            });
        }
    });
    let gofe = Gofe::start_in(folder(), &format!("workers: 1\n{}", yaml(address)));
    let mut client = KeepAlive::connect(gofe.address);
    for number in 2..12 {
        replace(&gofe.folder().join("v.wasm"), number);
        until_version(&mut client, number);
        assert_eq!(gofe.tell("/reload").status, 200);
    }
    assert_eq!(client.get("/", &[]).body, "ok");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
