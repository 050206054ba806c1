//! One request, several tries: one after the other where a try fails, one beside the other where it is slow.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::cluster::{Call, Sent};
use super::common::{Common, millis};
use super::pick::Pick;
use super::replay::Replay;
use super::slot::{Failure, Slot, Terms};
use super::{Error, judge};
use crate::config::{Hedge, Retry};
use crate::http::Body;

/// How much of a response that nobody will see is read, so that its connection can serve again.
const DRAIN: usize = 64 << 10;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What came of a try.
struct Ended {
    slot: Arc<Slot>,
    sent: Result<Response<Body>, Failure>,
    begun: Instant,
    /// How long it took, where another follows.
    took: Duration,
}

/// A try under way.
type Try<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;

/// How a request is tried.
#[derive(Clone, Copy)]
pub(super) struct Policy<'a> {
    /// What follows on a failed try; nothing but another endpoint for one that refuses connections, where it is absent.
    pub(super) retry: Option<&'a Retry>,
    /// What follows on a slow one.
    pub(super) hedge: Option<Hedge>,
}

impl Policy<'_> {
    /// Whether one try is all there is.
    pub(super) fn is_plain(&self) -> bool {
        self.retry.is_none() && self.hedge.is_none()
    }
}

/// One request on its way through tries.
struct Tries<'a> {
    common: &'a Common,
    call: &'a Call<'a>,
    terms: &'a Terms<'a>,
    policy: Policy<'a>,
    pick: Pick<'a>,
    replay: Replay,
    /// When the first try begins, until it has.
    begun: Option<Instant>,
}

/// Sends a request, which begins now, until a try succeeds or none may follow; nothing where there is no endpoint.
pub(super) async fn send(
    common: &Common,
    pick: Pick<'_>,
    request: Box<Request<Body>>,
    call: &Call<'_>,
    terms: &Terms<'_>,
    policy: Policy<'_>,
    begun: std::time::Instant,
) -> Option<Result<Sent, Error>> {
    common.budget.deposit(millis(begun));
    let most = policy.retry.map_or(0, |retry| retry.body_size);
    let replay = Replay::new(request, most);
    Tries { common, call, terms, policy, pick, replay, begun: Some(begun.into()) }.run().await
}

impl Tries<'_> {
    async fn run(&mut self) -> Option<Result<Sent, Error>> {
        let mut unsent = None;
        let (mut tries, mut forgot) = (0, 0);
        let mut last: Option<Ended> = None;
        loop {
            let Some(slot) = self.another(tries, &mut forgot) else { return last.map(Ended::result) };
            let request = match unsent.take() {
                Some(unsent) => unsent,
                None => match self.replay.next() {
                    Some(request) => request,
                    None => return last.map(Ended::result),
                },
            };
            let mut ended = self.group(slot, request).await;
            if ended.is_refused_by_breaker() {
                if let Err(failure) = &mut ended.sent {
                    unsent = failure.unsent.take();
                }
                // What happened at an endpoint says more than that nothing was sent to another.
                last.get_or_insert(ended);
                continue;
            }
            tries += 1;
            if let Some(last) = last.take() {
                self.discard(last);
            }
            let Some(pause) = self.again(&ended, tries) else { return Some(ended.result()) };
            ended.took = ended.begun.elapsed();
            if !pause.is_zero() {
                sleep(pause).await;
            }
            if let Err(failure) = &mut ended.sent {
                unsent = failure.unsent.take();
            }
            last = Some(ended);
        }
    }

    /// The endpoint for the next try: one that was not tried, while there is one.
    fn another(&mut self, tries: u32, forgot: &mut u32) -> Option<Arc<Slot>> {
        if let Some(slot) = self.pick.next() {
            return Some(slot);
        }
        // Once for each try: where all breakers are open, there is none.
        if self.policy.retry.is_none() || tries == *forgot {
            return None;
        }
        *forgot = tries;
        self.pick.forget();
        self.pick.next()
    }

    /// Whether another try follows, and after which pause.
    fn again(&self, ended: &Ended, tries: u32) -> Option<Duration> {
        let Some(retry) = self.policy.retry else {
            // An endpoint that refuses connections is passed over, each at most once.
            let refused = matches!(&ended.sent, Err(failure) if failure.unsent.is_some() && !failure.error.is_final());
            return refused.then_some(Duration::ZERO);
        };
        let mut pause = judge::pause(retry, tries);
        let safe = retry.non_idempotent || judge::is_idempotent(self.replay.head().method());
        let may = match &ended.sent {
            Ok(response) if judge::is_bad(retry, response) => {
                if let Some(asked) = judge::retry_after(response.headers()) {
                    if asked > retry.retry_after {
                        return None;
                    }
                    pause = pause.max(asked);
                }
                safe && self.replay.can_again()
            }
            Ok(_) => return None,
            Err(failure) if failure.error.is_final() || !judge::is_repeated(retry, &failure.error) => return None,
            Err(failure) => {
                failure.unsent.is_some() || ((safe || failure.error.is_refused_stream()) && self.replay.can_again())
            }
        };
        if !may || tries >= retry.attempts || Instant::now() + pause >= self.terms.deadline.into() {
            return None;
        }
        if !self.common.budget.withdraw(millis(std::time::Instant::now())) {
            self.call.events.count("retry-budget-spent");
            return None;
        }
        self.call.events.count("retry");
        Some(pause)
    }

    /// One try, and its rivals where it is slow: the first that does not fail.
    async fn group(&mut self, slot: Arc<Slot>, request: Box<Request<Body>>) -> Ended {
        let per_try = self.policy.retry.and_then(|retry| retry.per_try_timeout);
        let terms = self.terms;
        let begun = self.begun.take().unwrap_or_else(Instant::now);
        match self.policy.hedge {
            None => one(slot, request, terms, per_try, begun).await,
            Some(hedge) => {
                let first: Try<'_> = Box::pin(one(slot, request, terms, per_try, begun));
                self.rivals(hedge, first, per_try).await
            }
        }
    }

    async fn rivals<'t>(&mut self, hedge: Hedge, first: Try<'t>, per_try: Option<Duration>) -> Ended
    where
        Self: 't,
    {
        let terms = self.terms;
        let mut tries = vec![first];
        let mut timer = pin!(sleep(hedge.delay));
        let mut left = hedge.requests;
        loop {
            let waits = left > 0;
            let ended = poll_fn(|cx| {
                for at in 0..tries.len() {
                    if let Poll::Ready(ended) = tries[at].as_mut().poll(cx) {
                        drop(tries.swap_remove(at));
                        return Poll::Ready(Some(ended));
                    }
                }
                if waits && timer.as_mut().poll(cx).is_ready() { Poll::Ready(None) } else { Poll::Pending }
            })
            .await;
            match ended {
                Some(ended) if tries.is_empty() || !self.has_failed(&ended) => return ended,
                Some(mut ended) => {
                    ended.took = ended.begun.elapsed();
                    self.discard(ended);
                }
                None => {
                    left -= 1;
                    timer.as_mut().reset(Instant::now() + hedge.delay);
                    if let Some((slot, request)) = self.rival() {
                        tries.push(Box::pin(one(slot, request, terms, per_try, Instant::now())));
                    }
                }
            }
        }
    }

    /// Another endpoint for the request that is under way, and a copy of it.
    fn rival(&mut self) -> Option<(Arc<Slot>, Box<Request<Body>>)> {
        let safe = judge::is_idempotent(self.replay.head().method())
            || self.policy.retry.is_some_and(|retry| retry.non_idempotent);
        if !safe || !self.replay.can_beside() {
            return None;
        }
        let slot = self.pick.next().filter(|_| self.common.budget.withdraw(millis(std::time::Instant::now())))?;
        self.call.events.count("hedge");
        Some((slot, self.replay.next()?))
    }

    fn has_failed(&self, ended: &Ended) -> bool {
        match &ended.sent {
            Err(_) => true,
            Ok(response) => self.policy.retry.is_some_and(|retry| judge::is_bad(retry, response)),
        }
    }

    /// Counts a try that nobody will see, and keeps its connection where that is cheap.
    fn discard(&self, ended: Ended) {
        let (worker, metrics) = (self.call.worker, self.call.events.metrics);
        match ended.sent {
            Ok(response) => {
                if let Some(metrics) = metrics {
                    metrics.response(worker, response.status().as_u16(), ended.took);
                }
                let body = response.into_body();
                if !http_body::Body::is_end_stream(&body) {
                    tokio::spawn(timeout(DRAIN_TIME, Limited::new(body, DRAIN).collect()));
                }
            }
            Err(failure) => {
                if let Some(metrics) = metrics {
                    metrics.failure(worker, failure.error.kind(), ended.took);
                }
                tracing::debug!("a try failed, another follows: {}", failure.error);
            }
        }
    }
}

impl Ended {
    fn result(self) -> Result<Sent, Error> {
        match self.sent {
            Ok(response) => Ok(Sent::from(response, &self.slot)),
            Err(failure) => Err(failure.error),
        }
    }

    /// Whether the endpoint's breaker kept the request from it: then it was no try.
    fn is_refused_by_breaker(&self) -> bool {
        matches!(&self.sent, Err(Failure { error: Error::CircuitOpen { endpoint: Some(_), .. }, .. }))
    }
}

/// One try at one endpoint, which begins now.
async fn one(
    slot: Arc<Slot>,
    request: Box<Request<Body>>,
    terms: &Terms<'_>,
    per_try: Option<Duration>,
    begun: Instant,
) -> Ended {
    let sent = match per_try {
        None => slot.send(request, terms, None, begun.into()).await,
        Some(limit) => {
            let mut sending = pin!(slot.send(request, terms, Some(limit), begun.into()));
            tokio::select! {
                biased;
                sent = &mut sending => sent,
                () = sleep_until(begun + limit) => Err(Failure { error: slot.late(limit), unsent: None }),
            }
        }
    };
    Ended { slot, sent, begun, took: Duration::ZERO }
}
