//! Where the instance of a call comes from.

use std::sync::Arc;

use divan::{Bencher, black_box};
use gofe::chain::Phase;
use gofe::wasm::Pool;

use crate::setup::{Setup, work};

/// What waits in a pool here: as large as an instance's handle.
type Instance = [usize; 48];

/// Takes an instance from the worker's pool and gives it back.
#[divan::bench]
fn lease(bencher: Bencher<'_, '_>) {
    let pool: Arc<Pool<Instance>> = Arc::new(Pool::new(1));
    pool.put(0, [0; 48]);
    bencher.bench_local(|| {
        let instance = pool.take(black_box(0)).expect("the one that was given back");
        pool.put(0, black_box(instance));
    });
}

/// A request's first call, and the end of the request: with `per-call` a lease, with `fresh` an instance that is made,
/// configured and thrown away.
#[divan::bench(sample_size = 20, args = ["per-call", "per-request", "fresh"])]
fn first_call(bencher: Bencher<'_, '_>, mode: &str) {
    let entry = work("nothing").replacen('{', &format!("{{ instance: {mode}, "), 1);
    let plugin = Setup::new().plugin(&entry);
    let _entered = plugin.enter();
    bencher.with_inputs(|| plugin.exchange(Phase::RequestHeaders)).bench_local_values(|mut exchange| {
        plugin.call(Phase::RequestHeaders, black_box(&mut exchange));
        drop(exchange);
    });
}
