//! Which endpoint gets a request: balancing, discovery, health checks and outlier detection, with real upstreams.

mod choice;
mod dns;
mod file;
mod health;
mod names;
mod outliers;

use std::collections::BTreeMap;

use http::StatusCode;
use hyper::Response;

use crate::harness::{Gofe, KeepAlive, Upstream, full};

/// An upstream that answers with its name.
fn named(name: &'static str) -> Upstream {
    Upstream::text(name)
}

/// An upstream that answers everything with this status.
fn failing(status: u16) -> Upstream {
    Upstream::start(move |_| async move {
        let mut response = Response::new(full("failed"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    })
}

/// Who answers so many requests, on one connection and so by one worker.
fn answers(gofe: &Gofe, count: usize, path: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let mut client = KeepAlive::connect(gofe.address);
    (0..count).map(|_| client.get(path, headers).body).collect()
}

/// How often each answered.
fn shares(answers: Vec<String>) -> BTreeMap<String, usize> {
    answers.into_iter().fold(BTreeMap::new(), |mut shares, answer| {
        *shares.entry(answer).or_insert(0) += 1;
        shares
    })
}

/// The endpoints of the first upstream in the admin API.
fn endpoints(gofe: &Gofe) -> Vec<serde_json::Value> {
    gofe.ask("/upstreams").json()[0]["endpoints"].as_array().unwrap().clone()
}
