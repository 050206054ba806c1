//! The response in hand.

use crate::host::response;
use crate::{Field, HeaderError, MessageError};

/// The response in hand. It can be changed until it is sent: in `response_headers`, and in `response_body` when the
/// plugin buffers the body.
#[derive(Debug)]
pub struct Response(pub(crate) ());

impl Response {
    /// The status code (RFC 9110, section 15); 0 in `complete` where there was no response.
    #[must_use]
    pub fn status(&self) -> u16 {
        response::status()
    }

    /// Changes the status code: 200 to 599.
    pub fn set_status(&self, status: u16) -> Result<(), MessageError> {
        response::set_status(status)
    }

    /// The first value of a header field. Names are compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        response::header(name)
    }

    /// The first value of a header field where it is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        response::header(name).and_then(|value| String::from_utf8(value).ok())
    }

    /// All values of a header field, in the order of the wire.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        response::header_values(name)
    }

    /// All header fields, in the order of the wire. Costly beside [`Response::header`].
    #[must_use]
    pub fn headers(&self) -> Vec<Field> {
        response::headers()
    }

    /// Puts one value in the place of all values of a field.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        response::set_header(name, value.as_ref())
    }

    /// Adds a value behind those that the field has.
    pub fn add_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        response::add_header(name, value.as_ref())
    }

    /// Removes all values of a field.
    pub fn remove_header(&self, name: &str) -> Result<(), HeaderError> {
        response::remove_header(name)
    }

    /// Sets and removes several fields in one call: each value takes the place of all values of its field, and a field
    /// without a value is removed. On an error nothing is changed.
    pub fn set_headers(&self, fields: &[(&str, Option<&[u8]>)]) -> Result<(), HeaderError> {
        response::set_headers(fields)
    }
}
