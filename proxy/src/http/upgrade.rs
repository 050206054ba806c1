//! Upgrades: a client that wants to speak another protocol than HTTP from here on (RFC 9110, section 7.8), or to do so
//! on a stream of HTTP/2 (RFC 8441).

use std::fmt;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request, response};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::hop::has_token;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What a client wants to speak in the place of HTTP.
pub struct Wish {
    /// The protocol; the client's list of them until [`Self::choose`] was asked.
    protocol: HeaderValue,
    /// The stream of HTTP/2 that becomes the tunnel; without it, it is the connection.
    stream: Option<OnUpgrade>,
}

/// Marks a request as one that asks its upstream for a change of protocol.
#[derive(Debug, Clone, Copy)]
pub struct Asked;

/// The upstream's side of a tunnel, as an extension of the response with status 101 that opened it.
#[derive(Clone)]
pub struct Switched(Arc<Mutex<Option<Box<dyn Duplex>>>>);

impl Switched {
    /// The bytes behind a response.
    pub fn new(io: impl Duplex + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(io)))))
    }

    /// Takes them; who comes second gets nothing.
    pub fn take(&self) -> Option<Box<dyn Duplex>> {
        self.0.lock().take()
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switched")
    }
}

impl Wish {
    /// Takes the wish out of a request that has one. One that came by HTTP/2 gets the form that it has in HTTP/1.1, so
    /// that routes, plugins and upstreams know one form only.
    ///
    /// hyper marks every request that may be one, so that others cost no look at their fields.
    pub fn take(parts: &mut request::Parts) -> Option<Self> {
        let on_upgrade = parts.extensions.remove::<OnUpgrade>()?;
        if let Some(protocol) = parts.extensions.remove::<Protocol>() {
            let protocol = HeaderValue::from_str(protocol.as_str()).ok()?;
            parts.method = Method::GET;
            ask(&mut parts.headers, &protocol);
            if protocol == "websocket" && !parts.headers.contains_key(SEC_WEBSOCKET_KEY) {
                parts.headers.insert(SEC_WEBSOCKET_KEY, key());
            }
            return Some(Self { protocol, stream: Some(on_upgrade) });
        }
        let connection = parts.headers.get_all(CONNECTION).iter().any(|value| has_token(value, "upgrade"));
        let protocol = parts.headers.get(UPGRADE).filter(|_| connection)?.clone();
        Some(Self { protocol, stream: None })
    }

    /// Whether it came by HTTP/2, where it is the whole point of the request: it cannot be served as an ordinary one.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Settles for the first protocol that is among these.
    pub fn choose(mut self, allowed: &[String]) -> Option<Self> {
        let asked = self.protocol.to_str().ok()?.split(',').map(str::trim);
        let mut known = asked.filter(|asked| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(asked)));
        self.protocol = HeaderValue::from_str(known.next()?).ok()?;
        Some(self)
    }

    /// Puts the wish into the request for an upstream.
    pub fn ask(&self, request: &mut http::Request<super::Body>) {
        ask(request.headers_mut(), &self.protocol);
        request.extensions_mut().insert(Asked);
    }

    /// Gives the response that opens the tunnel its form, and says what becomes the tunnel.
    pub fn grant(self, response: &mut response::Parts) -> Option<OnUpgrade> {
        response.headers.remove(CONTENT_LENGTH);
        if self.stream.is_some() {
            // RFC 8441, section 5.1: the status is 200, and the handshake of HTTP/1.1 is left out.
            response.status = StatusCode::OK;
            response.headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            ask(&mut response.headers, &self.protocol);
        }
        self.stream
    }
}

/// The two fields of an upgrade.
fn ask(headers: &mut HeaderMap, protocol: &HeaderValue) {
    // `TE` would want to be in `Connection` too, and there are no trailers behind an upgrade.
    headers.remove(TE);
    headers.insert(UPGRADE, protocol.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Sixteen random bytes in Base64 (RFC 6455, section 4.1), which HTTP/2 does without and HTTP/1.1 does not.
fn key() -> HeaderValue {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0; 22];
    // It guards against nothing but caches that do not know the protocol: without randomness it is a constant.
    let _ = getrandom::fill(&mut random);
    let mut text = [b'='; 24];
    for (letter, random) in text.iter_mut().zip(random) {
        *letter = ALPHABET[usize::from(random & 63)];
    }
    // The last letter holds two bits only.
    text[21] = ALPHABET[usize::from(random[21] & 0b11_0000)];
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(protocol: &'static str) -> Wish {
        Wish { protocol: HeaderValue::from_static(protocol), stream: None }
    }

    #[test]
    fn the_first_protocol_that_is_allowed_is_asked_for() {
        let allowed = ["websocket".to_owned(), "chat".to_owned()];
        assert_eq!(wish("h2c, Chat,websocket").choose(&allowed).unwrap().protocol, "Chat");
        assert!(wish("h2c").choose(&allowed).is_none());
        assert!(wish("websocket").choose(&[]).is_none());
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        let (first, second) = (key(), key());
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        assert!(text.len() == 24 && text.ends_with("==") && "AQgw".contains(&text[21..22]), "{text}");
    }
}
