//! What answers a route's requests, and what happens to them on their way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Step, Upstream};
use crate::chain::{Chain, Reply};
use crate::config::{self, PathPattern, RouteRedirect, Share, Sticky};
use crate::http::Body;
use crate::route::Shares;

/// What answers a route's requests.
pub enum Action {
    /// An upstream.
    Upstream(Upstream),
    /// One of several upstreams.
    Split(Split),
    /// A fixed answer.
    Respond(Fixed),
    /// A redirect.
    Redirect(RouteRedirect),
}

impl Action {
    pub(super) fn new(action: &config::Action, upstreams: &BTreeMap<String, Upstream>) -> Self {
        match action {
            config::Action::Upstream(name) => Self::Upstream(upstreams[name].clone()),
            config::Action::Split(split) => Self::Split(Split {
                shares: Shares::new(split.choices.iter().map(|choice| choice.weight)),
                choices: split.choices.iter().map(|c| (upstreams[&c.upstream].clone(), c.subset.clone())).collect(),
                sticky: split.sticky.clone(),
            }),
            config::Action::Respond(fixed) => Self::Respond(Fixed::new(fixed)),
            config::Action::Redirect(redirect) => Self::Redirect(redirect.clone()),
        }
    }

    /// The fixed answer, where this is one.
    pub fn reply(&self) -> Option<Reply> {
        match self {
            Self::Respond(fixed) => Some(fixed.reply()),
            Self::Upstream(_) | Self::Split(_) | Self::Redirect(_) => None,
        }
    }

    /// The upstream that all requests go to, where it is one.
    pub fn upstream(&self) -> Option<&Upstream> {
        if let Self::Upstream(upstream) = self { Some(upstream) } else { None }
    }

    /// The upstreams that requests may go to.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let (one, several) = match self {
            Self::Upstream(upstream) => (Some(upstream), None),
            Self::Split(split) => (None, Some(&split.choices)),
            Self::Respond(_) | Self::Redirect(_) => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten().map(|(upstream, _)| upstream))
    }
}

/// A fixed answer.
pub struct Fixed {
    status: http::StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Fixed {
    fn new(fixed: &config::Fixed) -> Self {
        let body = Bytes::from(fixed.body.clone());
        let mut headers = Reply::plain(fixed.status).headers;
        for name in fixed.headers.keys() {
            headers.remove(name);
        }
        headers.extend(fixed.headers.clone());
        Self { status: fixed.status, headers, body }
    }

    /// The answer.
    pub fn reply(&self) -> Reply {
        Reply { status: self.status, headers: self.headers.clone(), body: Body::full(self.body.clone()) }
    }
}

/// Several upstreams, each for a share of the requests.
pub struct Split {
    /// The shares, in the order of the choices.
    pub shares: Shares,
    /// The upstreams, with labels that the endpoint must have.
    pub choices: Vec<(Upstream, Vec<(String, String)>)>,
    /// What makes equal requests go to the same one.
    pub sticky: Option<Sticky>,
}

/// What a route does to its requests and responses. Most routes have none of it.
pub struct Treatment {
    /// The path that the route matches: texts ask what it captures.
    pub pattern: PathPattern,
    /// What the file says.
    pub rules: config::Treatment,
    /// Whether the request is asked about after it was sent.
    pub looks_back: bool,
    /// Room for requests in flight, where there is a limit.
    pub room: Option<Arc<Semaphore>>,
    /// Who gets a copy of requests.
    pub mirror: Option<Mirror>,
    /// What answers when the upstream fails.
    pub fallback: Option<Fallback>,
}

/// Who gets a copy of requests.
pub struct Mirror {
    /// The upstream.
    pub upstream: Upstream,
    /// Labels that the endpoint must have.
    pub subset: Arc<[(String, String)]>,
    /// How many requests are copied.
    pub share: Share,
    /// The longest body that is copied.
    pub body_size: usize,
    /// Room for copies in flight.
    pub room: Arc<Semaphore>,
}

/// What answers in the place of the upstream.
pub enum Fallback {
    /// This answer.
    Fixed(Fixed),
    /// The upstream of this name.
    Upstream(Box<str>),
    /// The plugins of a chain.
    Chain(Arc<Chain<Step>>),
}

impl Treatment {
    /// What a route does; nothing where that is nothing. `running` is the route of the same name that there is: requests
    /// that are in flight there take their places here, where there are as many.
    pub(super) fn new(
        route: &config::Route,
        upstreams: &BTreeMap<String, Upstream>,
        chains: &BTreeMap<&str, Arc<Chain<Step>>>,
        running: Option<&Self>,
    ) -> Option<Box<Self>> {
        let rules = &route.treatment;
        // These two ask for facts about the request as well.
        let asks = matches!(route.action, config::Action::Redirect(_) | config::Action::Split(_));
        if rules.is_empty() && !asks {
            return None;
        }
        let mirror = rules.mirror.as_ref().map(|mirror| Mirror {
            upstream: upstreams[&mirror.upstream].clone(),
            subset: mirror.subset.clone().into(),
            share: mirror.share,
            body_size: mirror.body_size,
            room: Arc::new(Semaphore::new(mirror.active_requests)),
        });
        let fallback = rules.fallback.as_ref().map(|fallback| match &fallback.answer {
            config::FallbackAnswer::Fixed(fixed) => Fallback::Fixed(Fixed::new(fixed)),
            config::FallbackAnswer::Upstream(name) => Fallback::Upstream(name.as_str().into()),
            config::FallbackAnswer::Chain(name) => Fallback::Chain(chains[name.as_str()].clone()),
        });
        Some(Box::new(Self {
            pattern: route.matches.path.clone(),
            looks_back: rules.response_headers.has_variables()
                || matches!(fallback, Some(Fallback::Upstream(_) | Fallback::Chain(_))),
            room: rules.active_requests.map(|room| {
                let same = running.filter(|running| running.rules.active_requests == Some(room));
                same.and_then(|running| running.room.clone()).unwrap_or_else(|| Arc::new(Semaphore::new(room)))
            }),
            rules: rules.clone(),
            mirror,
            fallback,
        }))
    }
}
