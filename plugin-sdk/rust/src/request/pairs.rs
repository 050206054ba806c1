//! Query parameters and cookies: pure functions on what is on the wire.

use percent_encoding::percent_decode;

/// The pairs of a query, decoded as forms are (WHATWG URL, section 5.1).
pub(super) fn query(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

/// `target` without the query parameters of this name; nothing where it has none.
pub(super) fn without_query(target: &str, name: &str) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let named = |pair: &&str| decode(pair.split_once('=').map_or(*pair, |(key, _)| key)) == name;
    let kept: Vec<&str> = query.split('&').filter(|pair| !named(pair)).collect();
    if kept.len() == query.split('&').count() {
        return None;
    }
    Some(if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) })
}

/// The pairs of a `cookie` header as they are on the wire.
fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (pair[..end].trim_ascii(), pair.get(end + 1..).unwrap_or_default().trim_ascii())
    })
}

/// The value of a cookie in one `cookie` header, where it is UTF-8.
pub(super) fn cookie(header: &[u8], name: &str) -> Option<String> {
    let (_, value) = cookies(header).find(|(key, _)| *key == name.as_bytes())?;
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    String::from_utf8(value.to_vec()).ok()
}

/// A `cookie` header without one cookie.
pub(super) fn without_cookie(header: &[u8], name: &str) -> Vec<u8> {
    let pairs = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let kept = pairs.filter(|pair| cookies(pair).all(|(key, _)| key != name.as_bytes()));
    kept.collect::<Vec<_>>().join(&b"; "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let pairs: Vec<_> = query("a=1&b=x+y%21&c&&d=%ff").collect();
        let expected = [("a", "1"), ("b", "x y!"), ("c", ""), ("d", "\u{fffd}")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_parameter_is_removed_and_the_others_stay_as_they_were() {
        assert_eq!(without_query("/p?a=1&k%65y=2&b=%20", "key").as_deref(), Some("/p?a=1&b=%20"));
        assert_eq!(without_query("/p?key=2", "key").as_deref(), Some("/p"));
        assert_eq!(without_query("/p?a", "key"), None);
        assert_eq!(without_query("/p", "key"), None);
    }

    #[test]
    fn cookies_are_found_and_removed() {
        let header = b"a=1; session=\"x=y\";b=2";
        assert_eq!(cookie(header, "session").as_deref(), Some("x=y"));
        assert_eq!(cookie(header, "c"), None);
        assert_eq!(without_cookie(header, "session"), b"a=1; b=2");
        assert_eq!(without_cookie(b"a=1", "a"), b"");
    }
}
