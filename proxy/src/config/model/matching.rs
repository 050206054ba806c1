//! Which requests a route takes.

use std::fmt;
use std::hash::{Hash, Hasher};

use http::{HeaderName, Method};
use ipnet::IpNet;
use regex::Regex;

/// Which requests a route takes: all that is named must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Hosts without port, in lower case; empty for every host.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Methods; empty for every method.
    pub methods: Vec<Method>,
    /// What header fields must be.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// What parameters of the query must be.
    pub query: Vec<(String, ValueMatch)>,
    /// What cookies must be.
    pub cookies: Vec<(String, ValueMatch)>,
    /// Networks that the client's address must be in one of; empty for every address.
    pub client_addresses: Vec<IpNet>,
    /// Server names (SNI) that the client must have asked for one of; empty for every one and none.
    pub server_names: Vec<HostPattern>,
}

impl Match {
    /// How many conditions there are besides host and path: of two routes with the same, the one with more goes first.
    pub fn conditions(&self) -> usize {
        usize::from(!self.methods.is_empty())
            + self.headers.len()
            + self.query.len()
            + self.cookies.len()
            + usize::from(!self.client_addresses.is_empty())
            + usize::from(!self.server_names.is_empty())
    }
}

/// A host in a match.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// `*.example.com`: any name below `example.com`; here without the `*.`.
    Suffix(String),
}

impl HostPattern {
    /// Whether a name in lower case without a dot at its end is meant.
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::Exact(host) => host == name,
            Self::Suffix(suffix) => name.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.')),
        }
    }
}

/// A path in a match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// `/a/b`: this path.
    Exact(String),
    /// `/a/**`: `/a` and everything below it, here `/a`; `/**` is here the empty string.
    Prefix(String),
    /// `/users/{id}`: segment by segment.
    Template(Vec<Segment>),
    /// A regular expression that the whole path must match.
    Regex(Pattern),
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// `{id}`: any text that is not empty.
    Capture(String),
    /// `{rest...}`, at the end: all that follows the slash, and be it nothing.
    Rest(String),
}

/// A regular expression; two are equal when they are written alike.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// A compiled expression, and how it was written.
    pub fn new(text: &str, regex: Regex) -> Self {
        Self { text: text.to_owned(), regex }
    }

    /// How it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression; where it is to match a whole value, it is anchored.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

/// What the value of a header field, a parameter or a cookie must be. Where a request has several of the name, one of
/// them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is this.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// It ends so.
    Suffix(String),
    /// All of it matches.
    Regex(Pattern),
}

impl ValueMatch {
    /// Whether one of these values is what is wanted, or none of them where none is wanted.
    pub fn holds<'a, V: AsRef<[u8]> + 'a>(&self, mut values: impl Iterator<Item = V>) -> bool {
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::Exact(text) => values.any(|value| value.as_ref() == text.as_bytes()),
            Self::Prefix(text) => values.any(|value| value.as_ref().starts_with(text.as_bytes())),
            Self::Suffix(text) => values.any(|value| value.as_ref().ends_with(text.as_bytes())),
            Self::Regex(pattern) => {
                values.any(|value| std::str::from_utf8(value.as_ref()).is_ok_and(|v| pattern.regex.is_match(v)))
            }
        }
    }

    /// Whether every request that holds for `narrower` holds for this.
    pub fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Present, other) => *other != Self::Absent,
            (Self::Prefix(text), Self::Exact(other) | Self::Prefix(other)) => other.starts_with(text.as_str()),
            (Self::Suffix(text), Self::Exact(other) | Self::Suffix(other)) => other.ends_with(text.as_str()),
            (Self::Regex(pattern), Self::Exact(other)) => pattern.regex.is_match(other),
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}/**"),
            Self::Template(segments) => segments.iter().try_for_each(|segment| match segment {
                Segment::Literal(text) => write!(f, "/{text}"),
                Segment::Capture(name) => write!(f, "/{{{name}}}"),
                Segment::Rest(name) => write!(f, "/{{{name}...}}"),
            }),
            Self::Regex(pattern) => f.write_str(&pattern.text),
        }
    }
}
