//! A circuit breaker: nothing more is sent to what fails, until it had time to recover.
//!
//! It is a state machine without a clock of its own. What a request does with it is atomic reads and adds; only a change
//! of state takes a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::window::{Last, Sliding};
use crate::config::{self, Window};

/// A breaker, of an upstream or of one of its endpoints.
#[derive(Debug)]
pub(super) struct Breaker {
    config: config::Breaker,
    /// [`State`] in the low two bits, and how often it has changed above them.
    state: AtomicU64,
    /// Until when it is open, in milliseconds.
    until: AtomicU64,
    failures_in_a_row: AtomicU32,
    /// Calls, failed calls, slow calls.
    calls: Calls,
    probes_begun: AtomicU32,
    probes_passed: AtomicU32,
    changing: Mutex<()>,
    /// How often it has opened.
    opened: AtomicU64,
}

#[derive(Debug)]
enum Calls {
    OfTime(Sliding<3>),
    OfNumber(Last),
}

/// What a breaker does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All calls go on.
    Closed,
    /// None does.
    Open,
    /// A few do, to find out.
    HalfOpen,
}

/// A call that went on. It must be told how the call ended; one that is dropped without says nothing of it.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    state: u64,
    done: bool,
}

/// A breaker has changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) from: State,
    pub(super) to: State,
}

impl State {
    fn of(word: u64) -> Self {
        match word & 3 {
            0 => Self::Closed,
            1 => Self::Open,
            _ => Self::HalfOpen,
        }
    }

    /// The word in metrics, logs and the admin API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl Breaker {
    /// A closed one that knows of no call.
    pub(super) fn new(config: &config::Breaker) -> Self {
        Self {
            config: config.clone(),
            state: AtomicU64::new(0),
            until: AtomicU64::new(0),
            failures_in_a_row: AtomicU32::new(0),
            calls: match config.window {
                Window::Time(time) => Calls::OfTime(Sliding::new(time.as_millis() as u64)),
                Window::Calls(calls) => Calls::OfNumber(Last::new(calls)),
            },
            probes_begun: AtomicU32::new(0),
            probes_passed: AtomicU32::new(0),
            changing: Mutex::new(()),
            opened: AtomicU64::new(0),
        }
    }

    /// What it does with calls now. It leaves the open state when the first call comes after that time.
    pub(super) fn state(&self) -> State {
        State::of(self.state.load(Relaxed))
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Whether a call may go on at this time, in milliseconds.
    pub(super) fn admit(self: &Arc<Self>, now: u64) -> (Option<Permit>, Option<Changed>) {
        let mut word = self.state.load(Relaxed);
        let mut changed = None;
        if State::of(word) == State::Open {
            if now < self.until.load(Relaxed) {
                return (None, None);
            }
            changed = self.change(word, State::HalfOpen, now);
            word = self.state.load(Relaxed);
        }
        if State::of(word) == State::HalfOpen {
            let begun = self.probes_begun.fetch_update(Relaxed, Relaxed, |n| (n < self.config.probes).then_some(n + 1));
            // What changed meanwhile gives a chance to the next call.
            if begun.is_err() || self.state.load(Relaxed) != word {
                return (None, changed);
            }
        } else if State::of(word) == State::Open {
            return (None, changed);
        }
        (Some(Permit { breaker: Arc::clone(self), state: word, done: false }), changed)
    }

    fn report(&self, word: u64, failed: bool, slow: bool, now: u64) -> Option<Changed> {
        // What began in another state says nothing of this one.
        if self.state.load(Relaxed) != word {
            return None;
        }
        match State::of(word) {
            State::Open => None,
            State::HalfOpen if failed || (slow && self.config.slow_call_rate.is_some()) => {
                self.change(word, State::Open, now)
            }
            State::HalfOpen => {
                let passed = self.probes_passed.fetch_add(1, Relaxed) + 1;
                if passed >= self.config.probes { self.change(word, State::Closed, now) } else { None }
            }
            State::Closed => {
                let row = if failed {
                    self.failures_in_a_row.fetch_add(1, Relaxed) + 1
                } else {
                    // Most calls find a zero there, and leave the line to all cores.
                    if self.failures_in_a_row.load(Relaxed) > 0 {
                        self.failures_in_a_row.store(0, Relaxed);
                    }
                    0
                };
                let in_a_row = self.config.consecutive_failures.is_some_and(|most| row >= most);
                if in_a_row || self.rates_are_over(failed, slow, now) {
                    return self.change(word, State::Open, now);
                }
                None
            }
        }
    }

    /// Counts a call, and says whether those of the window are too bad.
    fn rates_are_over(&self, failed: bool, slow: bool, now: u64) -> bool {
        let config = &self.config;
        if config.failure_rate.is_none() && config.slow_call_rate.is_none() {
            return false;
        }
        let call = [1, u32::from(failed), u32::from(slow)];
        match &self.calls {
            Calls::OfTime(calls) => calls.add(now, call),
            Calls::OfNumber(calls) => calls.add(call),
        }
        let bad = failed || slow;
        if !bad {
            return false;
        }
        let [all, failed, slow] = match &self.calls {
            Calls::OfTime(calls) => calls.sums(now),
            Calls::OfNumber(calls) => calls.sums(),
        };
        let over = |part: u32, limit: Option<u32>| {
            limit.is_some_and(|percent| u64::from(part) * 100 >= u64::from(all) * u64::from(percent))
        };
        all >= config.minimum_calls && (over(failed, config.failure_rate) || over(slow, config.slow_call_rate))
    }

    /// Goes over to another state, unless somebody else did so.
    fn change(&self, word: u64, to: State, now: u64) -> Option<Changed> {
        let _changing = self.changing.lock();
        if self.state.load(Relaxed) != word {
            return None;
        }
        match to {
            State::Open => {
                self.until.store(now.saturating_add(self.config.open_for.as_millis() as u64), Relaxed);
                self.opened.fetch_add(1, Relaxed);
            }
            State::HalfOpen => {}
            State::Closed => match &self.calls {
                Calls::OfTime(calls) => calls.clear(),
                Calls::OfNumber(calls) => calls.clear(),
            },
        }
        self.failures_in_a_row.store(0, Relaxed);
        self.probes_begun.store(0, Relaxed);
        self.probes_passed.store(0, Relaxed);
        let bits = match to {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        self.state.store(((word >> 2) + 1) << 2 | bits, Relaxed);
        Some(Changed { from: State::of(word), to })
    }
}

impl Permit {
    /// How the call ended, at a time in milliseconds.
    pub(super) fn report(mut self, failed: bool, took: std::time::Duration, now: u64) -> Option<Changed> {
        self.done = true;
        let slow = self.breaker.config.slow_call_rate.is_some() && took >= self.breaker.config.slow_call;
        self.breaker.report(self.state, failed, slow, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // A probe that says nothing leaves its place to another.
        let breaker = &self.breaker;
        if !self.done && State::of(self.state) == State::HalfOpen && breaker.state.load(Relaxed) == self.state {
            let _ = breaker.probes_begun.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        }
    }
}

#[cfg(test)]
mod tests;
