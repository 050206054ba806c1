//! One try at one endpoint, as breakers and ejection see it: whatever becomes of it, its end is told once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::breaker::{Breaker, Permit};
use super::common::millis;
use super::outcome::{End, Outcome};
use super::slot::{Slot, Terms};

/// One try at one endpoint.
pub(super) struct Trial<'a> {
    slot: &'a Slot,
    terms: &'a Terms<'a>,
    begun: Instant,
    /// When whoever waits gives up.
    until: Instant,
    permits: [Option<Permit>; 2],
    over: bool,
}

impl<'a> Trial<'a> {
    /// Begins a try, unless a breaker is open.
    pub(super) fn begin(
        slot: &'a Slot,
        terms: &'a Terms<'a>,
        limit: Option<Duration>,
        begun: Instant,
    ) -> Result<Self, Error> {
        let until = limit.map_or(terms.deadline, |limit| terms.deadline.min(begun + limit));
        let refused = |endpoint| Error::CircuitOpen { upstream: Arc::clone(&slot.upstream), endpoint };
        // The endpoint's goes first: a request that goes elsewhere is no probe of the upstream.
        let endpoint = match &slot.endpoint.breaker {
            None => None,
            Some(breaker) => Some(
                admit(breaker, slot, Some(&slot.address), terms, begun)
                    .ok_or_else(|| refused(Some(Arc::clone(&slot.address))))?,
            ),
        };
        let upstream = match &slot.common.breaker {
            None => None,
            Some(breaker) => Some(admit(breaker, slot, None, terms, begun).ok_or_else(|| refused(None))?),
        };
        Ok(Self { slot, terms, begun, until, permits: [endpoint, upstream], over: false })
    }

    /// How it ended, and what outlier detection may know of it by now; how long it took.
    pub(super) fn end(&mut self, end: End, judged: Option<End>) -> Duration {
        self.over = true;
        let now = Instant::now();
        let latency = now.duration_since(self.begun);
        self.slot.report(&Outcome { end, judged, latency, at: now });
        for (place, permit) in self.permits.iter_mut().enumerate() {
            let (Some(permit), Some(failed)) = (permit.take(), end.failed()) else { continue };
            let changed = permit.report(failed, latency, millis(now));
            let endpoint = (place == 0).then_some(&*self.slot.address);
            self.slot.common.changed(changed, endpoint, self.terms.events);
        }
        latency
    }
}

impl Drop for Trial<'_> {
    /// A try that is given up when its time is over has failed; one whose client went away says nothing.
    fn drop(&mut self) {
        if !self.over && Instant::now() >= self.until {
            self.end(End::Timeout, Some(End::Timeout));
        }
    }
}

fn admit(
    breaker: &Arc<Breaker>,
    slot: &Slot,
    endpoint: Option<&str>,
    terms: &Terms<'_>,
    now: Instant,
) -> Option<Permit> {
    let (permit, changed) = breaker.admit(millis(now));
    slot.common.changed(changed, endpoint, terms.events);
    permit
}
