//! `examples/four-abis.yaml`: plugins of four ABIs in one chain, by a plain client, under load, and swapped under load.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gofe, KeepAlive, guest};

/// The plugins of the example: the file of each, and the field by which the upstream knows that it ran.
const PLUGINS: [(&str, &str); 4] = [
    ("example-add-header", r#""x-own":"seen""#),
    ("example-proxy-wasm-header", r#""x-proxy-wasm":"seen""#),
    ("example-http-wasm-header", r#""x-http-wasm":"seen""#),
    ("wasi-middleware", r#""x-request":"marked""#),
];
/// How often each is swapped.
const SWAPS: u32 = 5;

/// The example as it is, but for the address; its plugins lie beside it.
fn start() -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in PLUGINS {
        std::fs::copy(guest(name), folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    let yaml = include_str!("../../examples/four-abis.yaml");
    let yaml = yaml.replace("listeners:\n  - address: 127.0.0.1:8080\n", "").replace("../target/guests/", "");
    Gofe::start_in(folder, &yaml)
}

/// Every plugin has seen the request.
fn assert_whole(said: &str) {
    for (name, field) in PLUGINS {
        assert!(said.contains(field), "{name} did not see it: {said}");
    }
}

#[test]
fn plugins_of_four_abis_serve_a_plain_client_in_one_chain() {
    let gofe = start();
    let output = Command::new("curl").args(["-sS", "--fail", &format!("http://{}/", gofe.address)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_whole(&String::from_utf8(output.stdout).unwrap());
    let abis = gofe.ask("/plugins").body;
    for abi in ["gofe:plugin@0.1", "proxy-wasm@0.2.1", "http-wasm@1", "wasi:http/middleware@0.3"] {
        assert!(abis.contains(abi), "{abi}: {abis}");
    }
}

fn generation(gofe: &Gofe) -> u64 {
    gofe.ask("/config").json()["generation"].as_u64().unwrap()
}

/// Another version of a plugin: the same with a section that says so, behind what is there.
fn version(module: &[u8], number: u8) -> Vec<u8> {
    // A custom section (0) of 9 bytes: a name of 7, and the number.
    [module, &[0, 9, 7], b"version", &[number]].concat()
}

/// Puts a file in the place of another, as deployments do, and waits until it serves.
fn swap(gofe: &Gofe, file: &Path, bytes: &[u8]) {
    let before = generation(gofe);
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(temporary, file).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while generation(gofe) == before {
        assert!(Instant::now() < end, "{} was not swapped", file.display());
    }
}

#[test]
fn each_of_four_abis_is_swapped_under_load_without_a_failed_request() {
    let gofe = start();
    let stop = AtomicBool::new(false);
    let client = || {
        let (mut client, mut requests) = (KeepAlive::connect(gofe.address), 0_u32);
        while !stop.load(Ordering::Relaxed) {
            let answer = client.get("/", &[]);
            assert_eq!(answer.status, 200, "{}", answer.head);
            assert_whole(&answer.body);
            requests += 1;
        }
        requests
    };
    thread::scope(|scope| {
        let clients = [(); 4].map(|()| scope.spawn(client));
        for (name, _) in PLUGINS {
            let (file, module) = (gofe.folder().join(format!("{name}.wasm")), std::fs::read(guest(name)).unwrap());
            for number in 1..=SWAPS {
                swap(&gofe, &file, &version(&module, u8::try_from(number).unwrap()));
            }
        }
        stop.store(true, Ordering::Relaxed);
        let requests: u32 = clients.into_iter().map(|client| client.join().expect("no request fails")).sum();
        assert!(requests > SWAPS * 4, "{requests} requests");
    });
}

/// What a load generator of others says of the chain, where it is installed: Debian has it in `nghttp2-client`.
#[test]
fn four_abis_answer_every_request_of_h2load() {
    let gofe = start();
    for protocol in [&["--h1"][..], &[]] {
        let mut command = Command::new("h2load");
        command.args(protocol).args(["-n", "2000", "-c", "8", "-m", "4", &format!("http://{}/", gofe.address)]);
        let Ok(output) = command.output() else {
            eprintln!("h2load is not installed: left out");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
        assert!(said.contains("status codes: 2000 2xx"), "{said}");
    }
}
