//! Methods of requests.

use http::Method;

/// The method of this name, where a plugin may give it to a request: any but `CONNECT`, which asks for a tunnel and has no path
/// (RFC 9110, section 9.3.6). What is passed on is a request with a path, to an endpoint that gofe chooses.
pub fn assignable_method(name: &[u8]) -> Option<Method> {
    Method::from_bytes(name).ok().filter(|method| method != Method::CONNECT)
}

#[cfg(test)]
mod tests {
    use super::assignable_method;

    #[test]
    fn any_token_is_a_method_but_for_the_one_that_makes_a_tunnel() {
        for name in ["GET", "PURGE", "get", "connect", "CONNECTED"] {
            assert_eq!(assignable_method(name.as_bytes()).expect(name).as_str(), name);
        }
        for name in ["CONNECT", "", "G T", "GET\r\n"] {
            assert_eq!(assignable_method(name.as_bytes()), None, "{name:?}");
        }
    }
}
