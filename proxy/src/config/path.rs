//! The form of a request path in which routes compare it.

use std::borrow::Cow;

/// The path as routes compare it; nothing when it must be refused (400), because servers disagree on what it names.
///
/// Two spellings that a server may take for the same must not reach different routes: a percent-encoded unreserved
/// character is decoded (RFC 3986, section 6.2.2.2: the two are equivalent) and repeated slashes count as one. A
/// path with a segment `.` or `..` in any spelling is refused, also between encoded slashes or backslashes. All else
/// stays as it is: case counts, and `%2F` is no separator. It borrows, unless something had to be rewritten.
pub fn normalized(path: &str) -> Option<Cow<'_, str>> {
    let odd = |pair: &[u8]| matches!(pair, b"//" | b"/." | b"\\.") || pair[0] == b'%';
    if !path.as_bytes().windows(2).any(odd) {
        return Some(Cow::Borrowed(path));
    }
    let path = rewritten(path);
    let separated = path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "/").replace("%5c", "/");
    // Some servers cut a segment at `;` before they look at it.
    let dots = separated.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    (!dots).then_some(path)
}

fn rewritten(path: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        let (next, length) = match decoded(rest.as_bytes()) {
            Some(plain) => (plain, 3),
            None => (c, c.len_utf8()),
        };
        if !(next == '/' && out.ends_with('/')) {
            out.push(next);
        }
        rest = &rest[length..];
    }
    if out == path { Cow::Borrowed(path) } else { Cow::Owned(out) }
}

/// The unreserved character that a text begins with in percent-encoding.
fn decoded(text: &[u8]) -> Option<char> {
    let [b'%', high, low, ..] = *text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    unreserved.then_some(char::from(byte))
}
