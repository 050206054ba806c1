//! What answers a route's requests.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use super::Check;
use crate::config::model::Backend;
use crate::config::model::{
    Action, Choice, Config, Fixed, Part, PathPattern, PathRewrite, RouteRedirect, Split, Sticky, Text,
};
use crate::config::raw::{RawChoice, RawPathRewrite, RawRespond, RawRoute, RawRouteRedirect, RawSticky, RawSubset};
use crate::config::source::child;
use crate::config::text;

/// Fields that the framing of messages and gofe's own work depend on, and how to say it right.
const FRAMING: [(&str, &str); 9] = [
    ("connection", "gofe writes it itself"),
    ("content-length", "gofe writes it itself"),
    ("host", "write `rewrite: { host: … }`"),
    ("keep-alive", "gofe writes it itself"),
    ("proxy-connection", "gofe writes it itself"),
    ("te", "gofe writes it itself"),
    ("trailer", "gofe writes it itself"),
    ("transfer-encoding", "gofe writes it itself"),
    ("upgrade", "gofe writes it itself"),
];

impl Check<'_> {
    pub(super) fn action(&mut self, at: &str, raw: &RawRoute, path: &PathPattern) -> Action {
        let keys = ["upstream", "upstreams", "respond", "redirect"];
        let written: Vec<&str> = keys.into_iter().filter(|key| self.written(&child(at, key))).collect();
        match written[..] {
            [] => {
                self.error_with_help(at, "the route leads nowhere", "add `upstream: NAME` or `respond: { status: … }`");
            }
            [first, second, ..] => {
                self.error(&child(at, second), format!("`{first}` and `{second}` exclude each other"));
            }
            _ => {}
        }
        if let Some(name) = &raw.upstream {
            self.reference(&child(at, "upstream"), "upstream", "/upstreams", name);
        }
        if self.written(&child(at, "sticky")) && !self.written(&child(at, "upstreams")) {
            self.key_error(&child(at, "sticky"), "`sticky` has no effect without `upstreams`");
        }
        match raw {
            RawRoute { respond: Some(raw), .. } => Action::Respond(self.fixed(&child(at, "respond"), raw)),
            RawRoute { redirect: Some(raw), .. } => {
                Action::Redirect(self.route_redirect(&child(at, "redirect"), raw, path))
            }
            _ if self.written(&child(at, "upstreams")) => Action::Split(self.split(at, raw)),
            _ => Action::Upstream(raw.upstream.clone().unwrap_or_default()),
        }
    }

    pub(super) fn fixed(&mut self, at: &str, raw: &RawRespond) -> Fixed {
        let status = raw.status.as_ref().map_or(StatusCode::OK, |status| status.0.0);
        let body = raw.body.clone().unwrap_or_default();
        // RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
        if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
            self.error(&child(at, "body"), format!("an answer with status {} has no body", status.as_u16()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &raw.headers {
            let at = child(&child(at, "headers"), name);
            let (name, value) = (self.field(&at, name), HeaderValue::from_str(value));
            match (name, value) {
                (Some(name), Ok(value)) => _ = headers.append(name, value),
                (_, Err(_)) => self.error(&at, "no header field has this value"),
                (None, _) => {}
            }
        }
        Fixed { status, headers, body }
    }

    /// The name of a field that gofe may write.
    pub(super) fn field(&mut self, at: &str, name: &str) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            self.key_error(at, "no header field has this name");
            return None;
        };
        match FRAMING.iter().find(|(framing, _)| *framing == name.as_str()) {
            Some((_, help)) => {
                let message = format!("`{name}` cannot be written here");
                self.report(|source| source.key_error(at, message).with_help(*help));
                None
            }
            None => Some(name),
        }
    }

    /// A text with variables; nothing where it is wrong.
    pub(super) fn text(&mut self, at: &str, raw: &str, path: &PathPattern) -> Option<Text> {
        match text::read(raw, path) {
            Ok(text) => Some(text),
            Err(reason) => {
                match reason.split_once('\n') {
                    Some((message, help)) => self.error_with_help(at, message, help),
                    None => self.error(at, reason),
                }
                None
            }
        }
    }

    /// A host, with a port where that is allowed; with variables it shows only when it is asked for.
    pub(super) fn host(&mut self, at: &str, raw: &str, path: &PathPattern, port: bool) -> Option<Text> {
        let text = self.text(at, raw, path)?;
        let literal = text.0.iter().all(|part| matches!(part, Part::Literal(_)));
        let authority = raw.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
        if literal && authority.is_none_or(|authority| !port && authority.port().is_some()) {
            self.error_with_help(at, format!("`{raw}` is not a host"), "write a name, as in `example.com`");
            return None;
        }
        Some(text)
    }

    fn route_redirect(&mut self, at: &str, raw: &RawRouteRedirect, path: &PathPattern) -> RouteRedirect {
        let port = raw.port.map(|port| self.within(&child(at, "port"), Some(port), 443, 1, 65_535));
        let elsewhere = ["scheme", "host", "port", "path", "prefix", "regex"];
        if !elsewhere.iter().any(|key| self.written(&child(at, key))) {
            let help = "write `scheme`, `host`, `port`, `path`, `prefix` or `regex`";
            self.error_with_help(at, "this redirects to where the request came from", help);
        }
        let rewrite = RawPathRewrite {
            path: raw.path.as_ref(),
            prefix: raw.prefix.as_ref(),
            regex: raw.regex.as_ref(),
            replacement: raw.replacement.as_ref(),
        };
        RouteRedirect {
            status: raw.status.as_ref().map_or(StatusCode::TEMPORARY_REDIRECT, |status| status.0.0),
            scheme: raw.scheme.as_ref().map(|scheme| scheme.0.0),
            host: raw.host.as_ref().and_then(|host| self.host(&child(at, "host"), host, path, false)),
            port: port.and_then(|port| u16::try_from(port).ok()),
            path: self.path_rewrite(at, &rewrite, path),
        }
    }

    pub(super) fn path_rewrite(
        &mut self,
        at: &str,
        raw: &RawPathRewrite<'_>,
        path: &PathPattern,
    ) -> Option<PathRewrite> {
        let keys = ["path", "prefix", "regex"];
        let written: Vec<&str> = keys.into_iter().filter(|key| self.written(&child(at, key))).collect();
        if let [first, second, ..] = written[..] {
            self.error(&child(at, second), format!("`{first}` and `{second}` exclude each other"));
        }
        let (at_regex, at_replacement) = (child(at, "regex"), child(at, "replacement"));
        match (self.written(&at_regex), self.written(&at_replacement)) {
            (true, false) => self.error(&at_regex, "`replacement` is missing"),
            (false, true) => self.key_error(&at_replacement, "`replacement` has no effect without `regex`"),
            _ => {}
        }
        match *raw {
            RawPathRewrite { path: Some(text), .. } => {
                let at = child(at, "path");
                if !text.starts_with('/') && !text.starts_with("{request.path}") {
                    self.error(&at, "a path begins with `/`");
                }
                self.text(&at, text, path).map(PathRewrite::Text)
            }
            RawPathRewrite { prefix: Some(prefix), .. } => {
                let at = child(at, "prefix");
                if !matches!(path, PathPattern::Prefix(_)) {
                    let help = "let the route match `/a/**`, or write `path`";
                    self.error_with_help(&at, "the route matches no prefix that this could replace", help);
                } else if !prefix.starts_with('/')
                    || !prefix.bytes().all(|b| b.is_ascii_graphic() && !b"?#{}".contains(&b))
                {
                    self.error_with_help(&at, format!("`{prefix}` is not a path"), "write one as in `/v2`, or `/`");
                }
                Some(PathRewrite::Prefix(prefix.trim_end_matches('/').to_owned()))
            }
            RawPathRewrite { regex: Some(regex), replacement: Some(replacement), .. } => {
                let pattern = regex.0.0.clone();
                if let Some(group) = unknown_group(replacement, pattern.regex()) {
                    let message = format!("the expression has no group `{group}`");
                    self.error_with_help(
                        &at_replacement,
                        message,
                        "write `${1}` or `${name}` for a group, `$$` for `$`",
                    );
                }
                Some(PathRewrite::Regex(pattern, replacement.clone()))
            }
            _ => None,
        }
    }

    fn split(&mut self, at: &str, raw: &RawRoute) -> Split {
        let list = child(at, "upstreams");
        let mut choices = Vec::new();
        for (index, raw) in raw.upstreams.iter().enumerate() {
            let Some(raw) = raw else { continue };
            let at = format!("{list}/{index}");
            choices.push(self.choice(&at, raw));
        }
        let whole = raw.upstreams.iter().all(Option::is_some);
        if whole && choices.is_empty() {
            self.error(&list, "there are no upstreams");
        } else if whole && choices.iter().all(|choice| choice.weight == 0) {
            self.error_with_help(
                &list,
                "all weights are 0: no request could go anywhere",
                "give one upstream a weight",
            );
        }
        Split { choices, sticky: raw.sticky.as_ref().and_then(|raw| self.sticky(&child(at, "sticky"), raw)) }
    }

    fn choice(&mut self, at: &str, raw: &RawChoice) -> Choice {
        self.reference(&child(at, "upstream"), "upstream", "/upstreams", &raw.upstream);
        let weight = self.count(&child(at, "weight"), raw.weight, 1, 0, 1_000_000);
        Choice { upstream: raw.upstream.clone(), weight: weight as u32, subset: subset(&raw.subset) }
    }

    fn sticky(&mut self, at: &str, raw: &RawSticky) -> Option<Sticky> {
        let keys = ["cookie", "header", "client-address"];
        let written = keys.into_iter().filter(|key| self.written(&child(at, key))).count();
        if written != 1 || (self.written(&child(at, "client-address")) && !raw.client_address) {
            let help = "write `{ cookie: NAME }`, `{ header: NAME }` or `{ client-address: true }`";
            self.error_with_help(at, "a choice sticks to one thing", help);
        }
        match raw {
            RawSticky { cookie: Some(name), .. } => {
                if HeaderName::from_bytes(name.as_bytes()).is_err() {
                    self.error(&child(at, "cookie"), "no cookie has this name");
                }
                Some(Sticky::Cookie(name.clone()))
            }
            RawSticky { header: Some(name), .. } => Some(Sticky::Header(name.0.0.clone())),
            RawSticky { client_address: true, .. } => Some(Sticky::ClientAddress),
            _ => None,
        }
    }

    /// Subsets that no endpoint is in. Only where the file names all endpoints can that be known.
    pub(super) fn subsets(&mut self, config: &Config) {
        let lists = self.source.value().pointer("/routes").and_then(|value| value.as_array());
        // With a hole among the routes, their numbers are not those of the file.
        if lists.is_none_or(|routes| routes.len() != config.routes.len()) {
            return;
        }
        for (index, route) in config.routes.iter().enumerate() {
            let mut named = Vec::new();
            if let Action::Split(split) = &route.action {
                let place = |at| format!("/routes/{index}/upstreams/{at}/subset");
                named.extend(split.choices.iter().enumerate().map(|(at, c)| (place(at), &c.upstream, &c.subset)));
            }
            if let Some(mirror) = &route.treatment.mirror {
                named.push((format!("/routes/{index}/mirror/subset"), &mirror.upstream, &mirror.subset));
            }
            for (at, name, subset) in named {
                let upstream = config.upstreams.get(name);
                let endpoints = match upstream.map(|upstream| &upstream.backend) {
                    Some(Backend::Endpoints(endpoints)) => endpoints.as_slice(),
                    Some(Backend::Component(_)) if !subset.is_empty() => {
                        self.error(&at, format!("`{name}` is a component, which has no labels"));
                        continue;
                    }
                    _ => continue,
                };
                let within = |labels: &std::collections::BTreeMap<String, String>| {
                    subset.iter().all(|(name, value)| labels.get(name) == Some(value))
                };
                if !endpoints.is_empty() && !endpoints.iter().any(|endpoint| within(&endpoint.labels)) {
                    self.error(&at, format!("no endpoint of `{name}` has these labels"));
                }
            }
        }
    }
}

/// Labels in the order of their names.
pub(super) fn subset(raw: &RawSubset) -> Vec<(String, String)> {
    raw.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The first group that a replacement names and the expression does not have.
fn unknown_group(replacement: &str, regex: &regex::Regex) -> Option<String> {
    let groups = regex::Regex::new(r"\$\$|\$\{([^}]*)\}|\$([0-9A-Za-z_]+)").ok()?;
    let named = groups.captures_iter(replacement).filter_map(|found| found.get(1).or(found.get(2)));
    let known = |name: &str| match name.parse::<usize>() {
        Ok(number) => number < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|known| known == name),
    };
    named.map(|found| found.as_str().to_owned()).find(|name| !known(name))
}
