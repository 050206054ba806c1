//! What the parts of a request cost: `cargo xtask bench micro`, or `cargo xtask bench micro -- NAME` for some of them.

mod calls;
mod instances;
mod routes;
mod setup;
mod swaps;

/// As in the `gofe` binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    // Lines of the log are made as in service, and go nowhere.
    tracing_subscriber::fmt().json().with_writer(std::io::sink).init();
    divan::main();
}
