//! Texts with variables, and paths and hosts that are made of them.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::header::{HOST, HeaderMap};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};

use super::{Ambiguous, cookies, normalized, parameters};
use crate::config::{Edits, FieldValue, Part, PathPattern, PathRewrite, RouteRedirect, Text, Variable};

/// What texts can say of a request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as the client wrote it, in origin form.
    pub target: &'a Uri,
    /// The header.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub address: SocketAddr,
    /// The same without the port, as text.
    pub ip: &'a str,
    /// Whether the client came by TLS.
    pub secure: bool,
    /// The server name that it asked for (SNI).
    pub server_name: Option<&'a str>,
    /// The version of TLS.
    pub tls_version: Option<&'a str>,
    /// The subject of its certificate.
    pub client_subject: Option<&'a str>,
    /// The route's name.
    pub route: &'a str,
    /// The path that the route matches.
    pub pattern: &'a PathPattern,
}

impl<'a> Facts<'a> {
    /// A text with its variables filled in; what the request does not say is empty.
    pub fn text(&self, text: &Text) -> String {
        let mut out = String::new();
        for part in &text.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => out.push_str(&self.value(variable)),
            }
        }
        out
    }

    /// The same for a path: what is no piece of the client's path is one segment at the most, whatever it says.
    fn path(&self, text: &Text) -> String {
        let mut out = String::new();
        for part in &text.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => {
                    let value = self.value(variable);
                    let from_path = matches!(variable, Variable::Segment(_) | Variable::Rest(_) | Variable::Group(_));
                    match from_path || matches!(variable, Variable::Path | Variable::Query) {
                        true => out.push_str(&value),
                        false => value.bytes().for_each(|byte| encode(byte, &mut out)),
                    }
                }
            }
        }
        out
    }

    fn value(&self, variable: &Variable) -> Cow<'a, str> {
        let text = |text: Option<&'a str>| Cow::Borrowed(text.unwrap_or_default());
        match variable {
            Variable::ClientIp => Cow::Borrowed(self.ip),
            Variable::ClientPort => self.address.port().to_string().into(),
            Variable::Method => Cow::Borrowed(self.method.as_str()),
            Variable::Scheme => Cow::Borrowed(self.scheme()),
            Variable::Host => Cow::Borrowed(self.host().0),
            Variable::Path => Cow::Borrowed(self.target.path()),
            Variable::Query => text(self.target.query()),
            Variable::Header(name) => {
                let value = self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
                value.unwrap_or_default()
            }
            Variable::Cookie(name) => cookies(self.headers, name).next().unwrap_or_default().to_owned().into(),
            Variable::Parameter(name) => {
                let value = parameters(self.target.query(), name).next().map(|value| value.0.into_owned());
                value.unwrap_or_default().into()
            }
            Variable::Segment(at) => self.captured(|path| path.split('/').nth(at + 1)),
            Variable::Rest(at) => self.captured(|path| path.splitn(at + 2, '/').nth(at + 1)),
            Variable::Group(name) => self.captured(|path| match self.pattern {
                PathPattern::Regex(pattern) => pattern.regex().captures(path)?.name(name).map(|found| found.as_str()),
                _ => None,
            }),
            Variable::ServerName => text(self.server_name),
            Variable::TlsVersion => text(self.tls_version),
            Variable::ClientSubject => text(self.client_subject),
            Variable::RouteName => Cow::Borrowed(self.route),
        }
    }

    /// A piece of the path in the form in which the route was found.
    fn captured(&self, piece: impl for<'p> Fn(&'p str) -> Option<&'p str>) -> Cow<'a, str> {
        match normalized(self.target.path()) {
            Some(Cow::Borrowed(path)) => Cow::Borrowed(piece(path).unwrap_or_default()),
            Some(Cow::Owned(path)) => piece(&path).unwrap_or_default().to_owned().into(),
            None => Cow::Borrowed(""),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The host that the client asked for, and what follows it.
    fn host(&self) -> (&'a str, &'a str) {
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let end = host.rfind(':').filter(|end| !host[*end..].contains(']'));
        host.split_at(end.unwrap_or(host.len()))
    }

    /// Another target for a request with the target `now`, which plugins may have changed.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] when what comes out is no path, or one that is refused when a client asks for it.
    pub fn target(&self, rewrite: &PathRewrite, now: &Uri) -> Result<Uri, Ambiguous> {
        let path = match rewrite {
            PathRewrite::Text(text) => self.path(text),
            PathRewrite::Prefix(prefix) => {
                let PathPattern::Prefix(matched) = self.pattern else { return Ok(now.clone()) };
                let path = normalized(now.path()).ok_or(Ambiguous)?;
                match path.strip_prefix(matched.as_str()) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{prefix}{rest}"),
                    // A plugin has sent it elsewhere.
                    _ => return Ok(now.clone()),
                }
            }
            PathRewrite::Regex(pattern, replacement) => {
                let path = normalized(now.path()).ok_or(Ambiguous)?;
                pattern.regex().replace_all(&path, replacement.as_str()).into_owned()
            }
        };
        let mut target = if path.starts_with('/') { path } else { format!("/{path}") };
        if let Some(query) = now.query().filter(|_| !target.contains('?')) {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::try_from(target).map_err(|_| Ambiguous)?;
        normalized(target.path()).ok_or(Ambiguous)?;
        Ok(Uri::from(target))
    }

    /// Where a redirect leads from the target `now`.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] when what comes out is no URI.
    pub fn location(&self, redirect: &RouteRedirect, now: &Uri) -> Result<HeaderValue, Ambiguous> {
        let (own, own_port) = self.host();
        let host = redirect.host.as_ref().map_or_else(|| own.to_owned(), |host| self.text(host));
        let scheme = redirect.scheme.unwrap_or(self.scheme());
        let default = if scheme == "https" { 443 } else { 80 };
        let port = match redirect.port {
            Some(port) if port == default => String::new(),
            Some(port) => format!(":{port}"),
            None if redirect.host.is_none() && redirect.scheme.is_none_or(|scheme| scheme == self.scheme()) => {
                own_port.to_owned()
            }
            None => String::new(),
        };
        let target = match &redirect.path {
            Some(rewrite) => self.target(rewrite, now)?,
            None => now.clone(),
        };
        // `OPTIONS *` has no URI of its own.
        let target = target.path_and_query().map(PathAndQuery::as_str).filter(|path| *path != "*").unwrap_or("/");
        let location = format!("{scheme}://{host}{port}{target}");
        location.parse::<Uri>().map_err(|_| Ambiguous)?;
        HeaderValue::try_from(location).map_err(|_| Ambiguous)
    }

    /// Edits a header section. A value whose variables are all empty is no field.
    pub fn edit(&self, edits: &Edits, headers: &mut HeaderMap) {
        for name in &edits.remove {
            headers.remove(name);
        }
        for (name, value) in &edits.set {
            match self.field(value) {
                Some(value) => _ = headers.insert(name, value),
                None => _ = headers.remove(name),
            }
        }
        for (name, value) in &edits.add {
            if let Some(value) = self.field(value) {
                headers.append(name, value);
            }
        }
    }

    fn field(&self, value: &FieldValue) -> Option<HeaderValue> {
        match value {
            FieldValue::Fixed(value) => Some(value.clone()),
            FieldValue::Text(text) => HeaderValue::try_from(self.text(text)).ok().filter(|value| !value.is_empty()),
        }
    }
}

/// A byte in a segment of a path: unreserved characters as they are, all others percent-encoded (RFC 3986, section 2).
fn encode(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(char::from(byte));
    } else {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
        out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests;
