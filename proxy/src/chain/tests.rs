//! The runner with filters that do what a test says, for orders and policies that a client cannot tell apart.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    BodyPolicy, Chain, Client, Exchange, Fault, FaultKind, Filter, Hand, Interest, Outcome, Overflow, Phase, Phases,
    Pumped, Reply, Shared, State, Verdict,
};
use crate::config::OnError;
use crate::http::Body;

type Calls = Arc<Mutex<Vec<String>>>;

/// Notes its calls, and does something else than to go on in one phase.
struct Step {
    name: &'static str,
    calls: Calls,
    interest: Interest,
    on_error: OnError,
    acts: Option<(Phase, Act)>,
}

#[derive(Clone, Copy)]
enum Act {
    Reply,
    Fault,
}

impl Filter for Step {
    fn name(&self) -> &str {
        self.name
    }

    fn interest(&self) -> Interest {
        self.interest
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    async fn call(&self, phase: Phase, exchange: &mut Exchange) -> Outcome {
        self.calls.lock().unwrap().push(format!("{} {phase}", self.name));
        match self.acts.filter(|(when, _)| *when == phase) {
            None => Outcome::Continue,
            Some((_, Act::Reply)) => {
                exchange.reply = Some(Reply::plain(StatusCode::IM_A_TEAPOT));
                Outcome::Respond
            }
            Some((_, Act::Fault)) => Outcome::Fault(Fault { kind: FaultKind::Trap, message: "as told".to_owned() }),
        }
    }
}

fn interest(phases: &[Phase]) -> Interest {
    let phases = phases.iter().fold(Phases::default(), |all, phase| all.with(*phase));
    Interest { phases, ..Interest::default() }
}

/// Three steps that take part in the header phases and in the end; the one in the middle does something else.
fn three(act: Option<(Phase, Act)>, on_error: OnError) -> (Arc<Chain<Step>>, Calls) {
    let calls = Calls::default();
    let step = |name| {
        let acts = act.filter(|_| name == "b");
        let interest = interest(&[Phase::RequestHeaders, Phase::ResponseHeaders, Phase::Complete]);
        Arc::new(Step { name, calls: calls.clone(), interest, on_error, acts })
    };
    (Arc::new(Chain::new("test", ["a", "b", "c"].map(step).into())), calls)
}

fn exchange() -> Exchange {
    let parts = http::Request::get("/").body(()).unwrap().into_parts().0;
    let client = Arc::new(Client::new(0, "192.0.2.7:1000".parse().unwrap(), None));
    Exchange::new(State::new(parts, client, "route".into(), Arc::new(()), Instant::now()))
}

/// Takes a request through the header phases and to its end; the status, and the calls.
async fn run((chain, calls): (Arc<Chain<Step>>, Calls)) -> (u16, Vec<String>) {
    let mut exchange = exchange();
    match chain.request_headers(&mut exchange).await {
        Verdict::Continue => exchange.response = Some(http::Response::new(()).into_parts().0),
        Verdict::Reply(reply) => drop(exchange.set_response(reply)),
    }
    chain.response_headers(&mut exchange).await;
    chain.complete(&mut exchange).await;
    let status = exchange.response.as_ref().unwrap().status.as_u16();
    let calls = calls.lock().unwrap().clone();
    (status, calls)
}

const ALL: [&str; 9] = [
    "a request-headers",
    "b request-headers",
    "c request-headers",
    "c response-headers",
    "b response-headers",
    "a response-headers",
    "a complete",
    "b complete",
    "c complete",
];

#[tokio::test]
async fn requests_go_in_order_and_responses_in_reverse() {
    let (status, calls) = run(three(None, OnError::FailClosed)).await;
    assert_eq!((status, &*calls), (200, &ALL.map(str::to_owned)[..]));
}

#[tokio::test]
async fn a_reply_is_seen_by_the_steps_before_and_by_no_step_behind() {
    let (status, calls) = run(three(Some((Phase::RequestHeaders, Act::Reply)), OnError::FailClosed)).await;
    let expected = ["a request-headers", "b request-headers", "a response-headers", "a complete", "b complete"];
    assert_eq!((status, &*calls), (418, &expected.map(str::to_owned)[..]));
}

#[tokio::test]
async fn a_fault_that_fails_closed_is_500_and_ends_the_request_phases() {
    let (status, calls) = run(three(Some((Phase::RequestHeaders, Act::Fault)), OnError::FailClosed)).await;
    assert_eq!(status, 500);
    assert!(!calls.contains(&"c request-headers".to_owned()), "{calls:?}");
    assert!(calls.contains(&"a response-headers".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn a_fault_that_fails_open_takes_the_step_out_of_this_request_alone() {
    let (chain, calls) = three(Some((Phase::RequestHeaders, Act::Fault)), OnError::FailOpen);
    for _ in 0..2 {
        calls.lock().unwrap().clear();
        let (status, calls) = run((chain.clone(), calls.clone())).await;
        let expected = ALL.into_iter().filter(|call| !call.starts_with("b ") || call.ends_with("request-headers"));
        assert_eq!((status, calls), (200, expected.map(str::to_owned).collect()));
    }
}

#[test]
fn prepared_fields_are_on_every_response_and_the_last_one_counts() {
    let (name, value) = (HeaderName::from_static("x-quota"), HeaderValue::from_static);
    let mut exchange = exchange();
    assert_eq!(exchange.prepared.put(name.clone(), value("7")), None);
    assert_eq!(exchange.prepared.put(name.clone(), value("5")), Some((name.clone(), value("7"))));
    let mut parts = http::Response::new(()).into_parts().0;
    parts.headers.insert(name.clone(), value("the upstream's"));
    exchange.begin_response(parts);
    assert!(!exchange.may_prepare());
    assert_eq!(exchange.response.as_ref().unwrap().headers[&name], "5");
    exchange.set_response(Reply::plain(StatusCode::IM_A_TEAPOT));
    assert_eq!(exchange.response.as_ref().unwrap().headers[&name], "5");
}

#[tokio::test]
async fn a_reply_in_a_response_phase_takes_the_place_of_the_response() {
    let (status, calls) = run(three(Some((Phase::ResponseHeaders, Act::Reply)), OnError::FailClosed)).await;
    assert_eq!((status, &*calls), (418, &ALL.map(str::to_owned)[..]));
}

/// What becomes of ten bytes where one step buffers at most `limit`.
async fn buffered(limit: u64, overflow: Overflow) -> (Result<Bytes, u16>, usize) {
    let calls = Calls::default();
    let interest = Interest { request_body: BodyPolicy::Buffer { limit, overflow }, ..interest(&[Phase::RequestBody]) };
    let step = Step { name: "a", calls: calls.clone(), interest, on_error: OnError::FailClosed, acts: None };
    let chain = Arc::new(Chain::new("test", vec![Arc::new(step)]));
    let mut hand = Hand::Own(exchange());
    let body = match chain.pump(Phase::RequestBody, &mut hand, Body::full("0123456789")).await.unwrap() {
        Pumped::Body(body) => Ok(http_body_util::BodyExt::collect(body).await.unwrap().to_bytes()),
        Pumped::Reply(reply) => Err(reply.status.as_u16()),
    };
    let calls = calls.lock().unwrap().len();
    (body, calls)
}

#[tokio::test]
async fn a_buffered_body_is_judged_once_and_past_the_limit_refused_or_passed_on() {
    let whole = Ok(Bytes::from("0123456789"));
    assert_eq!(buffered(10, Overflow::Reject).await, (whole.clone(), 1));
    assert_eq!(buffered(9, Overflow::Reject).await, (Err(413), 0));
    assert_eq!(buffered(9, Overflow::Pass).await, (whole, 0));
}

#[tokio::test]
async fn a_shared_exchange_is_in_one_hand_at_a_time() {
    let shared = Shared::new(exchange());
    let tasks: Vec<_> = (0..10_usize)
        .map(|number| {
            let shared = shared.clone();
            tokio::spawn(async move {
                let mut exchange = shared.lock().await;
                exchange.reached += number;
                tokio::task::yield_now().await;
                exchange.reached += number;
            })
        })
        .collect();
    // One that gives up waiting, and one that gives up what it has.
    tasks[3].abort();
    tokio::task::yield_now().await;
    tasks[0].abort();
    for task in tasks {
        let _ = task.await;
    }
    assert_eq!(shared.lock().await.reached, 2 * (45 - 3));
}
