//! What of a request decides to which endpoint it belongs.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{COOKIE, HeaderValue};
use http::{HeaderMap, Request};

use super::hash;
use crate::config::{HashKey, SameSite, SessionCookie};
use crate::upstream::pick::Hint;

/// The hash of a request's key, and the cookie that the client shall get where it has none yet.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Key {
    pub(in crate::upstream) hash: Option<u64>,
    pub(in crate::upstream) cookie: Option<HeaderValue>,
}

impl Key {
    /// The key of a request; without hash where the request does not have what is asked for. Attributes are read by
    /// whoever has them.
    pub(in crate::upstream) fn of<B>(key: &HashKey, request: &Request<B>, client: Option<IpAddr>) -> Self {
        let only = |hash| Self { hash, cookie: None };
        match key {
            HashKey::Header(name) => only(request.headers().get(name).map(|value| hash(value.as_bytes()))),
            HashKey::Query(name) => only(parameter(request.uri().query(), name).map(|value| hash(value.as_bytes()))),
            HashKey::Client => only(client.map(|client| hash(client.to_canonical().to_string().as_bytes()))),
            HashKey::Attribute(_) => only(None),
            HashKey::Cookie(cookie) => match value_of(request.headers(), &cookie.name) {
                Some(value) => only(Some(hash(value))),
                None => issue(cookie),
            },
        }
    }

    /// The hint with the key that the request has, or that was chosen for it, and the cookie for a client that had none.
    pub(in crate::upstream) fn settle<'a, B>(
        key: &HashKey,
        request: &Request<B>,
        hint: Hint<'a>,
    ) -> (Hint<'a>, Option<HeaderValue>) {
        if hint.key.is_some() {
            return (hint, None);
        }
        let found = Self::of(key, request, hint.client);
        (Hint { key: found.hash, ..hint }, found.cookie)
    }
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The value of a parameter as it is written, the first where there are several.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A new cookie, with a value that nobody can guess and that says nothing of the endpoint.
fn issue(cookie: &SessionCookie) -> Key {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return Key::default();
    }
    let value: String = random.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut text = format!("{}={value}; Path={}", cookie.name, cookie.path);
    if let Some(max_age) = cookie.max_age {
        let _ = write!(text, "; Max-Age={}", max_age.as_secs());
    }
    text += if cookie.secure { "; Secure" } else { "" };
    text += if cookie.http_only { "; HttpOnly" } else { "" };
    text += match cookie.same_site {
        None => "",
        Some(SameSite::Strict) => "; SameSite=Strict",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::None) => "; SameSite=None",
    };
    Key { hash: Some(hash(value.as_bytes())), cookie: HeaderValue::from_str(&text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, cookies: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for cookie in cookies {
            request = request.header("cookie", *cookie);
        }
        request.body(()).expect("a request")
    }

    fn session() -> SessionCookie {
        SessionCookie {
            name: "session".into(),
            max_age: Some(std::time::Duration::from_secs(60)),
            path: "/".into(),
            secure: true,
            http_only: true,
            same_site: Some(SameSite::Lax),
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let key = HashKey::Cookie(session());
        for cookies in [&["session=abc"][..], &["a=b; session=abc; c=d"], &["x=session=no", "session=abc"]] {
            let found = Key::of(&key, &request("/", cookies), None);
            assert_eq!(found.hash, Some(hash(b"abc")), "{cookies:?}");
            assert!(found.cookie.is_none());
        }
    }

    #[test]
    fn who_has_no_cookie_gets_one_that_hashes_alike() {
        let key = HashKey::Cookie(session());
        let first = Key::of(&key, &request("/", &["sessions=abc"]), None);
        let text = first.cookie.as_ref().expect("a cookie").to_str().expect("text").to_owned();
        let (pair, attributes) = text.split_once(';').expect("attributes");
        assert_eq!(attributes, " Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(Key::of(&key, &request("/", &[pair]), None).hash, first.hash);
        let other = Key::of(&key, &request("/", &[]), None);
        assert_ne!(other.hash, first.hash);
    }

    #[test]
    fn keys_come_from_headers_queries_and_clients() {
        let with = request("/a?user=bob&users=x&user=eve", &["a=b"]);
        let find = |key: &HashKey, client| Key::of(key, &with, client).hash;
        assert_eq!(find(&HashKey::Query("user".into()), None), Some(hash(b"bob")));
        assert_eq!(find(&HashKey::Query("use".into()), None), None);
        assert_eq!(find(&HashKey::Header(COOKIE), None), Some(hash(b"a=b")));
        assert_eq!(find(&HashKey::Header(http::header::SET_COOKIE), None), None);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(find(&HashKey::Client, Some(mapped)), Some(hash(b"192.0.2.1")));
        assert_eq!(find(&HashKey::Client, None), None);
    }
}
