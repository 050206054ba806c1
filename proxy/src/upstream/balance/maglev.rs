//! Maglev (Eisenbud and others, NSDI 2016): a table in which endpoints take places in turn, each in an order of its
//! own. Shares are all but equal, a lookup is one step, and the loss of an endpoint moves few other keys.

use super::dice;

/// The seat of each entry.
pub(super) struct Maglev {
    table: Box<[u32]>,
}

/// Nobody has taken this entry.
const FREE: u32 = u32::MAX;

impl Maglev {
    /// A table with `size` entries, a prime number, so that each order reaches all of them.
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)>, size: usize) -> Self {
        struct Order {
            next: usize,
            skip: usize,
            weight: f64,
            taken: f64,
        }
        let mut orders: Vec<Order> = endpoints
            .map(|(address, weight)| {
                let hash = super::hash(address.as_bytes());
                let offset = (hash % size as u64) as usize;
                let skip = (dice::mix(!hash) % (size as u64 - 1)) as usize + 1;
                Order { next: offset, skip, weight: f64::from(weight.max(1)), taken: 0.0 }
            })
            .collect();
        let heaviest = orders.iter().map(|order| order.weight).fold(0.0, f64::max);
        let mut table = vec![FREE; if orders.is_empty() { 0 } else { size }];
        let (mut free, mut round) = (table.len(), 0.0);
        while free > 0 {
            round += 1.0;
            for (seat, order) in orders.iter_mut().enumerate() {
                // The heaviest takes an entry in each round, the others in as many as their weight says.
                if round * order.weight < order.taken || free == 0 {
                    continue;
                }
                order.taken += heaviest;
                while table[order.next] != FREE {
                    order.next = (order.next + order.skip) % size;
                }
                table[order.next] = seat as u32;
                free -= 1;
            }
        }
        Self { table: table.into() }
    }

    /// The seat of a key.
    pub(super) fn find(&self, key: u64) -> usize {
        self.table.get(self.entry(key)).map_or(0, |seat| *seat as usize)
    }

    /// The seats from a key's entry on.
    pub(super) fn walk(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let (before, behind) = self.table.split_at(self.entry(key));
        behind.iter().chain(before).map(|seat| *seat as usize)
    }

    fn entry(&self, key: u64) -> usize {
        ((u128::from(key) * self.table.len() as u128) >> 64) as usize
    }
}
