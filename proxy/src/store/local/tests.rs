use std::sync::Barrier;
use std::thread;

use super::super::NEVER;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// For what also lives by the system's clock: much longer than a test.
const HOUR: Duration = Duration::from_secs(3_600);

fn space() -> (Space, Clock) {
    let clock = Clock::manual();
    (Space::new(clock.clone()), clock)
}

/// How many of `asked` single tokens were given.
fn given(space: &Space, asked: usize, rate: u64, burst: u64) -> usize {
    (0..asked).filter(|_| space.take("k", 1, rate, SECOND, burst).allowed).count()
}

#[test]
fn a_value_is_there_until_its_time_is_over() {
    let (space, clock) = space();
    space.set("a", Bytes::from_static(b"1"), Some(HOUR)).unwrap();
    space.set("b", Bytes::from_static(b"2"), None).unwrap();
    assert_eq!(space.get("a").as_deref(), Some(&b"1"[..]));
    clock.advance(HOUR);
    assert_eq!(space.get("a"), None);
    assert_eq!(space.get("b").as_deref(), Some(&b"2"[..]));
    space.delete("b");
    assert_eq!(space.get("b"), None);
}

#[test]
fn setting_again_begins_a_new_time() {
    let (space, clock) = space();
    space.set("a", Bytes::from_static(b"1"), Some(HOUR)).unwrap();
    clock.advance(HOUR / 2);
    space.set("a", Bytes::from_static(b"2"), Some(HOUR)).unwrap();
    clock.advance(HOUR / 2);
    assert_eq!(space.get("a").as_deref(), Some(&b"2"[..]));
}

#[test]
fn keys_and_values_have_limits() {
    let (space, _) = space();
    let (key, value) = ("k".repeat(KEY_LIMIT), Bytes::from(vec![0; VALUE_LIMIT]));
    assert_eq!(space.set(&key, value.clone(), None), Ok(()));
    assert_eq!(space.get(&key), Some(value.clone()));
    assert_eq!(space.set(&(key.clone() + "k"), value, None), Err(TooLarge));
    assert_eq!(space.set(&key, Bytes::from(vec![0; VALUE_LIMIT + 1]), None), Err(TooLarge));
}

#[test]
fn values_are_bounded_by_their_size() {
    let (space, _) = space();
    for n in 0..200 {
        space.set(&n.to_string(), Bytes::from(vec![0; VALUE_LIMIT]), None).unwrap();
    }
    let values = &space.values.get().unwrap();
    assert!(values.held_bytes() <= 64 << 20, "{}", values.held_bytes());
}

#[test]
fn a_new_bucket_is_full_and_refills_token_by_token() {
    let (space, clock) = space();
    assert_eq!(given(&space, 10, 10, 5), 5);
    clock.advance(SECOND / 10);
    assert_eq!(given(&space, 10, 10, 5), 1);
    clock.advance(SECOND / 10 - Duration::from_nanos(1));
    assert_eq!(given(&space, 10, 10, 5), 0);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(given(&space, 10, 10, 5), 1);
    clock.advance(100 * SECOND);
    assert_eq!(given(&space, 10, 10, 5), 5);
}

#[test]
fn a_decision_says_what_is_left_and_how_long_to_wait() {
    let (space, clock) = space();
    let first = space.take("k", 3, 10, SECOND, 5);
    assert_eq!(
        first,
        Decision { allowed: true, remaining: 2, retry_after: Duration::ZERO, reset_after: SECOND * 3 / 10 }
    );
    clock.advance(SECOND / 20);
    let second = space.take("k", 3, 10, SECOND, 5);
    assert_eq!(second, Decision { allowed: false, remaining: 2, retry_after: SECOND / 20, reset_after: SECOND / 4 });
    clock.advance(second.retry_after);
    assert!(space.take("k", 3, 10, SECOND, 5).allowed);
}

#[test]
fn asking_for_no_tokens_only_looks() {
    let (space, _) = space();
    space.take("k", 2, 10, SECOND, 5);
    for _ in 0..3 {
        let look = space.take("k", 0, 10, SECOND, 5);
        assert!(look.allowed);
        assert_eq!(look.remaining, 3);
    }
}

#[test]
fn odd_rules_neither_panic_nor_let_too_much_through() {
    let (space, _) = space();
    assert_eq!(space.take("none", 1, 0, SECOND, 5).retry_after, NEVER);
    assert_eq!(space.take("small", 6, 1, SECOND, 5).retry_after, NEVER);
    assert!(!space.take("empty", 1, 1, SECOND, 0).allowed);
    assert!(space.take("at once", 5, 1, Duration::ZERO, 5).allowed);
    assert!(!space.take("at once", 6, 1, Duration::ZERO, 5).allowed);
    for n in [1, u64::MAX] {
        space.take("huge", n, n, Duration::MAX, u64::MAX);
        space.take("huge", n, 1, Duration::MAX, n);
    }
}

#[test]
fn rates_that_do_not_divide_a_second_give_the_whole_burst() {
    for rate in [3, 7, 11, 13, 999, 1_000_003] {
        let (space, _) = space();
        assert_eq!(given(&space, 2_000, rate, 1_000), 1_000, "{rate}/s");
    }
}

#[test]
fn a_faster_rule_does_not_inherit_a_long_wait() {
    let (space, clock) = space();
    assert_eq!(given(&space, 100, 1, 60), 60);
    // Under the old rule the bucket is full in a minute; the new one fills in half a second.
    assert_eq!(given(&space, 10, 100, 50), 0, "what was taken stays taken");
    clock.advance(SECOND / 2);
    assert_eq!(given(&space, 100, 100, 50), 50);
}

#[test]
fn a_slower_rule_holds_from_the_first_request() {
    let (space, clock) = space();
    assert_eq!(given(&space, 100, 100, 50), 50);
    clock.advance(SECOND);
    assert_eq!(given(&space, 100, 1, 5), 5);
    assert_eq!(given(&space, 100, 1, 5), 0);
}

/// Runs `work` in `threads` threads that begin together, and gives the sum.
fn together(threads: usize, work: impl Fn(usize) -> i64 + Sync) -> i64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let run = |n| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(n)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn threads_together_get_exactly_the_burst() {
    for (threads, burst, tokens) in [(2, 1, 1), (4, 100, 1), (8, 1_000, 1), (4, 1_000, 7), (8, 999, 10)] {
        let (space, _) = space();
        let taken = together(threads, |_| {
            let allowed = (0..2_000).filter(|_| space.take("k", tokens, 10, SECOND, burst).allowed).count();
            allowed as i64 * tokens as i64
        });
        assert_eq!(taken, (burst / tokens * tokens) as i64, "{threads} threads, {burst} by {tokens}");
    }
}

#[test]
fn threads_together_count_each_once_also_when_they_begin_the_counter() {
    for round in 0..50 {
        let (space, clock) = space();
        space.add("k", 1_000, HOUR);
        clock.advance(HOUR);
        together(4, |_| (0..50).map(|_| space.add("k", 1, HOUR)).last().unwrap());
        assert_eq!(space.counter("k"), 200, "round {round}");
    }
}

#[test]
fn a_counter_lasts_from_its_first_use_and_stops_at_the_ends() {
    let (space, clock) = space();
    assert_eq!(space.counter("k"), 0);
    assert_eq!(space.add("k", 5, HOUR), 5);
    clock.advance(HOUR / 2);
    assert_eq!(space.add("k", -7, HOUR), -2);
    clock.advance(HOUR / 2);
    assert_eq!(space.counter("k"), 0);
    assert_eq!(space.add("k", i64::MAX, Duration::ZERO), i64::MAX);
    assert_eq!(space.add("k", 1, Duration::ZERO), i64::MAX);
    clock.advance(1_000 * HOUR);
    assert_eq!(space.counter("k"), i64::MAX, "without a ttl it stays");
    assert_eq!(space.add("long", 1, Duration::MAX), 1);
}

#[test]
fn long_keys_are_told_apart() {
    let (space, _) = space();
    let long = "k".repeat(5_000);
    space.add(&(long.clone() + "a"), 1, HOUR);
    assert_eq!(space.counter(&(long.clone() + "a")), 1);
    assert_eq!(space.counter(&(long + "b")), 0);
}

#[test]
fn a_flood_of_keys_does_not_shut_new_ones_out() {
    let (space, _) = space();
    for n in 0..SLOTS + 10_000 {
        space.take(&n.to_string(), 1, 1, SECOND, 2);
    }
    assert!(space.take("new", 2, 1, SECOND, 2).allowed);
    assert!(!space.take("new", 1, 1, SECOND, 2).allowed, "the new key's bucket was kept");
    assert!(space.buckets.get().unwrap().entry_count() <= SLOTS + 1_000);
}

#[test]
fn a_plugin_finds_its_space_again_and_no_other() {
    let stores = crate::store::Stores::new();
    stores.space("a").add("k", 1, SECOND);
    assert_eq!(stores.space("a").counter("k"), 1);
    assert_eq!(stores.space("b").counter("k"), 0);
}
