//! The request in hand.

mod pairs;

use crate::host::{request, response};
use crate::{Attributes, Connection, Field, HeaderError, MessageError};

/// The request in hand. It can be changed until it is sent: in `request_headers`, and in `request_body` when the
/// plugin buffers the body.
#[derive(Debug)]
pub struct Request(pub(crate) ());

impl Request {
    /// The method, for example `GET` (RFC 9110, section 9).
    #[must_use]
    pub fn method(&self) -> String {
        request::method()
    }

    /// Changes the method, to any but `CONNECT`, which asks for a tunnel (RFC 9110, section 9.3.6).
    pub fn set_method(&self, method: &str) -> Result<(), MessageError> {
        request::set_method(method)
    }

    /// The scheme that the client used: `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> String {
        request::scheme()
    }

    /// The host and port that the client asked for (RFC 9110, section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        request::authority()
    }

    /// Changes the authority that the upstream sees.
    pub fn set_authority(&self, authority: &str) -> Result<(), MessageError> {
        request::set_authority(authority)
    }

    /// Path and query as they are on the wire, for example `/a/b?c=d`.
    #[must_use]
    pub fn path_with_query(&self) -> String {
        request::path_with_query()
    }

    /// Changes path and query. The route is not looked up again.
    pub fn set_path_with_query(&self, path_with_query: &str) -> Result<(), MessageError> {
        request::set_path_with_query(path_with_query)
    }

    /// Path and query as the client wrote them, whatever plugins made of them.
    #[must_use]
    pub fn original_path_with_query(&self) -> String {
        request::original_path_with_query()
    }

    /// The path without the query, as it is on the wire.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = request::path_with_query();
        path.truncate(path.find('?').unwrap_or(path.len()));
        path
    }

    /// The first query parameter of this name, decoded (`+` and `%20` are spaces). Bytes that are not UTF-8 become
    /// U+FFFD.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let target = request::path_with_query();
        let (_, query) = target.split_once('?')?;
        pairs::query(query).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Removes all query parameters of this name and leaves the others as they are on the wire.
    pub fn remove_query(&self, name: &str) -> Result<(), MessageError> {
        let target = request::path_with_query();
        match pairs::without_query(&target, name) {
            Some(changed) => request::set_path_with_query(&changed),
            None => Ok(()),
        }
    }

    /// The first value of a header field. Names are compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        request::header(name)
    }

    /// The first value of a header field where it is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        request::header(name).and_then(|value| String::from_utf8(value).ok())
    }

    /// All values of a header field, in the order of the wire.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        request::header_values(name)
    }

    /// All header fields, in the order of the wire. Costly beside [`Request::header`].
    #[must_use]
    pub fn headers(&self) -> Vec<Field> {
        request::headers()
    }

    /// Puts one value in the place of all values of a field.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        request::set_header(name, value.as_ref())
    }

    /// Adds a value behind those that the field has.
    pub fn add_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        request::add_header(name, value.as_ref())
    }

    /// Removes all values of a field.
    pub fn remove_header(&self, name: &str) -> Result<(), HeaderError> {
        request::remove_header(name)
    }

    /// Sets and removes several fields in one call: each value takes the place of all values of its field, and a field
    /// without a value is removed. On an error nothing is changed.
    pub fn set_headers(&self, fields: &[(&str, Option<&[u8]>)]) -> Result<(), HeaderError> {
        request::set_headers(fields)
    }

    /// Says which fields the response shall have, whoever makes it: an upstream, a plugin or the proxy. A plugin that
    /// knows them in a request phase needs no response phase. Fields of the same names that were prepared before make
    /// room, and are returned.
    pub fn prepare_response_headers(&self, fields: &[(&str, &[u8])]) -> Result<Vec<Field>, HeaderError> {
        response::prepare_headers(fields)
    }

    /// The value of a cookie (RFC 6265, section 4.2), without the quotes that it may have.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        request::header_values("cookie").iter().find_map(|header| pairs::cookie(header, name))
    }

    /// Removes a cookie and leaves the others.
    pub fn remove_cookie(&self, name: &str) -> Result<(), HeaderError> {
        let headers = request::header_values("cookie");
        if !headers.iter().any(|header| pairs::cookie(header, name).is_some()) {
            return Ok(());
        }
        request::remove_header("cookie")?;
        let kept = headers.iter().map(|header| pairs::without_cookie(header, name));
        kept.filter(|header| !header.is_empty()).try_for_each(|header| request::add_header("cookie", &header))
    }

    /// What plugins of the chain tell each other about this request.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(())
    }

    /// The client's connection, and what the proxy knows of the request.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection(())
    }
}
