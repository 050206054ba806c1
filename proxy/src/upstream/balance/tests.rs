//! Rings and tables against simple models, and how many keys move when an endpoint is lost.

use std::collections::HashMap;

use proptest::prelude::*;

use super::dice::mix;
use super::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("10.0.{}.{}:8080", n / 256, n % 256)).collect()
}

fn equal(names: &[String]) -> impl Iterator<Item = (&str, u32)> {
    names.iter().map(|name| (name.as_str(), 1))
}

/// A way from a key to the name of an endpoint.
type Find = Box<dyn Fn(u64) -> String>;

fn ring(names: Vec<String>) -> Find {
    let ring = Ring::new(equal(&names), 256);
    Box::new(move |key| names[ring.find(key)].clone())
}

fn maglev(names: Vec<String>) -> Find {
    let maglev = Maglev::new(equal(&names), 65_537);
    Box::new(move |key| names[maglev.find(key)].clone())
}

/// Of the keys that belonged to an endpoint that stays, the share that moves when another is lost, in percent; and
/// the largest share of keys over the mean.
fn moved(make: fn(Vec<String>) -> Find, count: usize) -> (f64, f64) {
    const KEYS: u64 = 100_000;
    let names = names(count);
    let lost = names[count / 2].clone();
    let before = make(names.clone());
    let after = make(names.into_iter().filter(|name| *name != lost).collect());
    let (mut stay, mut moved, mut shares) = (0, 0, HashMap::new());
    for key in (0..KEYS).map(mix) {
        let owner = before(key);
        *shares.entry(owner.clone()).or_insert(0) += 1;
        if owner != lost {
            stay += 1;
            moved += u64::from(after(key) != owner);
        }
    }
    let largest = shares.values().copied().max().unwrap_or(0);
    (moved as f64 * 100.0 / stay as f64, largest as f64 * count as f64 / KEYS as f64)
}

/// The table in docs/configuration.md is what this prints.
#[test]
fn few_keys_move_when_an_endpoint_is_lost() {
    println!("| endpoints | ring hash: keys moved | largest share | Maglev: keys moved | largest share |");
    println!("|---|---|---|---|---|");
    for count in [3, 10, 100] {
        let (ring_moved, ring_share) = moved(ring, count);
        let (maglev_moved, maglev_share) = moved(maglev, count);
        println!("| {count} | {ring_moved:.2} % | {ring_share:.2} × | {maglev_moved:.2} % | {maglev_share:.2} × |");
        assert_eq!(ring_moved, 0.0);
        assert!(maglev_moved < 5.0, "{maglev_moved}");
        assert!(maglev_share < 1.15 && ring_share < 1.6, "{maglev_share} {ring_share}");
    }
}

#[test]
fn a_table_knows_weights() {
    let names = names(3);
    let weighted = || names.iter().map(String::as_str).zip([1, 2, 5]);
    let (ring, maglev) = (Ring::new(weighted(), 4_096), Maglev::new(weighted(), 65_537));
    let mut shares = [[0.0; 3]; 2];
    for key in (0..80_000).map(mix) {
        shares[0][ring.find(key)] += 1.0 / 10_000.0;
        shares[1][maglev.find(key)] += 1.0 / 10_000.0;
    }
    for share in shares {
        for (share, weight) in share.iter().zip([1.0, 2.0, 5.0]) {
            assert!((share / weight - 1.0_f64).abs() < 0.1, "{shares:?}");
        }
    }
}

proptest! {
    /// The model: of all points, the one that is not before the key and nearest to it.
    #[test]
    fn a_ring_finds_the_next_point(count in 1_usize..20, key: u64) {
        let names = names(count);
        let ring = Ring::new(equal(&names), 64);
        let walked: Vec<usize> = ring.walk(key).collect();
        prop_assert_eq!(walked.first().copied(), Some(ring.find(key)));
        let mut seen = walked;
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }

    /// Every entry of a table has an owner, shares are equal to one entry for each other endpoint, and every endpoint
    /// is come to from every key.
    #[test]
    fn a_table_is_full_and_even(count in 1_usize..20, key: u64) {
        let names = names(count);
        let maglev = Maglev::new(equal(&names), 251);
        let mut shares = vec![0_usize; count];
        maglev.walk(key).for_each(|seat| shares[seat] += 1);
        prop_assert_eq!(shares.iter().sum::<usize>(), 251);
        prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{:?}", shares);
        prop_assert_eq!(maglev.walk(key).next(), Some(maglev.find(key)));
    }
}
