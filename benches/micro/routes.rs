//! Finding the route of a request among many.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use gofe::config;
use gofe::route::{Origin, Table};

use crate::setup::request;

const ORIGIN: Origin<'_> = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), server_name: None };
const COUNTS: [usize; 3] = [10, 1_000, 10_000];

/// Among routes of one path each.
#[divan::bench(args = COUNTS)]
fn exact(bencher: Bencher<'_, '_>, count: usize) {
    find(bencher, count, |n| format!("path: /r{n}/users/1"));
}

/// Among routes of one prefix each.
#[divan::bench(args = COUNTS)]
fn prefix(bencher: Bencher<'_, '_>, count: usize) {
    find(bencher, count, |n| format!("path: /r{n}/**"));
}

/// Among routes of one host each.
#[divan::bench(args = COUNTS)]
fn host(bencher: Bencher<'_, '_>, count: usize) {
    find(bencher, count, |n| format!("host: r{n}.example.com"));
}

/// Among routes of one template each.
#[divan::bench(args = COUNTS)]
fn template(bencher: Bencher<'_, '_>, count: usize) {
    find(bencher, count, |n| format!("path: '/r{n}/users/{{id}}'"));
}

/// Among routes of one regular expression each.
#[divan::bench(args = COUNTS)]
fn regex(bencher: Bencher<'_, '_>, count: usize) {
    find(bencher, count, |n| format!("path: {{ regex: '/r{n}/users/[0-9]+' }}"));
}

/// Reading so many routes and building their table.
#[divan::bench(args = COUNTS, sample_count = 5)]
fn load(bencher: Bencher<'_, '_>, count: usize) {
    let yaml = yaml(count, |n| format!("path: '/r{n}/users/{{id}}', methods: [GET], headers: {{ x-a: v }}"));
    bencher.bench_local(|| {
        let loaded = config::parse("bench.yaml", black_box(&yaml)).expect("the configuration is right");
        Table::build(&loaded.config.routes)
    });
}

fn yaml(count: usize, matches: impl Fn(usize) -> String) -> String {
    let route = |n| format!("  - {{ match: {{ {} }}, upstream: u }}\n", matches(n));
    let routes: String = (0..count).map(route).collect();
    format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes:\n{routes}upstreams: {{ u: {{ builtin: echo }} }}\n")
}

/// Finds the last route of so many.
fn find(bencher: Bencher<'_, '_>, count: usize, matches: impl Fn(usize) -> String) {
    let yaml = yaml(count, matches);
    let loaded = config::parse("bench.yaml", &yaml).expect("the configuration is right");
    let table = Table::build(&loaded.config.routes);
    let last = count - 1;
    let parts = request(&format!("/r{last}/users/1?a=b"), &format!("r{last}.example.com"));
    assert!(table.find_request(&parts, ORIGIN).is_ok_and(|found| found == Some(last)));
    bencher.bench_local(|| table.find_request(black_box(&parts), ORIGIN));
}
