//! How requests are sent: TLS towards endpoints, retries, breakers, limits, and what of them contradicts each other.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use super::{Check, DAY, HOUR, MILLISECOND};
use crate::config::model::{
    Action, Adaptive, Backend, Breaker, Condition, Hedge, Protocol, Retry, RetryBudget, Route, RouteSending,
    SendLimits, Sending, Upstream, UpstreamTls, VerifyServer, Window,
};
use crate::config::raw::{
    RawAdaptive, RawBreaker, RawHedge, RawRetry, RawRetryBudget, RawRoute, RawSendLimits, RawUpstream, RawUpstreamTls,
};
use crate::config::source::child;
use crate::config::written::{As, Share, Time};

const SECOND: Duration = Duration::from_secs(1);

/// Keys of an upstream that have no effect where there is no connection.
pub(super) fn given(raw: &RawUpstream) -> [(&'static str, bool); 15] {
    [
        ("tls", raw.tls.is_some()),
        ("proxy-protocol", raw.proxy_protocol.is_some()),
        ("local-address", raw.local_address.is_some()),
        ("connection-age", raw.connection_age.is_some()),
        ("connection-requests", raw.connection_requests.is_some()),
        ("response-timeout", raw.response_timeout.is_some()),
        ("response-idle-timeout", raw.response_idle_timeout.is_some()),
        ("retry", raw.retry.is_some()),
        ("retry-budget", raw.retry_budget.is_some()),
        ("hedge", raw.hedge.is_some()),
        ("circuit-breaker", raw.circuit_breaker.is_some()),
        ("endpoint-circuit-breaker", raw.endpoint_circuit_breaker.is_some()),
        ("limits", raw.limits.is_some()),
        ("adaptive-concurrency", raw.adaptive_concurrency.is_some()),
        ("protocol", raw.protocol.is_some()),
    ]
}

impl Check<'_> {
    pub(super) fn sending(&mut self, at: &str, raw: &RawUpstream) -> Sending {
        let key = |name: &str| child(at, name);
        let tls = raw.tls.as_ref().and_then(|tls| self.upstream_tls(&key("tls"), &tls.0));
        if raw.protocol.as_ref().is_some_and(|protocol| protocol.0 == Protocol::Auto) && !self.written(&key("tls")) {
            let help = "add `tls`, or say which of the two the endpoints speak: `http1` or `http2`";
            self.error_with_help(&key("protocol"), "`auto` is agreed upon in TLS, and there is none", help);
        }
        Sending {
            tls,
            proxy_protocol: raw.proxy_protocol.as_ref().map(|version| version.0),
            local_address: raw.local_address.as_ref().map(|address| address.0.0),
            connection_age: self.optional_time(&key("connection-age"), raw.connection_age.as_ref()),
            connection_requests: raw
                .connection_requests
                .map(|count| self.count(&key("connection-requests"), Some(count), 0, 1, 1_000_000_000)),
            response_timeout: self.optional_time(&key("response-timeout"), raw.response_timeout.as_ref()),
            response_idle_timeout: self
                .optional_time(&key("response-idle-timeout"), raw.response_idle_timeout.as_ref()),
            retry: raw.retry.as_ref().map(|raw| self.retry(&key("retry"), raw)),
            retry_budget: self.retry_budget(&key("retry-budget"), raw.retry_budget.as_ref()),
            hedge: raw.hedge.as_ref().map(|raw| self.hedge(&key("hedge"), raw)),
            breaker: raw.circuit_breaker.as_ref().map(|raw| self.breaker(&key("circuit-breaker"), raw)),
            endpoint_breaker: raw
                .endpoint_circuit_breaker
                .as_ref()
                .map(|raw| self.breaker(&key("endpoint-circuit-breaker"), raw)),
            limits: raw.limits.as_ref().map(|raw| self.send_limits(&key("limits"), raw)).unwrap_or_default(),
            adaptive: raw
                .adaptive_concurrency
                .as_ref()
                .and_then(|raw| self.adaptive(&key("adaptive-concurrency"), &raw.0)),
        }
    }

    pub(super) fn route_sending(&mut self, at: &str, raw: &RawRoute) -> RouteSending {
        let sending = RouteSending {
            retry: raw.retry.as_ref().map(|raw| self.retry(&child(at, "retry"), raw)),
            hedge: raw.hedge.as_ref().map(|raw| self.hedge(&child(at, "hedge"), raw)),
            importance: raw.importance.as_ref().map(|importance| importance.0).unwrap_or_default(),
        };
        for (key, given) in
            [("retry", raw.retry.is_some()), ("hedge", raw.hedge.is_some()), ("importance", raw.importance.is_some())]
        {
            if given && raw.respond.is_some() {
                self.key_error(&child(at, key), format!("`{key}` has no effect on a route that answers itself"));
            }
        }
        sending
    }

    fn optional_time(&mut self, at: &str, raw: Option<&As<Time>>) -> Option<Duration> {
        raw.map(|time| self.time(at, Some(time), SECOND, MILLISECOND, DAY))
    }

    fn upstream_tls(&mut self, at: &str, raw: &RawUpstreamTls) -> Option<UpstreamTls> {
        let tls = UpstreamTls {
            server_name: raw.server_name.as_ref().map(|name| name.0.0.clone()),
            authorities: raw.authorities.as_ref().map(|file| self.joined(file.0.0.clone())),
            client_certificate: raw
                .client_certificate
                .as_ref()
                .map(|own| (self.joined(own.certificate.0.0.clone()), self.joined(own.private_key.0.0.clone()))),
            verify: raw.verify.as_ref().map(|verify| verify.0).unwrap_or_default(),
            minimum_version: raw.minimum_version.as_ref().map(|version| version.0).unwrap_or_default(),
        };
        if tls.verify == VerifyServer::Nothing {
            let at_verify = child(at, "verify");
            if tls.authorities.is_some() {
                self.key_error(&child(at, "authorities"), "`authorities` has no effect with `verify: none`");
            }
            let message = "nobody looks at the certificate: anybody on the way can read and change everything";
            self.report(|source| source.error(&at_verify, message).as_warning());
        }
        (!raw.off).then_some(tls)
    }

    fn retry(&mut self, at: &str, raw: &RawRetry) -> Retry {
        let default = Retry::default();
        let on = child(at, "on");
        if raw.on.is_empty() && self.source.value().pointer(&on).is_some_and(serde_json::Value::is_array) {
            self.error(&on, "the list is empty: leave `on` out for tries without a response");
        }
        let mut conditions: Vec<Condition> = raw.on.iter().flatten().map(|condition| condition.0).collect();
        let early = Condition::Status(StatusCode::TOO_EARLY);
        if let Some(place) = raw.on.iter().position(|on| on.as_ref().is_some_and(|on| on.0 == early)) {
            let help = "only the client can send the request again, when its TLS handshake is complete (RFC 8470)";
            self.error_with_help(&child(&on, &place.to_string()), "a try that brings 425 is not repeated", help);
        }
        if conditions.is_empty() {
            conditions = default.on;
        }
        let backoff = child(at, "backoff");
        let (at_base, at_max) = (child(&backoff, "base"), child(&backoff, "max"));
        let minute = Time(Duration::from_secs(60));
        let zero = Time(Duration::ZERO);
        let base = self.time(&at_base, raw.backoff.base.as_ref(), default.backoff_base, zero, minute);
        let max = self.time(&at_max, raw.backoff.max.as_ref(), base * 10, zero, Time(10 * minute.0));
        if max < base {
            self.error(&at_max, "the longest pause is shorter than the first: `max` goes from `base` on");
        }
        Retry {
            attempts: self.count(&child(at, "attempts"), raw.attempts, default.attempts.into(), 1, 10) as u32,
            per_try_timeout: self.optional_time(&child(at, "per-try-timeout"), raw.per_try_timeout.as_ref()),
            on: conditions,
            backoff_base: base,
            backoff_max: max,
            retry_after: self.time(
                &child(at, "retry-after"),
                raw.retry_after.as_ref(),
                default.retry_after,
                zero,
                HOUR,
            ),
            body_size: self.size(&child(at, "body-size"), raw.body_size.as_ref(), default.body_size as u64, 0, 1 << 30)
                as usize,
            non_idempotent: raw.non_idempotent,
        }
    }

    fn retry_budget(&mut self, at: &str, raw: Option<&RawRetryBudget>) -> RetryBudget {
        let default = RetryBudget::default();
        let Some(raw) = raw else { return default };
        RetryBudget {
            percent: self.share(&child(at, "share"), raw.share.as_ref(), default.percent, 0, 1000),
            minimum: self.count(&child(at, "minimum"), raw.minimum, default.minimum.into(), 0, 1_000_000) as u32,
        }
    }

    fn share(&mut self, at: &str, raw: Option<&As<Share>>, default: u32, low: u32, high: u32) -> u32 {
        self.within(at, raw.map(|share| share.0), Share(default), Share(low), Share(high)).0
    }

    fn hedge(&mut self, at: &str, raw: &RawHedge) -> Hedge {
        Hedge {
            delay: self.time(&child(at, "delay"), Some(&raw.delay), SECOND, MILLISECOND, HOUR),
            requests: self.count(&child(at, "requests"), raw.requests, 1, 1, 5) as u32,
        }
    }

    fn breaker(&mut self, at: &str, raw: &RawBreaker) -> Breaker {
        let key = |name: &str| child(at, name);
        let conditions = ["consecutive-failures", "failure-rate", "slow-call-rate"];
        if !conditions.iter().any(|name| self.written(&key(name))) {
            let help = "write one or more of `consecutive-failures`, `failure-rate` and `slow-call-rate`";
            self.error_with_help(at, "nothing opens this breaker", help);
        }
        match (raw.slow_call_rate.is_some(), raw.slow_call.is_some()) {
            (true, false) => self.error(&key("slow-call-rate"), "`slow-call` must say from when on a call is slow"),
            (false, true) => self.key_error(&key("slow-call"), "`slow-call` has no effect without `slow-call-rate`"),
            _ => {}
        }
        let rates = self.written(&key("failure-rate")) || self.written(&key("slow-call-rate"));
        for name in ["window", "minimum-calls"].iter().filter(|_| !rates) {
            if self.written(&key(name)) {
                let message = format!("`{name}` has no effect without `failure-rate` or `slow-call-rate`");
                self.key_error(&key(name), message);
            }
        }
        let window = raw.window.as_ref().map_or(Window::Time(10 * SECOND), |window| window.0);
        match window {
            Window::Time(time) => _ = self.within(&key("window"), Some(Time(time)), Time(SECOND), Time(SECOND), HOUR),
            Window::Calls(calls) => _ = self.within(&key("window"), Some(calls), 1, 1, 10_000),
        }
        let minimum = self.count(&key("minimum-calls"), raw.minimum_calls, 20, 1, 1_000_000) as u32;
        if let Window::Calls(calls) = window
            && calls < minimum
        {
            let message = format!("a window of {calls} calls never has the {minimum} that `minimum-calls` asks for");
            self.error(&key("window"), message);
        }
        let rate = |check: &mut Self, name: &str, raw: Option<&As<Share>>| {
            raw.map(|share| check.share(&key(name), Some(share), 50, 1, 100))
        };
        Breaker {
            consecutive_failures: raw
                .consecutive_failures
                .map(|count| self.count(&key("consecutive-failures"), Some(count), 5, 1, 1_000_000) as u32),
            failure_rate: rate(self, "failure-rate", raw.failure_rate.as_ref()),
            slow_call_rate: rate(self, "slow-call-rate", raw.slow_call_rate.as_ref()),
            slow_call: self.time(&key("slow-call"), raw.slow_call.as_ref(), SECOND, MILLISECOND, HOUR),
            window,
            minimum_calls: minimum,
            open_for: self.time(&key("open-for"), raw.open_for.as_ref(), 5 * SECOND, MILLISECOND, HOUR),
            probes: self.count(&key("probes"), raw.probes, 3, 1, 1000) as u32,
        }
    }

    fn send_limits(&mut self, at: &str, raw: &RawSendLimits) -> SendLimits {
        let most = 10_000_000;
        if raw.pending.is_some() && raw.connections.is_none() {
            self.key_error(&child(at, "pending"), "`pending` has no effect without `connections`: no request waits");
        }
        SendLimits {
            connections: raw.connections.map(|count| self.count(&child(at, "connections"), Some(count), 1, 1, most)),
            pending: self.count(&child(at, "pending"), raw.pending, 1024, 0, most),
            requests: raw.requests.map(|count| self.count(&child(at, "requests"), Some(count), 1, 1, most)),
        }
    }

    fn adaptive(&mut self, at: &str, raw: &RawAdaptive) -> Option<Adaptive> {
        let adaptive = Adaptive {
            minimum: self.count(&child(at, "minimum"), raw.minimum, 10, 1, 1_000_000) as u32,
            maximum: self.count(&child(at, "maximum"), raw.maximum, 1000, 1, 1_000_000) as u32,
            tolerance: self.share(&child(at, "tolerance"), raw.tolerance.as_ref(), 50, 0, 1000),
        };
        if adaptive.maximum < adaptive.minimum {
            self.error(&child(at, "maximum"), "`maximum` is less than `minimum`");
        }
        (!raw.off).then_some(adaptive)
    }

    /// Times of one request that leave no room for each other.
    pub(super) fn contradictions(&mut self, routes: &[Route], upstreams: &BTreeMap<String, Upstream>) {
        let written = self.source.value().pointer("/routes").and_then(|routes| routes.as_array());
        // With a hole among the routes, their numbers are not those of the file.
        if written.is_none_or(|written| written.len() != routes.len()) {
            return;
        }
        for (index, route) in routes.iter().enumerate() {
            let Action::Upstream(name) = &route.action else { continue };
            let at = format!("/routes/{index}");
            let upstream = upstreams.get(name).map(|upstream| &upstream.sending);
            let its = child("/upstreams", name);
            let own = |key: &str, here: bool| child(if here { &at } else { &its }, key);
            let retry = route.sending.retry.as_ref().or_else(|| upstream?.retry.as_ref());
            let at_retry = own("retry", route.sending.retry.is_some());
            let per_try = retry.and_then(|retry| retry.per_try_timeout);
            if let Some(per_try) = per_try.filter(|per_try| *per_try > route.timeout) {
                self.longer(&child(&at_retry, "per-try-timeout"), "one try", per_try, "the whole request", route, &at);
            }
            let backend = upstreams.get(name).map(|upstream| &upstream.backend);
            if route.sending.hedge.is_some() && matches!(backend, Some(Backend::Component(_))) {
                self.key_error(&child(&at, "hedge"), "`hedge` has no effect on a component: it is one endpoint");
            }
            let hedge = route.sending.hedge.or_else(|| upstream?.hedge);
            let at_delay = child(&own("hedge", route.sending.hedge.is_some()), "delay");
            if let Some(hedge) = hedge.filter(|hedge| hedge.delay >= route.timeout) {
                self.longer(&at_delay, "the rival's delay", hedge.delay, "the whole request", route, &at);
            } else if let (Some(hedge), Some(per_try)) = (hedge, per_try)
                && hedge.delay >= per_try
            {
                let message = format!(
                    "the rival's delay of {} is not shorter than the try of {}: there is never one",
                    Time(hedge.delay),
                    Time(per_try)
                );
                self.error(&at_delay, message);
            }
        }
    }

    fn longer(&mut self, at: &str, what: &str, time: Duration, whole: &str, route: &Route, route_at: &str) {
        let place = self.source.locate(&child(route_at, "timeout"));
        let message = format!(
            "{what} may take {}, but {whole} of the route at {}:{} only {}",
            Time(time),
            place.line,
            place.column,
            Time(route.timeout)
        );
        self.error(at, message);
    }
}
