//! What the mock remembers, one for each thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::{IncomingResponse, Level, OutboundError, OutgoingRequest, Request, Response};
use crate::{Field, Phases, Summary};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Works on this thread's state.
pub(super) fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|state| work(&mut state.borrow_mut()))
}

pub(super) type Answer = Rc<dyn Fn(&OutgoingRequest) -> Result<IncomingResponse, OutboundError>>;
pub(super) type Labels = Vec<(String, String)>;

/// A token bucket.
pub(super) struct Bucket {
    pub(super) tokens: f64,
    pub(super) filled: Duration,
}

pub(super) struct State {
    /// The phase that runs; empty between phases and in `configure`.
    pub(super) phase: Phases,
    /// Whether the messages can still be changed.
    pub(super) request_open: bool,
    pub(super) response_open: bool,
    pub(super) request: Option<Request>,
    pub(super) response: Option<Response>,
    pub(super) body: Vec<u8>,
    pub(super) reply: Option<(u16, Vec<Field>, Vec<u8>)>,
    pub(super) failure: Option<String>,
    pub(super) attributes: BTreeMap<String, Vec<u8>>,
    pub(super) upstream: Option<String>,
    pub(super) subset: Labels,
    pub(super) summary: Summary,
    /// Fields that the response gets when it begins.
    pub(super) prepared: Vec<Field>,
    /// Path and query as the client wrote them, where the plugin changed them.
    pub(super) original_target: Option<String>,

    pub(super) now: Duration,
    pub(super) random: u64,
    pub(super) log_level: Level,
    pub(super) logs: Vec<(Level, String)>,
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) key_value_granted: bool,
    pub(super) values: BTreeMap<String, (Vec<u8>, Option<Duration>)>,
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) counters: BTreeMap<String, (i64, Duration)>,
    pub(super) metrics_granted: bool,
    pub(super) metrics: BTreeMap<(String, Labels), f64>,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) http_granted: Vec<String>,
    pub(super) http_answer: Option<Answer>,
    pub(super) upstreams: BTreeMap<String, Vec<Labels>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phases::empty(),
            request_open: false,
            response_open: false,
            request: None,
            response: None,
            body: Vec::new(),
            reply: None,
            failure: None,
            attributes: BTreeMap::new(),
            upstream: None,
            subset: Vec::new(),
            summary: Summary::default(),
            prepared: Vec::new(),
            original_target: None,
            // 2026-01-01T00:00:00Z
            now: Duration::from_secs(1_767_225_600),
            random: 0,
            log_level: Level::Trace,
            logs: Vec::new(),
            lines: Vec::new(),
            key_value_granted: false,
            values: BTreeMap::new(),
            buckets: BTreeMap::new(),
            counters: BTreeMap::new(),
            metrics_granted: false,
            metrics: BTreeMap::new(),
            secrets: BTreeMap::new(),
            http_granted: Vec::new(),
            http_answer: None,
            upstreams: BTreeMap::new(),
        }
    }
}
