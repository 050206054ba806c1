//! Which of several endpoints serves a request.
//!
//! A [`Plan`] says who may be chosen: it is made when endpoints or their health change, and shared by all workers. A
//! [`Group`] is one worker's part: its own turn and its own dice. Each worker chooses by what it knows itself, so no
//! choice touches memory that another core writes, and every worker's share is as even as the whole.

mod cumulative;
mod dice;
mod ewma;
pub(super) mod key;
mod levels;
mod maglev;
mod ring;
mod smooth;
mod warm;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use super::endpoint::Member;
use super::pick::Wanted;
use super::slot::Slot;
use crate::config::{Balance, Policy};
use cumulative::Cumulative;
use dice::Dice;
pub(super) use dice::{fraction, hash};
pub(super) use ewma::Ewma;
use maglev::Maglev;
use ring::Ring;
use smooth::Smooth;
use warm::Warm;

/// Who may be chosen for requests of one kind, and with which share.
pub(super) struct Plan {
    /// Those with the first share go first; most upstreams have one level.
    levels: Box<[Level]>,
    policy: Policy,
}

/// Endpoints among which the policy chooses.
struct Level {
    /// Requests whose dice are below this belong here, or to a level before.
    until: u64,
    /// Places in the view.
    seats: Box<[Seat]>,
    /// Present where weights differ.
    cumulative: Option<Cumulative>,
    /// Present for the policies that hash.
    table: Option<Table>,
    warm: Option<Warm>,
}

#[derive(Debug, Clone, Copy)]
struct Seat {
    /// The place in the view.
    at: usize,
    weight: u32,
}

enum Table {
    Ring(Ring),
    Maglev(Maglev),
}

impl Table {
    /// The seats for a key in the order of preference; seats may come more than once.
    fn walk(&self, key: u64) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::Ring(ring) => Box::new(ring.walk(key)),
            Self::Maglev(maglev) => Box::new(maglev.walk(key)),
        }
    }

    fn find(&self, key: u64) -> usize {
        match self {
            Self::Ring(ring) => ring.find(key),
            Self::Maglev(maglev) => maglev.find(key),
        }
    }
}

impl Plan {
    /// The plan for those members that `fits` lets in.
    pub(super) fn new(balance: &Balance, members: &[Member], fits: impl Fn(&Member) -> bool, now: Instant) -> Self {
        let candidates = levels::Candidates::of(balance, members, fits);
        let shares = candidates.spread(balance.panic_threshold);
        let mut until = 0;
        let level = |(share, places): (u64, Vec<usize>)| {
            until += share;
            Level::new(balance, members, &places, until, now)
        };
        Self { levels: shares.into_iter().map(level).collect(), policy: balance.policy.clone() }
    }

    /// Whether nobody may be chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }
}

impl Level {
    fn new(balance: &Balance, members: &[Member], places: &[usize], until: u64, now: Instant) -> Self {
        let seats: Box<[Seat]> = places.iter().map(|at| Seat { at: *at, weight: members[*at].found.weight }).collect();
        let names = || seats.iter().map(|seat| (&*members[seat.at].endpoint.address, seat.weight));
        let table = match &balance.policy {
            Policy::RingHash { points, .. } => Some(Table::Ring(Ring::new(names(), *points))),
            Policy::Maglev { size, .. } => Some(Table::Maglev(Maglev::new(names(), *size))),
            _ => None,
        };
        let differ = seats.iter().any(|seat| seat.weight != seats[0].weight);
        let warm = balance
            .slow_start
            .and_then(|window| Warm::new(window, seats.iter().map(|seat| members[seat.at].endpoint.well_since()), now));
        Self {
            until,
            cumulative: differ.then(|| Cumulative::new(seats.iter().map(|seat| seat.weight))),
            seats,
            table,
            warm,
        }
    }
}

/// One worker's choice among the candidates of a plan.
pub(super) struct Group {
    plan: Arc<Plan>,
    turns: Box<[Turn]>,
    dice: Dice,
}

/// Whose turn it is in a level.
struct Turn {
    next: AtomicUsize,
    /// Where weights differ. Only this worker takes the lock.
    smooth: Mutex<Smooth>,
}

impl Group {
    /// A worker's part of a plan. Workers take turns from different beginnings, or the first endpoint would get all
    /// first requests.
    pub(super) fn new(plan: Arc<Plan>, worker: usize) -> Self {
        let turn = |level: &Level| Turn {
            next: AtomicUsize::new(worker),
            smooth: Mutex::new(Smooth::new(level.seats.len(), worker)),
        };
        let turns = plan.levels.iter().map(turn).collect();
        Self { plan, turns, dice: Dice::new() }
    }

    /// Whether nobody may be chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// The place of the chosen one; none where all have been tried.
    pub(super) fn choose(&self, slots: &[Arc<Slot>], wanted: &Wanted<'_>) -> Option<usize> {
        let index = self.level(wanted)?;
        let level = &self.plan.levels[index];
        let at = level.seats[self.draw(index, slots, wanted.key())].at;
        if wanted.is_first() || !wanted.has_tried(&slots[at]) {
            return Some(at);
        }
        self.untried(index, slots, wanted)
    }

    /// The level for a request. With a key, requests of one key go to one level.
    fn level(&self, wanted: &Wanted<'_>) -> Option<usize> {
        match self.plan.levels.len() {
            0 => None,
            1 => Some(0),
            count => {
                let dice = wanted.key().map_or_else(|| self.dice.roll(), |key| dice::mix(!key)) >> 32;
                Some(self.plan.levels.iter().position(|level| dice < level.until).unwrap_or(count - 1))
            }
        }
    }

    /// The seat in a level.
    fn draw(&self, index: usize, slots: &[Arc<Slot>], key: Option<u64>) -> usize {
        let level = &self.plan.levels[index];
        let count = level.seats.len();
        if count == 1 {
            return 0;
        }
        let turn = &self.turns[index];
        let slot = |seat: usize| &slots[level.seats[seat].at];
        let in_flight = |seat: usize| slot(seat).counts.in_flight.load(Relaxed);
        match &self.plan.policy {
            Policy::RoundRobin if level.cumulative.is_none() && !level.is_warming() => {
                turn.next.fetch_add(1, Relaxed) % count
            }
            Policy::RoundRobin => turn.smooth.lock().next(|seat| level.share(seat)),
            Policy::LeastRequest => self.of_two(level, |seat| level.load(seat, in_flight(seat) as f64)),
            Policy::PeakEwma { .. } => {
                let now = Instant::now();
                self.of_two(level, |seat| {
                    let cost = slot(seat).judges.latency.as_ref().map_or(0.0, |ewma| ewma.cost(in_flight(seat), now));
                    level.load(seat, cost)
                })
            }
            Policy::Random => self.any(level),
            Policy::RingHash { .. } | Policy::Maglev { .. } => match &level.table {
                Some(table) => table.find(key.unwrap_or_else(|| self.dice.roll())),
                None => self.any(level),
            },
        }
    }

    /// The power of two choices: of two different ones at random, the one with the lower load.
    fn of_two(&self, level: &Level, load: impl Fn(usize) -> f64) -> usize {
        let count = level.seats.len();
        if level.cumulative.is_none() && !level.is_warming() {
            return self.dice.less_of_two(count, load);
        }
        let first = self.any(level);
        let mut second = self.any(level);
        if second == first {
            second = (first + 1 + dice::below(self.dice.roll() as u32, count - 1)) % count;
        }
        // A seat without weight is here only where all have none.
        if load(second) < load(first) { second } else { first }
    }

    /// Any seat, each with its share.
    fn any(&self, level: &Level) -> usize {
        let count = level.seats.len();
        let roll = || match &level.cumulative {
            Some(cumulative) => cumulative.find(self.dice.roll()),
            None => dice::below(self.dice.roll() as u32, count),
        };
        let Some(warm) = level.warm.as_ref().filter(|warm| warm.goes_on()) else { return roll() };
        // One that warms up is passed over as often as its share says; when all warm up, the last one drawn is it.
        let now = Instant::now();
        let mut seat = roll();
        for _ in 0..2 * count {
            if warm.factor(seat, now) > fraction(self.dice.roll()) {
                break;
            }
            seat = roll();
        }
        seat
    }

    /// The choice among those that are left, of which there are few: this is a retry. The request's level goes
    /// first.
    fn untried(&self, index: usize, slots: &[Arc<Slot>], wanted: &Wanted<'_>) -> Option<usize> {
        let level = &self.plan.levels[index];
        if let (Some(table), Some(key)) = (&level.table, wanted.key()) {
            let seats = table.walk(key).map(|seat| level.seats[seat].at);
            if let Some(at) = seats.into_iter().find(|at| !wanted.has_tried(&slots[*at])) {
                return Some(at);
            }
        }
        let order = std::iter::once(level).chain(self.plan.levels.iter());
        for level in order {
            let left: Vec<usize> =
                level.seats.iter().map(|seat| seat.at).filter(|at| !wanted.has_tried(&slots[*at])).collect();
            match left.len() {
                0 => {}
                1 => return Some(left[0]),
                count => return Some(left[self.among(&left, count, slots, index)]),
            }
        }
        None
    }

    fn among(&self, left: &[usize], count: usize, slots: &[Arc<Slot>], index: usize) -> usize {
        match self.plan.policy {
            Policy::RoundRobin => self.turns[index].next.fetch_add(1, Relaxed) % count,
            Policy::Random => dice::below(self.dice.roll() as u32, count),
            _ => self.dice.less_of_two(count, |nth| slots[left[nth]].counts.in_flight.load(Relaxed)),
        }
    }
}

impl Level {
    fn is_warming(&self) -> bool {
        self.warm.as_ref().is_some_and(Warm::goes_on)
    }

    /// The share of a seat for now.
    fn share(&self, seat: usize) -> f64 {
        let weight = f64::from(self.seats[seat].weight);
        match self.warm.as_ref().filter(|warm| warm.goes_on()) {
            Some(warm) => weight * warm.factor(seat, Instant::now()),
            None => weight,
        }
    }

    /// A load in proportion to what the seat can bear.
    fn load(&self, seat: usize, load: f64) -> f64 {
        if self.cumulative.is_some() { load / f64::from(self.seats[seat].weight.max(1)) } else { load }
    }
}
