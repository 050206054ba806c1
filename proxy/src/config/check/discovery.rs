//! Where endpoints come from, whether they are well, and when they are ejected.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::Method;

use super::{Check, DAY, HOUR, MILLISECOND};
use crate::config::model::{
    Backend, Dns, EndpointFile, Health, LatencyOutlier, Outliers, Probe, Protocol, Records, Sample, SuccessRate,
};
use crate::config::raw::{RawDiscovery, RawDns, RawHealth, RawHttpProbe, RawOutliers, RawUpstream};
use crate::config::source::child;
use crate::config::written::{Initial, Time};

const SECOND: Duration = Duration::from_secs(1);

impl Check<'_> {
    pub(super) fn discovery(&mut self, at: &str, raw: &RawDiscovery) -> Backend {
        let nothing = Backend::Endpoints(Vec::new());
        let dns = raw.dns.as_ref().map(|dns| self.dns(&child(at, "dns"), &dns.0));
        match (dns, &raw.file) {
            (Some(dns), None) => Backend::Dns(dns),
            (None, Some(file)) => Backend::File(EndpointFile(self.joined(file.0.0.clone()))),
            (None, None) if self.keys(at).len() == 1 => nothing,
            _ => {
                let help = "write `dns: HOST:PORT` or `file: file:PATH`";
                self.error_with_help(at, "endpoints are found in one way", help);
                nothing
            }
        }
    }

    fn dns(&mut self, at: &str, raw: &RawDns) -> Dns {
        let name = raw.name.trim_end_matches('.');
        let labels = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if name.len() > 253 || !name.split('.').all(labels) {
            self.error(at, format!("`{name}` is not a name that DNS has"));
        } else if name.parse::<std::net::IpAddr>().is_ok() {
            self.error_with_help(at, format!("`{name}` is an address"), "write it under `endpoints`");
        }
        let records = raw.records.as_ref().map(|records| records.0).unwrap_or_default();
        let port = raw.port.map(|port| self.within(&child(at, "port"), Some(port), 1, 1, 65_535) as u16);
        match (records, port) {
            (Records::Srv, Some(_)) => {
                self.key_error(&child(at, "port"), "`port` has no effect on SRV records, which have ports");
            }
            (Records::Ip | Records::A | Records::Aaaa, None) if !self.written(&child(at, "port")) => {
                self.error_with_help(at, "addresses need a port", "add `port: NUMBER`, or `records: srv`");
            }
            _ => {}
        }
        let (least, most) = (child(at, "minimum-ttl"), child(at, "maximum-ttl"));
        let low = self.time(&least, raw.minimum_ttl.as_ref(), SECOND, Time(SECOND / 10), DAY);
        let high = self.time(&most, raw.maximum_ttl.as_ref(), (SECOND * 300).max(low), Time(SECOND / 10), DAY);
        if low > high {
            self.error(&least, "`minimum-ttl` is longer than `maximum-ttl`");
        }
        let servers = raw.servers.iter().flatten().map(|server| server.0).collect();
        Dns { name: name.to_owned(), port, records, ttl: low..=high, servers }
    }

    pub(super) fn health(&mut self, at: &str, raw: &RawUpstream, protocol: Protocol) -> Option<Health> {
        let (at, health) = (child(at, "health"), raw.health.as_ref()?);
        let probe = self.probe(&at, health, protocol)?;
        let (interval, timeout) = (child(&at, "interval"), child(&at, "timeout"));
        let count = |check: &mut Self, key: &str, value, default| {
            check.count(&child(&at, key), value, default, 1, 1_000) as u32
        };
        let port = health.port.map(|port| self.within(&child(&at, "port"), Some(port), 1, 1, 65_535) as u16);
        Some(Health {
            probe,
            port,
            interval: self.time(&interval, health.interval.as_ref(), SECOND * 10, Time(SECOND / 100), DAY),
            timeout: self.time(&timeout, health.timeout.as_ref(), SECOND * 2, MILLISECOND, HOUR),
            jitter: health.jitter.as_ref().map_or(10, |percent| percent.0.0),
            healthy_after: count(self, "healthy-after", health.healthy_after, 2),
            unhealthy_after: count(self, "unhealthy-after", health.unhealthy_after, 3),
            optimistic: health.initial.as_ref().is_none_or(|initial| initial.0 == Initial::Healthy),
        })
    }

    fn probe(&mut self, at: &str, raw: &RawHealth, protocol: Protocol) -> Option<Probe> {
        let http = raw.http.as_ref().map(|http| self.http_probe(&child(at, "http"), &http.0));
        let grpc = raw.grpc.as_ref().filter(|grpc| !grpc.0.off);
        let grpc = grpc.map(|grpc| Probe::Grpc { service: grpc.0.service.clone() });
        let tcp = raw.tcp.unwrap_or_default().then_some(Probe::Tcp);
        if grpc.is_some() && protocol == Protocol::Http1 {
            let message = "gRPC is spoken over HTTP/2, and this upstream's protocol is `http1`";
            self.error_with_help(&child(at, "grpc"), message, "add `protocol: http2` to the upstream");
        }
        let mut found = http.into_iter().chain(grpc).chain(tcp);
        let probe = found.next();
        let written = ["http", "grpc", "tcp"].iter().filter(|key| self.written(&child(at, key))).count();
        if found.next().is_some() || (probe.is_none() && written != 1) || (raw.tcp == Some(false)) {
            let help = "write one of `http: /PATH`, `grpc: true` and `tcp: true`";
            self.error_with_help(at, "health is asked for in one way", help);
        }
        probe
    }

    fn http_probe(&mut self, at: &str, raw: &RawHttpProbe) -> Probe {
        let method = raw.method.as_ref().map_or(Method::GET, |method| method.0.clone());
        if method != Method::GET && method != Method::HEAD {
            self.error(&child(at, "method"), "a health check is a GET or a HEAD");
        }
        if method == Method::HEAD && raw.body.is_some() {
            self.key_error(&child(at, "body"), "`body` has no effect: the answer to a HEAD has none");
        }
        if !raw.path.starts_with('/') || raw.path.parse::<http::uri::PathAndQuery>().is_err() {
            self.error(at, format!("`{}` is not a path", raw.path));
        }
        if let Some(host) = &raw.host
            && host.parse::<http::uri::Authority>().is_err()
        {
            self.error(&child(at, "host"), format!("`{host}` is not a host"));
        }
        let mut status: Vec<RangeInclusive<u16>> = raw.status.iter().flatten().map(|range| range.0.0.clone()).collect();
        if status.is_empty() {
            status.push(200..=299);
        }
        Probe::Http { method, path: raw.path.clone(), host: raw.host.clone(), status, body: raw.body.clone() }
    }

    pub(super) fn outliers(&mut self, at: &str, raw: &RawUpstream) -> Option<Outliers> {
        let at = child(at, "outlier-detection");
        let raw = raw.outlier_detection.as_ref().map(|outliers| &outliers.0).filter(|outliers| !outliers.off)?;
        let (five, gateway) = (child(&at, "consecutive-5xx"), child(&at, "consecutive-gateway-failure"));
        let (interval, base) = (child(&at, "interval"), child(&at, "base-ejection-time"));
        let most = child(&at, "max-ejection-time");
        let base_ejection = self.time(&base, raw.base_ejection_time.as_ref(), SECOND * 30, MILLISECOND, DAY);
        let default = (SECOND * 300).max(base_ejection);
        let max_ejection = self.time(&most, raw.max_ejection_time.as_ref(), default, MILLISECOND, DAY);
        if max_ejection < base_ejection {
            self.error(&most, "`max-ejection-time` is shorter than `base-ejection-time`");
        }
        let outliers = Outliers {
            consecutive_5xx: self.count(&five, raw.consecutive_5xx, 5, 0, 1_000_000) as u32,
            consecutive_gateway: self.count(&gateway, raw.consecutive_gateway_failure, 0, 0, 1_000_000) as u32,
            success_rate: self.success_rate(&child(&at, "success-rate"), raw),
            latency: self.latency(&child(&at, "latency"), raw),
            interval: self.time(&interval, raw.interval.as_ref(), SECOND * 10, Time(SECOND / 100), DAY),
            base_ejection,
            max_ejection,
            max_ejected: raw.max_ejection_percent.as_ref().map_or(10, |percent| percent.0.0),
        };
        let counts = outliers.consecutive_5xx > 0 || outliers.consecutive_gateway > 0;
        if !counts && outliers.success_rate.is_none() && outliers.latency.is_none() {
            self.error(&at, "nothing here ejects an endpoint");
        }
        Some(outliers)
    }

    fn success_rate(&mut self, at: &str, raw: &RawOutliers) -> Option<SuccessRate> {
        let raw = raw.success_rate.as_ref().map(|rate| &rate.0).filter(|rate| !rate.off)?;
        Some(SuccessRate {
            deviation: self.count(&child(at, "stdev-factor"), raw.stdev_factor, 1_900, 1, 100_000) as u32,
            sample: self.sample(at, raw.minimum_endpoints, 5, raw.minimum_requests),
        })
    }

    fn latency(&mut self, at: &str, raw: &RawOutliers) -> Option<LatencyOutlier> {
        let raw = raw.latency.as_ref().map(|latency| &latency.0).filter(|latency| !latency.off)?;
        Some(LatencyOutlier {
            factor: self.count(&child(at, "factor"), raw.factor, 3, 2, 1_000) as u32,
            sample: self.sample(at, raw.minimum_endpoints, 3, raw.minimum_requests),
        })
    }

    fn sample(&mut self, at: &str, endpoints: Option<u64>, least: u64, requests: Option<u64>) -> Sample {
        Sample {
            endpoints: self.count(&child(at, "minimum-endpoints"), endpoints, least, 2, 10_000),
            requests: self.count(&child(at, "minimum-requests"), requests, 100, 1, 1_000_000_000) as u64,
        }
    }
}
