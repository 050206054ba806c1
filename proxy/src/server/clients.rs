//! How many connections each client has, over all workers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::worker::Shared;

/// Connections are counted in so many parts, so that workers seldom wait for each other.
const PARTS: usize = 16;

/// Connections by client. It has an entry for each client that is connected, and none for others.
#[derive(Debug, Default)]
pub(super) struct Clients {
    parts: [Mutex<HashMap<u128, usize>>; PARTS],
}

/// A connection of a client, for as long as it is open.
pub(super) struct Place {
    shared: Arc<Shared>,
    client: u128,
}

impl Place {
    /// Counts a connection of the client at this address; nothing where it has `most` already.
    pub(super) fn take(shared: &Arc<Shared>, address: IpAddr, most: usize) -> Option<Self> {
        let client = client(address);
        let mut part = shared.clients.part(client).lock();
        let count = part.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(part);
        Some(Self { shared: shared.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut part = self.shared.clients.part(self.client).lock();
        if let Some(count) = part.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                part.remove(&self.client);
            }
        }
    }
}

impl Clients {
    fn part(&self, client: u128) -> &Mutex<HashMap<u128, usize>> {
        // The last bits of either kind of address that tell clients apart.
        let mixed = (client ^ (client >> 64)) as u64;
        &self.parts[(mixed ^ (mixed >> 32)) as usize % PARTS]
    }
}

/// Who a client is: an IPv4 address, or an IPv6 network of 64 bits, of which one customer has all addresses.
fn client(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_leaves_nothing_behind() {
        let shared = Shared::new();
        let take = |address: &str| Place::take(&shared, address.parse().unwrap(), 2);
        let places = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(places.iter().all(Option::is_some) && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some(), "another client");
        let network = [take("2001:db8::1"), take("2001:db8::ffff:1")];
        assert!(network.iter().all(Option::is_some) && take("2001:db8::2").is_none());
        assert!(take("2001:db8:0:1::1").is_some(), "another network");
        drop((places, network));
        assert!(take("192.0.2.1").is_some());
        assert!(shared.clients.parts.iter().all(|part| part.lock().is_empty()));
    }
}
