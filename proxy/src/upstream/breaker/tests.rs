//! The breaker against a model that remembers every call.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> config::Breaker {
    config::Breaker {
        consecutive_failures: None,
        failure_rate: None,
        slow_call_rate: None,
        slow_call: SECOND,
        window: Window::Calls(10),
        minimum_calls: 4,
        open_for: 5 * SECOND,
        probes: 2,
    }
}

fn breaker(config: &config::Breaker) -> Arc<Breaker> {
    Arc::new(Breaker::new(config))
}

/// A call that takes no time; false where it was refused.
fn call(breaker: &Arc<Breaker>, failed: bool, now: u64) -> bool {
    let (permit, _) = breaker.admit(now);
    permit.map(|permit| permit.report(failed, Duration::ZERO, now)).is_some()
}

#[test]
fn failures_in_a_row_open_it() {
    let breaker = breaker(&config::Breaker { consecutive_failures: Some(3), ..config() });
    for failed in [true, true, false, true, true] {
        assert!(call(&breaker, failed, 0));
    }
    assert_eq!(breaker.state(), State::Closed);
    assert!(call(&breaker, true, 0));
    assert_eq!((breaker.state(), breaker.opened()), (State::Open, 1));
    assert!(!call(&breaker, false, 4_999));
}

#[test]
fn probes_close_it_and_one_that_fails_opens_it_again() {
    let breaker = breaker(&config::Breaker { consecutive_failures: Some(1), ..config() });
    call(&breaker, true, 0);
    let (first, changed) = breaker.admit(5_000);
    assert_eq!(changed, Some(Changed { from: State::Open, to: State::HalfOpen }));
    let (second, _) = breaker.admit(5_000);
    assert!(breaker.admit(5_000).0.is_none(), "there are two probes");
    drop(second);
    let (second, _) = breaker.admit(5_000);
    assert!(second.is_some(), "one that was given up leaves its place");
    assert_eq!(first.map(|probe| probe.report(false, Duration::ZERO, 5_010)), Some(None));
    let closed = second.and_then(|probe| probe.report(false, Duration::ZERO, 5_020));
    assert_eq!(closed, Some(Changed { from: State::HalfOpen, to: State::Closed }));
    call(&breaker, true, 6_000);
    assert!(call(&breaker, true, 11_000));
    assert_eq!((breaker.state(), breaker.opened()), (State::Open, 3));
    assert!(!call(&breaker, false, 15_999), "it is open for the whole time again");
}

#[test]
fn slow_calls_open_it() {
    let breaker = breaker(&config::Breaker { slow_call_rate: Some(50), ..config() });
    for took in [SECOND, Duration::ZERO, Duration::ZERO, Duration::ZERO, SECOND, SECOND] {
        assert_eq!(breaker.state(), State::Closed);
        breaker.admit(0).0.and_then(|permit| permit.report(false, took, 0));
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_began_before_it_opened_says_nothing_of_later() {
    let breaker = breaker(&config::Breaker { consecutive_failures: Some(1), ..config() });
    let (late, _) = breaker.admit(0);
    call(&breaker, true, 0);
    let (probe, _) = breaker.admit(5_000);
    assert_eq!(late.and_then(|late| late.report(true, Duration::ZERO, 5_001)), None);
    assert_eq!(breaker.state(), State::HalfOpen);
    drop(probe);
}

/// What a breaker shall do, with all calls remembered.
struct Model {
    config: config::Breaker,
    calls: VecDeque<(u64, bool)>,
    row: u32,
    open_until: Option<u64>,
    passed: u32,
    half: bool,
}

impl Model {
    fn call(&mut self, failed: bool, now: u64) -> bool {
        if let Some(until) = self.open_until {
            if now < until {
                return false;
            }
            (self.open_until, self.half, self.passed) = (None, true, 0);
        }
        if self.half {
            if failed {
                self.open(now);
            } else {
                self.passed += 1;
                if self.passed == self.config.probes {
                    self.half = false;
                    self.calls.clear();
                    self.row = 0;
                }
            }
            return true;
        }
        self.row = if failed { self.row + 1 } else { 0 };
        self.calls.push_back((now, failed));
        match self.config.window {
            Window::Calls(most) => {
                while self.calls.len() > most as usize {
                    self.calls.pop_front();
                }
            }
            Window::Time(time) => {
                // A part of the time goes as a whole.
                let width = time.as_millis() as u64 / 10;
                self.calls.retain(|(at, _)| now / width - at / width < 10);
            }
        }
        let (all, bad) = (self.calls.len() as u32, self.calls.iter().filter(|(_, failed)| *failed).count() as u32);
        let rate = self
            .config
            .failure_rate
            .is_some_and(|rate| failed && all >= self.config.minimum_calls && bad * 100 >= all * rate);
        if rate || self.config.consecutive_failures.is_some_and(|most| self.row >= most) {
            self.open(now);
        }
        true
    }

    fn open(&mut self, now: u64) {
        self.open_until = Some(now + self.config.open_for.as_millis() as u64);
        (self.half, self.row) = (false, 0);
    }

    fn state(&self) -> State {
        match (self.open_until, self.half) {
            (Some(_), _) => State::Open,
            (None, true) => State::HalfOpen,
            (None, false) => State::Closed,
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(
        calls in prop::collection::vec((0_u64..1500, prop::bool::weighted(0.4)), 1..400),
        row in prop::option::of(2_u32..6),
        rate in prop::option::of(20_u32..100),
        by_time in any::<bool>(),
        minimum in 1_u32..10,
        probes in 1_u32..4,
    ) {
        let window = if by_time { Window::Time(10 * SECOND) } else { Window::Calls(12) };
        let config = config::Breaker {
            consecutive_failures: row, failure_rate: rate, window, minimum_calls: minimum, probes, ..config()
        };
        let breaker = breaker(&config);
        let calls_before = VecDeque::new();
        let mut model = Model { config, calls: calls_before, row: 0, open_until: None, passed: 0, half: false };
        let mut now = 1_000_000;
        for (gap, failed) in calls {
            now += gap;
            prop_assert_eq!(call(&breaker, failed, now), model.call(failed, now));
            prop_assert_eq!(breaker.state(), model.state());
        }
    }
}
