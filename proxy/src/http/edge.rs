//! What a listener does about HTTPS to every request and response, and the header that says who the client is.

use http::header::{ALT_SVC, CONNECTION, HOST, LOCATION, STRICT_TRANSPORT_SECURITY};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::config::{Hsts, Listener, Redirect};

/// What a listener does to every request and response. Most do nothing, and have none.
#[derive(Debug)]
pub struct Edge {
    redirect: Option<Redirect>,
    hsts: Option<HeaderValue>,
    /// Where HTTP/3 is, for `Alt-Svc`.
    http3: Option<HeaderValue>,
}

impl Edge {
    /// What a listener does; nothing where it has nothing to do.
    pub fn new(listener: &Listener) -> Option<Self> {
        let hsts = listener.hsts.as_ref().map(policy);
        let redirect = listener.redirect.clone();
        let http3 = listener.http3.as_ref().and_then(|http3| http3.advertised_port).map(alternative);
        (redirect.is_some() || hsts.is_some() || http3.is_some()).then_some(Self { redirect, hsts, http3 })
    }

    /// Where a request goes instead of being served: status and location. `Host` is there and a host, and the target is
    /// in origin-form.
    pub fn redirect(&self, headers: &HeaderMap, target: &Uri) -> Option<(StatusCode, HeaderMap)> {
        let Redirect { port, status } = self.redirect.as_ref()?;
        let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        let port = if *port == 443 { String::new() } else { format!(":{port}") };
        // `OPTIONS *` has no URI of its own.
        let path =
            target.path_and_query().map(http::uri::PathAndQuery::as_str).filter(|path| *path != "*").unwrap_or("/");
        let location = HeaderValue::try_from(format!("https://{}{port}{path}", host.host())).ok()?;
        Some((*status, HeaderMap::from_iter([(LOCATION, location)])))
    }

    /// Says `Strict-Transport-Security` and `Alt-Svc` in a response, in the place of what an upstream says of them.
    pub fn harden(&self, headers: &mut HeaderMap) {
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if let Some(http3) = &self.http3 {
            headers.insert(ALT_SVC, http3.clone());
        }
    }
}

/// The value of `Alt-Svc` (RFC 7838, section 3): HTTP/3 is on this port, for a day.
fn alternative(port: u16) -> HeaderValue {
    let text = format!("h3=\":{port}\"; ma=86400");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("clear"))
}

/// The value of `Strict-Transport-Security` (RFC 6797, section 6.1).
fn policy(hsts: &Hsts) -> HeaderValue {
    let mut text = format!("max-age={}", hsts.max_age.as_secs());
    if hsts.include_subdomains {
        text += "; includeSubDomains";
    }
    if hsts.preload {
        text += "; preload";
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("max-age=0"))
}

/// Puts the client's identity into a request, and takes out what the client itself put into any header that carries
/// one: these are `names`, on whatever listener they are set.
pub fn identify(headers: &mut HeaderMap, names: &[HeaderName], identity: Option<&(HeaderName, HeaderValue)>) {
    let forged: Vec<HeaderName> = headers.keys().filter(|name| carries(name, names)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    if let Some((name, value)) = identity {
        if headers.contains_key(CONNECTION) {
            keep(headers, name);
        }
        headers.insert(name, value.clone());
    }
}

/// Whether a header may be taken for one of these: programs behind CGI and its like cannot tell `_` from `-`.
fn carries(name: &HeaderName, names: &[HeaderName]) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (name, same) = (name.as_str(), |a: &str, b: &str| a.bytes().map(plain).eq(b.bytes().map(plain)));
    names.iter().any(|other| same(name, other.as_str()))
}

/// Does not let `Connection` name a header away.
fn keep(headers: &mut HeaderMap, name: &HeaderName) {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let options = values.flat_map(|value| value.split(',')).map(str::trim);
    let kept: Vec<&str> = options.filter(|option| !option.eq_ignore_ascii_case(name.as_str())).collect();
    match HeaderValue::try_from(kept.join(", ")) {
        Ok(value) if !value.is_empty() => drop(headers.insert(CONNECTION, value)),
        _ => drop(headers.remove(CONNECTION)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Address;

    const SUBJECT: HeaderName = HeaderName::from_static("x-subject");

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn an_identity_cannot_be_forged_or_named_away() {
        let identity = (SUBJECT, HeaderValue::from_static("CN=alice"));
        let forged = [
            ("x-subject", "CN=root"),
            ("x-subject", "CN=admin"),
            ("x_subject", "CN=root"),
            ("x-other", "CN=root"),
            ("connection", "close, X-Subject"),
            ("connection", "te"),
            ("accept", "*/*"),
        ];
        let mut known = headers(&forged);
        identify(&mut known, &[SUBJECT, HeaderName::from_static("x-other")], Some(&identity));
        assert_eq!(known, headers(&[("x-subject", "CN=alice"), ("connection", "close, te"), ("accept", "*/*")]));
        let mut unknown = headers(&forged);
        identify(&mut unknown, &[SUBJECT], None);
        assert!(!unknown.contains_key("x-subject") && !unknown.contains_key("x_subject"));
        assert_eq!(unknown["x-other"], "CN=root", "on this gofe it carries nothing");
    }

    #[test]
    fn a_connection_that_names_nothing_else_is_gone() {
        let mut known = headers(&[("connection", "x-subject")]);
        identify(&mut known, &[SUBJECT], Some(&(SUBJECT, HeaderValue::from_static("CN=a"))));
        assert_eq!(known, headers(&[("x-subject", "CN=a")]));
    }

    fn edge(redirect: Option<u16>, hsts: Option<Hsts>) -> Option<Edge> {
        let redirect = redirect.map(|port| Redirect { port, status: StatusCode::PERMANENT_REDIRECT });
        let address = Address::Ip(([127, 0, 0, 1], 80).into());
        let (name, proxy_protocol, trusted_proxies, tcp) = (None, None, None, None);
        Edge::new(&Listener {
            name,
            address,
            mode: 0,
            proxy_protocol,
            trusted_proxies,
            tcp,
            tls: None,
            redirect,
            hsts,
            http3: None,
        })
    }

    #[test]
    fn a_redirect_keeps_host_path_and_query_and_changes_the_port() {
        assert!(edge(None, None).is_none());
        let locate = |port, host, target: &'static str| {
            let edge = edge(Some(port), None).unwrap();
            let (status, headers) = edge.redirect(&headers(&[("host", host)]), &Uri::from_static(target)).unwrap();
            assert_eq!(status, 308);
            headers[LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(locate(443, "example.com:80", "/a?b=c"), "https://example.com/a?b=c");
        assert_eq!(locate(8443, "[::1]:8080", "/"), "https://[::1]:8443/");
        assert_eq!(locate(443, "a", "*"), "https://a/");
    }

    #[test]
    fn the_policy_takes_the_place_of_the_upstreams() {
        let hsts = Hsts { max_age: Duration::from_secs(60), include_subdomains: true, preload: true };
        let mut response = headers(&[("strict-transport-security", "max-age=0")]);
        edge(None, Some(hsts)).unwrap().harden(&mut response);
        assert_eq!(response[STRICT_TRANSPORT_SECURITY], "max-age=60; includeSubDomains; preload");
        assert_eq!(response.len(), 1);
    }
}
