//! From counts to text: the families that gofe has, and the two dialects of the format.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

use super::State;
use super::cells::{BOUNDS, BUCKETS, Distribution};
use super::series::EndpointCounts;

/// The dialect of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text, version 0.0.4: what everything reads.
    Prometheus,
    /// OpenMetrics text, version 1.0.0: for those that ask for it.
    OpenMetrics,
}

impl Exposition {
    /// The one that a scraper's `Accept` field asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Brings text in OpenMetrics to this dialect.
    pub(super) fn render(self, open_metrics: String) -> String {
        match self {
            Self::Prometheus => prometheus(&open_metrics),
            Self::OpenMetrics => open_metrics,
        }
    }
}

/// In Prometheus text a counter's family has the name of its samples, `_total` included, and nothing marks the end.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

/// A family that is being written.
pub(super) struct Family<'a>(MetricEncoder<'a>);

/// A series' labels.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

impl Family<'_> {
    /// The encoder of one series. Without labels it is the family's own, so that no empty braces are written.
    fn series<T>(
        &mut self,
        labels: &Labels<'_>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> T,
    ) -> Result<T, fmt::Error> {
        if labels.is_empty() {
            Ok(write(&mut self.0))
        } else {
            self.0.encode_family(&labels).map(|mut e| write(&mut e))
        }
    }

    pub(super) fn counter(&mut self, labels: &Labels<'_>, count: u64) -> fmt::Result {
        self.series(labels, |e| e.encode_counter::<NoLabelSet, _, u64>(&count, None))?
    }

    pub(super) fn seconds(&mut self, labels: &Labels<'_>, seconds: f64) -> fmt::Result {
        self.series(labels, |e| e.encode_counter::<NoLabelSet, _, u64>(&seconds, None))?
    }

    pub(super) fn gauge(&mut self, labels: &Labels<'_>, value: u64) -> fmt::Result {
        self.series(labels, |e| e.encode_gauge(&value))?
    }

    pub(super) fn float_gauge(&mut self, labels: &Labels<'_>, value: f64) -> fmt::Result {
        self.series(labels, |e| e.encode_gauge(&value))?
    }

    pub(super) fn histogram(&mut self, labels: &Labels<'_>, values: &Distribution) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut buckets = [(0.0, 0); BUCKETS];
        for (bucket, pair) in buckets.iter_mut().zip(bounds.zip(values.counts)) {
            *bucket = pair;
        }
        let count = values.counts.iter().sum();
        self.series(labels, |e| e.encode_histogram::<NoLabelSet>(values.sum, count, &buckets, None))?
    }
}

/// Writes `HELP` and `TYPE` of a family; `name` is without `_total`.
pub(super) fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    kind: MetricType,
    help: &str,
) -> Result<Family<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind).map(Family)
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_proxy(encoder)?;
        self.encode_reloads(encoder)?;
        self.encode_routes(encoder)?;
        self.encode_upstreams(encoder)?;
        self.encode_plugins(encoder)?;
        self.customs.encode(encoder)?;
        self.encode_process(encoder)
    }
}

impl State {
    fn encode_proxy(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        family(encoder, "gofe_build_info", Gauge, "The version that runs; always 1.")?
            .gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1)?;
        // Closed before opened: what closes between the two sums would else make the difference negative.
        let closed = self.proxy.sum(|cell| cell.closed.get());
        let opened = self.proxy.sum(|cell| cell.opened.get());
        family(encoder, "gofe_connections_active", Gauge, "Client connections that are open.")?
            .gauge(&[], opened.saturating_sub(closed))?;
        family(encoder, "gofe_connections", Counter, "Client connections that were accepted.")?.counter(&[], opened)?;
        let help = "Client connections over a limit, by which.";
        let mut refused = family(encoder, "gofe_connections_refused", Counter, help)?;
        self.refused.totals().into_iter().try_for_each(|(limit, count)| refused.counter(&[("limit", limit)], count))?;
        let help = "Connections whose bytes were passed on, by how they ended.";
        let mut passed = family(encoder, "gofe_tcp_connections", Counter, help)?;
        self.passed.totals().into_iter().try_for_each(|(end, count)| passed.counter(&[("end", end)], count))?;
        let mut orders = family(encoder, "gofe_acme_orders", Counter, "Orders of certificates by ACME, by result.")?;
        let results = self.acme_orders.totals();
        results.into_iter().try_for_each(|(result, count)| orders.counter(&[("result", result)], count))?;
        let help = "HTTP/2 connections closed for what their clients did, by reason.";
        let mut closed = family(encoder, "gofe_http2_closed", Counter, help)?;
        let reasons = self.http2_closed.totals();
        reasons.into_iter().try_for_each(|(reason, count)| closed.counter(&[("reason", reason)], count))?;
        let redirected = self.proxy.sum(|cell| cell.redirected.get());
        family(encoder, "gofe_redirects", Counter, "Requests that a listener sent on to HTTPS.")?
            .counter(&[], redirected)?;
        let mut handshakes = family(encoder, "gofe_tls_handshakes", Counter, "TLS handshakes, by result.")?;
        let results = self.handshakes.totals();
        results.into_iter().try_for_each(|(result, count)| handshakes.counter(&[("result", result)], count))?;
        let mut tunnels = family(encoder, "gofe_tunnels", Counter, "Tunnels that have ended, by how they did.")?;
        self.tunnels.totals().into_iter().try_for_each(|(end, count)| tunnels.counter(&[("end", end)], count))?;
        let mut calls = family(encoder, "gofe_grpc_calls", Counter, "Calls of gRPC, by their status.")?;
        self.calls.totals().into_iter().try_for_each(|(status, count)| calls.counter(&[("status", status)], count))?;
        let help = "Connections refused for their PROXY header, by reason.";
        let mut refused = family(encoder, "gofe_proxy_protocol_refused", Counter, help)?;
        let reasons = self.proxy_headers.totals();
        reasons.into_iter().try_for_each(|(reason, count)| refused.counter(&[("reason", reason)], count))?;
        let dropped = self.proxy.sum(|cell| cell.dropped_lines.get());
        family(encoder, "gofe_output_dropped", Counter, "Lines of plugins' output that were lost.")?
            .counter(&[], dropped)?;
        let mut errors = family(encoder, "gofe_errors", Counter, "Requests that the proxy itself failed, by reason.")?;
        self.errors.totals().into_iter().try_for_each(|(reason, count)| errors.counter(&[("reason", reason)], count))
    }

    fn encode_reloads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reloads = &self.reloads;
        let mut results = family(encoder, "gofe_reloads", Counter, "Configurations taken or refused since the start.")?;
        results.counter(&[("result", "ok")], reloads.ok.get())?;
        results.counter(&[("result", "failed")], reloads.failed.get())?;
        family(encoder, "gofe_config_generation", Gauge, "The generation of the configuration that serves.")?
            .gauge(&[], reloads.generation.load(Relaxed))?;
        family(encoder, "gofe_swap_seconds", Histogram, "From the event of a reload to the new configuration serving.")?
            .histogram(&[], &Distribution::of([&reloads.swaps].into_iter()))
    }

    fn encode_routes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.routes.lock().clone();
        let mut requests = family(encoder, "gofe_requests", Counter, "Requests that are over, by status class.")?;
        for (name, route) in &routes {
            for (code, count) in route.ended() {
                requests.counter(&[("route", name.as_str()), ("code", code)], count)?;
            }
        }
        let mut active = family(encoder, "gofe_requests_active", Gauge, "Requests that are not over.")?;
        routes.iter().try_for_each(|(name, route)| active.gauge(&[("route", name.as_str())], route.active()))?;
        let help = "From a request's headers to the end of the response's body.";
        let mut durations = family(encoder, "gofe_request_duration_seconds", Histogram, help)?;
        routes.iter().try_for_each(|(name, route)| durations.histogram(&[("route", name.as_str())], &route.durations()))
    }

    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let help = "Tries, retries included, by status class or failure.";
        let mut requests = family(encoder, "gofe_upstream_requests", Counter, help)?;
        for (name, upstream) in &upstreams {
            for (outcome, count) in upstream.outcomes() {
                requests.counter(&[("upstream", name.as_str()), ("outcome", outcome)], count)?;
            }
        }
        let help = "Repeated tries, rivals, breakers that change, and requests over a limit.";
        let mut events = family(encoder, "gofe_upstream_events", Counter, help)?;
        for (name, upstream) in &upstreams {
            for (event, count) in upstream.events() {
                events.counter(&[("upstream", name.as_str()), ("event", event)], count)?;
            }
        }
        let help = "From the choice of an endpoint to the response's headers or the failure.";
        let mut durations = family(encoder, "gofe_upstream_duration_seconds", Histogram, help)?;
        upstreams.iter().try_for_each(|(name, upstream)| {
            durations.histogram(&[("upstream", name.as_str())], &upstream.durations())
        })?;
        let counts: Vec<_> = upstreams.iter().map(|(name, upstream)| (name.as_str(), upstream.endpoints())).collect();
        encode_endpoints(encoder, &counts)
    }

    fn encode_plugins(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins: Vec<_> =
            self.plugins.lock().iter().map(|(name, plugin)| (name.clone(), plugin.totals())).collect();
        let mut calls = family(encoder, "gofe_plugin_calls", Counter, "Calls of a plugin, by phase.")?;
        for (name, totals) in &plugins {
            for (phase, count) in &totals.calls {
                calls.counter(&[("plugin", name.as_str()), ("phase", phase)], *count)?;
            }
        }
        let mut faults = family(encoder, "gofe_plugin_faults", Counter, "Failed calls of a plugin, by kind.")?;
        for (name, totals) in &plugins {
            for (kind, count) in &totals.faults {
                faults.counter(&[("plugin", name.as_str()), ("kind", kind)], *count)?;
            }
        }
        let mut seconds = family(encoder, "gofe_plugin_seconds", Counter, "Execution time of a plugin's calls.")?;
        for (name, totals) in &plugins {
            seconds.seconds(&[("plugin", name.as_str())], totals.elapsed.as_secs_f64())?;
        }
        let mut instances = family(encoder, "gofe_plugin_instances", Gauge, "Instances of a plugin that exist.")?;
        for (name, totals) in &plugins {
            instances.gauge(&[("plugin", name.as_str())], totals.instances)?;
        }
        let mut memory = family(encoder, "gofe_plugin_memory_bytes", Gauge, "Linear memory of a plugin's instances.")?;
        plugins.iter().try_for_each(|(name, totals)| memory.gauge(&[("plugin", name.as_str())], totals.memory))
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = self.process.resident() {
            family(encoder, "process_resident_memory_bytes", Gauge, "Resident memory.")?.gauge(&[], bytes)?;
        }
        if let Some(cpu) = self.process.cpu() {
            family(encoder, "process_cpu_seconds", Counter, "Processor time, user and system.")?
                .seconds(&[], cpu.as_secs_f64())?;
        }
        Ok(())
    }
}

fn encode_endpoints(encoder: &mut DescriptorEncoder<'_>, upstreams: &[(&str, EndpointCounts)]) -> fmt::Result {
    let mut states = family(encoder, "gofe_upstream_endpoints", Gauge, "Endpoints, by state.")?;
    for (name, counts) in upstreams {
        for (state, count) in &counts.states {
            states.gauge(&[("upstream", name), ("state", state)], *count)?;
        }
    }
    let mut ejections = family(encoder, "gofe_upstream_ejections", Counter, "Endpoints ejected, by cause.")?;
    for (name, counts) in upstreams {
        for (cause, count) in &counts.ejections {
            ejections.counter(&[("upstream", name), ("cause", cause)], *count)?;
        }
    }
    let mut checks = family(encoder, "gofe_upstream_health_checks", Counter, "Health checks, by result.")?;
    for (name, counts) in upstreams.iter().filter(|(_, counts)| counts.good_checks + counts.bad_checks > 0) {
        checks.counter(&[("upstream", name), ("result", "ok")], counts.good_checks)?;
        checks.counter(&[("upstream", name), ("result", "failed")], counts.bad_checks)?;
    }
    let help = "Searches for endpoints that found none.";
    let mut searches = family(encoder, "gofe_upstream_discovery_failures", Counter, help)?;
    for (name, counts) in upstreams.iter().filter(|(_, counts)| counts.failed_searches > 0) {
        searches.counter(&[("upstream", name)], counts.failed_searches)?;
    }
    Ok(())
}
