//! The snapshot that a request pins, and the change to another.

use std::path::Path;
use std::sync::Arc;

use divan::{Bencher, black_box};
use gofe::reload;
use gofe::snapshot::{Builder, Live, Pinner, Resources};
use gofe::source::Bundle;

use crate::setup::{Setup, resources, work};

/// What a request does first and last.
#[divan::bench]
fn pin(bencher: Bencher<'_, '_>) {
    let setup = Setup::new();
    let live = Live::new(setup.snapshot(&resources(None), &work("nothing")));
    let pinner = Pinner::new(live);
    bencher.bench_local(|| drop(black_box(pinner.pin())));
}

/// From a changed plugin file to the snapshot that serves, where the code was compiled before.
#[divan::bench(sample_count = 50)]
fn swap_warm(bencher: Bencher<'_, '_>) {
    swap(bencher, 2);
}

/// The same where the code must be compiled.
#[divan::bench(sample_count = 20)]
fn swap_cold(bencher: Bencher<'_, '_>) {
    swap(bencher, u32::MAX);
}

/// Publishes one version of a plugin after the other; after so many, the first comes back.
fn swap(bencher: Bencher<'_, '_>, versions: u32) {
    let setup = Setup::new();
    let folder = setup.folder.path();
    let resources = resources(Some(folder.join("cache")));
    let code = std::fs::read(std::env::var_os("GOFE_BENCH_WORK").expect("run this by `cargo xtask bench micro`"));
    let code = code.expect("the plugin");
    let plugin = folder.join("plugin.wasm");
    version(&plugin, &code, 0);
    let file = setup.write("{ source: 'file:plugin.wasm', config: { do: nothing } }");
    let first = setup.runtime.block_on(reload::prepare(&file, &resources)).expect("the configuration is right");
    let live = Live::new(first.snapshot);
    let mut next = 0;
    let mut change = |measured: bool| {
        next = (next + 1) % versions;
        version(&plugin, &code, next);
        if !measured {
            publish(&setup, &file, &resources, &live);
        }
    };
    if versions < 10 {
        (0..versions).for_each(|_| change(false));
    }
    bencher.with_inputs(|| change(true)).bench_local_values(|()| publish(&setup, &file, &resources, &live));
}

/// Reads what is on the disk, builds a snapshot and lets it serve; the old one goes.
fn publish(setup: &Setup, file: &Path, resources: &Resources, live: &Live) {
    let bundle = Bundle::read(file).expect("the configuration is right");
    let running = live.current();
    let built = Builder::build(resources, Some(&running), &bundle.loaded, &bundle.code);
    let snapshot = setup.runtime.block_on(built).expect("the configuration is right");
    assert_ne!(snapshot.plugins["p"].since, running.plugins["p"].since, "the plugin is another one");
    drop(live.publish(Arc::new(snapshot)));
}

/// Writes the plugin with a number in a section of its own, so that it is another version to gofe.
fn version(file: &Path, code: &[u8], number: u32) {
    let section = [&[0, 6, 1, b'v'][..], &number.to_le_bytes()].concat();
    std::fs::write(file, [code, &section].concat()).expect("the file is written");
}
