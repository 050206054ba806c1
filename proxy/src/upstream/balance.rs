//! Which of several endpoints serves a request.
//!
//! Each worker chooses for itself, by what it knows: its own turn and its own requests in flight. So no choice
//! touches memory that another core writes, and every worker's share is as even as the whole.

mod dice;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::pick::Wanted;
use super::slot::Slot;
use crate::config::Balance;
use dice::Dice;

/// The candidates for requests of one kind, and whose turn it is among them.
pub(super) struct Group {
    balance: Balance,
    /// Places in the view.
    members: Box<[usize]>,
    turn: AtomicUsize,
    dice: Dice,
}

impl Group {
    /// A group of these places. Workers take turns from different beginnings, or the first endpoint would get all
    /// first requests.
    pub(super) fn new(balance: Balance, members: Box<[usize]>, worker: usize) -> Self {
        Self { balance, members, turn: AtomicUsize::new(worker), dice: Dice::new() }
    }

    /// The place of the chosen one; none where all have been tried.
    pub(super) fn choose(&self, slots: &[Arc<Slot>], wanted: &Wanted<'_>) -> Option<usize> {
        let count = self.members.len();
        if count == 0 {
            return None;
        }
        let at = self.members[self.draw(slots, count)];
        if wanted.is_first() || !wanted.has_tried(&slots[at]) {
            return Some(at);
        }
        self.untried(slots, wanted)
    }

    fn draw(&self, slots: &[Arc<Slot>], count: usize) -> usize {
        if count == 1 {
            return 0;
        }
        match self.balance {
            Balance::RoundRobin => self.turn.fetch_add(1, Relaxed) % count,
            Balance::LeastRequest => {
                self.dice.less_of_two(count, |nth| slots[self.members[nth]].counts.in_flight.load(Relaxed))
            }
        }
    }

    /// The choice among those that are left, of which there are few: this is a retry.
    fn untried(&self, slots: &[Arc<Slot>], wanted: &Wanted<'_>) -> Option<usize> {
        let left: Box<[usize]> = self.members.iter().copied().filter(|at| !wanted.has_tried(&slots[*at])).collect();
        match left.len() {
            0 => None,
            1 => Some(left[0]),
            count => {
                let nth = match self.balance {
                    Balance::RoundRobin => self.turn.fetch_add(1, Relaxed) % count,
                    Balance::LeastRequest => {
                        self.dice.less_of_two(count, |nth| slots[left[nth]].counts.in_flight.load(Relaxed))
                    }
                };
                Some(left[nth])
            }
        }
    }
}
