//! What a guest may make of a message's header fields: so many, and so long, that they stay within what a host has for
//! them. A map that grows as a guest likes is memory beyond the guest's own, and past its 24,576th name it panics.

use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The most fields of a message that a guest writes to: as many as a request from a client can have.
pub(super) const MOST: usize = 10_000;
/// The most bytes of a value that a guest writes.
pub(super) const LONGEST: usize = 64 << 10;
/// A field of more bytes than this, name and value, must have room in [`MOST_BYTES`].
const SHORT: usize = 256;
/// The most bytes that all fields have where a long one is among them.
const MOST_BYTES: usize = 1 << 20;

/// A guest writes more fields than a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has no room for more header fields: {MOST}, and {MOST_BYTES} bytes of them, are the most")]
pub(super) struct NoRoom;

/// A value that cannot be that of a field.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoValue {
    /// It has other bytes than a value has (RFC 9110, section 5.5).
    #[error(transparent)]
    Invalid(#[from] InvalidHeaderValue),
    /// It is longer than a plugin's may be.
    #[error("the value of a header field is longer than {LONGEST} bytes")]
    Long,
}

/// A value as a guest gives it.
pub(super) fn value(bytes: &[u8]) -> Result<HeaderValue, NoValue> {
    if bytes.len() > LONGEST { Err(NoValue::Long) } else { Ok(HeaderValue::from_bytes(bytes)?) }
}

/// Puts a field beside those of its name.
pub(super) fn add(fields: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), NoRoom> {
    if fields.len() >= MOST || !fits(fields, &name, &value) {
        return Err(NoRoom);
    }
    fields.try_append(name, value).map(drop).map_err(|_| NoRoom)
}

/// Puts a field in the place of those of its name.
pub(super) fn set(fields: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), NoRoom> {
    if (fields.len() >= MOST && !fields.contains_key(&name)) || !fits(fields, &name, &value) {
        return Err(NoRoom);
    }
    fields.try_insert(name, value).map(drop).map_err(|_| NoRoom)
}

/// Whether there is room for as many bytes. Only of long fields it is counted.
fn fits(fields: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> bool {
    let length = |name: &HeaderName, value: &HeaderValue| name.as_str().len() + value.len();
    let new = length(name, value);
    new <= SHORT || fields.iter().map(|(name, value)| length(name, value)).sum::<usize>() + new <= MOST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_as_many_fields_and_bytes() {
        let (mut fields, short) = (HeaderMap::new(), HeaderValue::from_static("1"));
        let name = |number: usize| format!("x-{number}").parse::<HeaderName>().unwrap();
        for number in 0..MOST / 2 {
            assert_eq!(set(&mut fields, name(number), short.clone()), Ok(()));
            assert_eq!(add(&mut fields, name(number), short.clone()), Ok(()));
        }
        assert_eq!(add(&mut fields, name(0), short.clone()), Err(NoRoom));
        assert_eq!(set(&mut fields, name(MOST), short.clone()), Err(NoRoom));
        // In the place of another there is room.
        assert_eq!(set(&mut fields, name(0), short), Ok(()));
        assert_eq!(fields.len(), MOST - 1);

        let mut fields = HeaderMap::new();
        assert!(matches!(value(&vec![b'a'; LONGEST + 1]), Err(NoValue::Long)));
        assert!(matches!(value(b"a\nb"), Err(NoValue::Invalid(_))));
        let long = value(&vec![b'a'; LONGEST]).unwrap();
        let most = (0..MOST).take_while(|number| add(&mut fields, name(*number), long.clone()).is_ok()).count();
        assert_eq!(most, MOST_BYTES / LONGEST - 1);
        assert_eq!(set(&mut fields, name(MOST), long), Err(NoRoom));
    }
}
