//! What a route does to its requests and responses, beside finding somebody who answers.

use std::fmt::Write;

use http::header::{HOST, HeaderMap, LOCATION, SET_COOKIE};
use http::{HeaderValue, Request, StatusCode};

use super::flight::Flight;
use super::rescue::{Refusal, Trouble};
use crate::chain::{Reply, State};
use crate::config::{Fault, Sticky};
use crate::http::Body;
use crate::route::chance::{falls, roll};
use crate::route::{Facts, cookies, point};
use crate::snapshot::{Action, Split, Treatment, Upstream};

/// What texts can say of the request in hand.
fn facts<'a>(state: &'a State, treatment: &'a Treatment) -> Facts<'a> {
    let client = &state.client;
    let tls = client.tls.as_deref();
    Facts {
        method: &state.request.method,
        target: state.original_uri.as_ref().unwrap_or(&state.request.uri),
        headers: &state.request.headers,
        address: client.address,
        ip: &client.ip,
        secure: client.secure,
        server_name: tls.and_then(|tls| tls.server_name.as_deref()),
        tls_version: tls.map(|tls| tls.version),
        client_subject: tls.and_then(|tls| tls.client_subject.as_deref()),
        route: &state.route,
        pattern: &treatment.pattern,
    }
}

impl Flight {
    /// What happens behind the request-header phases: the limit, the faults, a redirect. An answer ends the request.
    pub(super) async fn treat(&mut self) -> Result<Option<Reply>, Trouble> {
        let pin = self.pin.clone();
        let route = &pin.routes[self.route];
        let Some(treatment) = route.treatment.as_deref() else { return Ok(None) };
        if let Some(room) = &treatment.room {
            let permit = room.clone().try_acquire_owned().map_err(|_| Trouble::Busy)?;
            self.hand.lock().await.permit = Some(permit);
        }
        if let Some(fault) = &treatment.rules.fault {
            self.fail(fault).await?;
        }
        let Action::Redirect(redirect) = &route.action else { return Ok(None) };
        let exchange = self.hand.lock().await;
        let location = facts(&exchange, treatment).location(redirect, &exchange.request.uri);
        let location = location.map_err(|_| Refusal::AmbiguousPath)?;
        let reply = Reply::plain(redirect.status);
        let mut headers = reply.headers;
        headers.insert(LOCATION, location);
        Ok(Some(Reply { headers, ..reply }))
    }

    async fn fail(&mut self, fault: &Fault) -> Result<(), Trouble> {
        let meant = {
            let exchange = self.hand.lock().await;
            let headers = &exchange.request.headers;
            fault.headers.iter().all(|(name, wanted)| wanted.holds(headers.get_all(name).iter()))
        };
        if !meant {
            return Ok(());
        }
        if let Some((time, share)) = fault.delay
            && falls(share)
        {
            tokio::time::sleep(time).await;
        }
        match fault.abort {
            Some((status, share)) if falls(share) => Err(Trouble::Injected(status)),
            _ => Ok(()),
        }
    }
}

impl Treatment {
    /// Gives the request the path, host and header that the upstream shall see.
    pub(super) fn prepare(
        &self,
        state: &State,
        headers: Option<&HeaderMap>,
        request: &mut Request<Body>,
    ) -> Result<(), Trouble> {
        let rules = &self.rules;
        let mut facts = facts(state, self);
        // Where nobody looks back, the fields are with the request already.
        let own = if headers.is_none() { request.headers().clone() } else { HeaderMap::new() };
        facts.headers = headers.unwrap_or(&own);
        if let Some(rewrite) = &rules.rewrite.path {
            let target = facts.target(rewrite, request.uri()).map_err(|_| Refusal::AmbiguousPath)?;
            *request.uri_mut() = target;
        }
        if let Some(host) = &rules.rewrite.host {
            let host = HeaderValue::try_from(facts.text(host)).ok().filter(|host| !host.is_empty());
            request.headers_mut().insert(HOST, host.ok_or(Refusal::Host)?);
        }
        facts.edit(&rules.request_headers, request.headers_mut());
        Ok(())
    }

    /// Whether the request is another than the client's when it is sent.
    pub(super) fn prepares(&self) -> bool {
        let rules = &self.rules;
        rules.rewrite.path.is_some() || rules.rewrite.host.is_some() || !rules.request_headers.is_empty()
    }

    /// Gives the response the header that the client shall see.
    pub(super) fn finish(&self, state: &mut State) {
        let Some(mut response) = state.response.take() else { return };
        if !self.rules.response_headers.is_empty() {
            facts(state, self).edit(&self.rules.response_headers, &mut response.headers);
        }
        if let Some(cookie) = state.cookie.take() {
            response.headers.append(SET_COOKIE, *cookie);
        }
        state.response = Some(response);
    }

    /// Whether a status of the upstream counts as a failure that something else shall answer.
    pub(super) fn fails(&self, status: StatusCode) -> bool {
        self.rules.fallback.as_ref().is_some_and(|fallback| fallback.statuses.contains(&status))
    }
}

/// The upstream of several that a request goes to; its subset too, where no plugin has chosen one.
pub(super) fn chosen<'a>(
    split: &'a Split,
    state: &mut State,
    subset: &mut Vec<(String, String)>,
) -> Option<&'a Upstream> {
    let headers = &state.request.headers;
    let point = match &split.sticky {
        None => roll(),
        Some(Sticky::Header(name)) => headers.get(name).map_or_else(roll, |value| point(value.as_bytes())),
        Some(Sticky::ClientAddress) => point(state.client.ip.as_bytes()),
        Some(Sticky::Cookie(name)) => match cookies(headers, name).next().filter(|id| !id.is_empty()) {
            Some(id) => point(id.as_bytes()),
            None => {
                let mut id = String::with_capacity(16);
                let written = write!(id, "{:016x}", roll());
                debug_assert!(written.is_ok(), "a String takes all that is written");
                let secure = if state.client.secure { "; Secure" } else { "" };
                let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Lax{secure}");
                state.cookie = HeaderValue::try_from(cookie).ok().map(Box::new);
                point(id.as_bytes())
            }
        },
    };
    let (upstream, labels) = split.choices.get(split.shares.at(point))?;
    if subset.is_empty() {
        subset.clone_from(labels);
    }
    Some(upstream)
}
