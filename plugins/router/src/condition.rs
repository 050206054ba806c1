//! What must hold for a rule to match.

use std::collections::HashSet;

use gofe_plugin::Request;
use gofe_plugin::credential::is_token;
use serde::Deserialize;

/// What must hold for a rule to match: a subject, and a test of its value.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Condition {
    subject: Subject,
    test: Test,
}

/// What a condition or a split looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    Header(String),
    Cookie(String),
    Query(String),
    Attribute(String),
    ClientIp,
    Path,
}

#[derive(Debug, PartialEq)]
enum Test {
    Is(String),
    Prefix(String),
    In(HashSet<String>),
    Present(bool),
}

impl Condition {
    /// Whether it holds for this request.
    pub(crate) fn holds(&self, request: &Request) -> bool {
        match (&self.test, self.subject.value(request)) {
            (Test::Present(present), value) => *present == value.is_some(),
            (_, None) => false,
            (Test::Is(wanted), Some(value)) => value == wanted.as_bytes(),
            (Test::Prefix(prefix), Some(value)) => value.starts_with(prefix.as_bytes()),
            (Test::In(list), Some(value)) => std::str::from_utf8(&value).is_ok_and(|value| list.contains(value)),
        }
    }
}

impl Subject {
    /// The subject's value in this request.
    pub(crate) fn value(&self, request: &Request) -> Option<Vec<u8>> {
        match self {
            Self::Header(name) => request.header(name),
            Self::Cookie(name) => request.cookie(name).map(String::into_bytes),
            Self::Query(name) => request.query(name).map(String::into_bytes),
            Self::Attribute(name) => request.attributes().get(name),
            Self::ClientIp => Some(request.connection().client_address().into_bytes()),
            Self::Path => Some(request.path().into_bytes()),
        }
    }

    /// The subject `kind` of this name, where there is such a one.
    pub(crate) fn named(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "header" if is_token(name) => Some(Self::Header(name.to_ascii_lowercase())),
            "cookie" if is_token(name) => Some(Self::Cookie(name.to_owned())),
            "query" if !name.is_empty() => Some(Self::Query(name.to_owned())),
            "attribute" if !name.is_empty() => Some(Self::Attribute(name.to_owned())),
            "claim" if !name.is_empty() => Some(Self::Attribute(format!("jwt.{name}"))),
            _ => None,
        }
    }
}

/// A condition as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    header: Option<String>,
    cookie: Option<String>,
    query: Option<String>,
    attribute: Option<String>,
    claim: Option<String>,
    path: Option<String>,
    path_prefix: Option<String>,
    is: Option<String>,
    prefix: Option<String>,
    r#in: Option<HashSet<String>>,
    present: Option<bool>,
}

impl TryFrom<Written> for Condition {
    type Error = String;

    fn try_from(mut written: Written) -> Result<Self, String> {
        let path = written.path.take().map(Test::Is);
        let path = path.or(written.path_prefix.take().map(Test::Prefix));
        let (subject, test) = (written.subject()?, written.test()?);
        match (path, subject, test) {
            (Some(test), None, None) => Ok(Self { subject: Subject::Path, test }),
            (Some(_), _, _) => Err("`path` and `path-prefix` are whole conditions; write others as further \
                                    elements of the list `when`"
                .to_owned()),
            // To name a thing and say no more is to ask for its presence.
            (None, Some(subject), test) => Ok(Self { subject, test: test.unwrap_or(Test::Present(true)) }),
            (None, None, _) => Err("the condition looks at nothing; expected one of `header`, `cookie`, `query`, \
                                    `attribute`, `claim`, `path` or `path-prefix`"
                .to_owned()),
        }
    }
}

impl Written {
    fn subject(&self) -> Result<Option<Subject>, String> {
        let kinds = [
            ("header", &self.header),
            ("cookie", &self.cookie),
            ("query", &self.query),
            ("attribute", &self.attribute),
            ("claim", &self.claim),
        ];
        let mut given = kinds.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((kind, name)), None) => {
                Subject::named(kind, name).map(Some).ok_or_else(|| format!("`{name}` is not the name of a {kind}"))
            }
            (Some((one, _)), Some((other, _))) => {
                Err(format!("a condition looks at one thing, not at `{one}` and `{other}`; write a list of conditions"))
            }
        }
    }

    fn test(self) -> Result<Option<Test>, String> {
        let tests = [
            self.is.map(Test::Is),
            self.prefix.map(Test::Prefix),
            self.r#in.map(Test::In),
            self.present.map(Test::Present),
        ];
        let mut given = tests.into_iter().flatten();
        match (given.next(), given.next()) {
            (test, None) => Ok(test),
            _ => Err("a condition has one test: `is`, `prefix`, `in` or `present`".to_owned()),
        }
    }
}
