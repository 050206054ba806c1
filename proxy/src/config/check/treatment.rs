//! What a route does to its requests and responses on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;

use super::actions::subset;
use super::{Check, DAY, MILLISECOND};
use crate::config::model::{
    Edits, FallbackAnswer, Fault, FieldValue, Mirror, Part, PathPattern, Rewrite, RouteFallback, Share, Text, Treatment,
};
use crate::config::raw::{
    RawAbort, RawDelay, RawEdits, RawFault, RawMirror, RawPathRewrite, RawRewrite, RawRoute, RawRouteFallback,
};
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn treatment(&mut self, at: &str, raw: &RawRoute, path: &PathPattern) -> Treatment {
        self.without_upstream(at);
        let edits = |check: &mut Self, key, raw: Option<&RawEdits>| {
            raw.map(|raw| check.edits(&child(at, key), raw, path)).unwrap_or_default()
        };
        Treatment {
            rewrite: raw.rewrite.as_ref().map(|raw| self.rewrite(&child(at, "rewrite"), raw, path)).unwrap_or_default(),
            request_headers: edits(self, "request-headers", raw.request_headers.as_ref()),
            response_headers: edits(self, "response-headers", raw.response_headers.as_ref()),
            active_requests: raw
                .active_requests
                .map(|count| self.count(&child(at, "active-requests"), Some(count), 1, 1, 1_000_000)),
            fault: raw.fault.as_ref().map(|raw| self.fault(&child(at, "fault"), raw)),
            mirror: raw.mirror.as_ref().map(|raw| self.mirror(&child(at, "mirror"), raw)),
            fallback: raw.fallback.as_ref().and_then(|raw| self.fallback(&child(at, "fallback"), raw)),
        }
    }

    /// What has no effect on a route that gofe answers itself.
    fn without_upstream(&mut self, at: &str) {
        let Some(own) = ["respond", "redirect"].into_iter().find(|key| self.written(&child(at, key))) else { return };
        if ["upstream", "upstreams"].iter().any(|key| self.written(&child(at, key))) {
            return;
        }
        for key in ["rewrite", "request-headers", "mirror", "fallback"] {
            if self.written(&child(at, key)) {
                self.key_error(&child(at, key), format!("`{key}` has no effect beside `{own}`"));
            }
        }
    }

    fn rewrite(&mut self, at: &str, raw: &RawRewrite, path: &PathPattern) -> Rewrite {
        self.empty_map(at, "write `path`, `prefix`, `regex` or `host`");
        let rewrite = RawPathRewrite {
            path: raw.path.as_ref(),
            prefix: raw.prefix.as_ref(),
            regex: raw.regex.as_ref(),
            replacement: raw.replacement.as_ref(),
        };
        Rewrite {
            path: self.path_rewrite(at, &rewrite, path),
            host: raw.host.as_ref().and_then(|host| self.host(&child(at, "host"), host, path, true)),
        }
    }

    fn edits(&mut self, at: &str, raw: &RawEdits, path: &PathPattern) -> Edits {
        self.empty_map(at, "write `add`, `set` or `remove`");
        let mut remove = Vec::new();
        for (index, name) in raw.remove.iter().enumerate() {
            let Some(name) = name else { continue };
            remove.extend(self.field(&format!("{at}/remove/{index}"), name.0.0.as_str()));
        }
        Edits {
            remove,
            set: self.values(&child(at, "set"), &raw.set, path),
            add: self.values(&child(at, "add"), &raw.add, path),
        }
    }

    fn values(
        &mut self,
        at: &str,
        raw: &BTreeMap<String, String>,
        path: &PathPattern,
    ) -> Vec<(HeaderName, FieldValue)> {
        let mut values = Vec::new();
        for (name, raw) in raw {
            let at = child(at, name);
            let name = self.field(&at, name);
            let Some(text) = self.text(&at, raw, path) else { continue };
            let Some(value) = value(text) else {
                self.error(&at, "no header field has this value");
                continue;
            };
            values.extend(name.map(|name| (name, value)));
        }
        values
    }

    fn fault(&mut self, at: &str, raw: &RawFault) -> Fault {
        if raw.delay.is_none() && raw.abort.is_none() && !["delay", "abort"].iter().any(|k| self.written(&child(at, k)))
        {
            self.error_with_help(at, "this does nothing", "write `delay` or `abort`");
        }
        let delay = |check: &mut Self, raw: &RawDelay| {
            let at = child(&child(at, "delay"), "time");
            let time = check.time(&at, Some(&raw.time), Duration::ZERO, MILLISECOND, DAY);
            (time, raw.percentage.as_ref().map_or(Share::ALL, |percentage| percentage.0.0))
        };
        let abort =
            |raw: &RawAbort| (raw.status.0.0, raw.percentage.as_ref().map_or(Share::ALL, |percentage| percentage.0.0));
        Fault {
            delay: raw.delay.as_ref().map(|raw| delay(self, raw)),
            abort: raw.abort.as_ref().map(abort),
            headers: self.headers(&child(at, "headers"), &raw.headers),
        }
    }

    fn mirror(&mut self, at: &str, raw: &RawMirror) -> Mirror {
        self.reference(&child(at, "upstream"), "upstream", "/upstreams", &raw.upstream);
        let size = self.size(&child(at, "body-size"), raw.body_size.as_ref(), 64 << 10, 0, 16 << 20);
        Mirror {
            upstream: raw.upstream.clone(),
            subset: subset(&raw.subset),
            share: raw.percentage.as_ref().map_or(Share::ALL, |percentage| percentage.0.0),
            body_size: usize::try_from(size).unwrap_or(usize::MAX),
            active_requests: self.count(&child(at, "active-requests"), raw.active_requests, 100, 1, 100_000),
        }
    }

    fn fallback(&mut self, at: &str, raw: &RawRouteFallback) -> Option<RouteFallback> {
        let keys = ["respond", "upstream", "chain"];
        let written: Vec<&str> = keys.into_iter().filter(|key| self.written(&child(at, key))).collect();
        match written[..] {
            [] => self.error_with_help(at, "nothing answers here", "write `respond`, `upstream` or `chain`"),
            [first, second, ..] => {
                self.error(&child(at, second), format!("`{first}` and `{second}` exclude each other"));
            }
            _ => {}
        }
        if self
            .source
            .value()
            .pointer(&child(at, "statuses"))
            .and_then(|value| value.as_array())
            .is_some_and(Vec::is_empty)
        {
            self.error(
                &child(at, "statuses"),
                "the list is empty: leave `statuses` out for failures without an answer",
            );
        }
        let answer = match raw {
            RawRouteFallback { respond: Some(raw), .. } => {
                FallbackAnswer::Fixed(self.fixed(&child(at, "respond"), raw))
            }
            RawRouteFallback { upstream: Some(name), .. } => {
                self.reference(&child(at, "upstream"), "upstream", "/upstreams", name);
                FallbackAnswer::Upstream(name.clone())
            }
            RawRouteFallback { chain: Some(name), .. } => {
                self.reference(&child(at, "chain"), "chain", "/chains", name);
                FallbackAnswer::Chain(name.clone())
            }
            _ => return None,
        };
        Some(RouteFallback { statuses: raw.statuses.iter().flatten().map(|status| status.0.0).collect(), answer })
    }
}

/// A field's value: a fixed one where there are no variables.
fn value(text: Text) -> Option<FieldValue> {
    let literal: String = text
        .0
        .iter()
        .filter_map(|part| if let Part::Literal(text) = part { Some(text.as_str()) } else { None })
        .collect();
    let value = HeaderValue::from_str(&literal).ok()?;
    let fixed = text.0.iter().all(|part| matches!(part, Part::Literal(_)));
    Some(if fixed { FieldValue::Fixed(value) } else { FieldValue::Text(text) })
}
