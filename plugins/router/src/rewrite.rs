//! How the path changes.

use gofe_plugin::ConfigErrors;

use crate::config::RewriteConfig;

/// Puts something in the place of a path's beginning.
#[derive(Debug)]
pub(crate) struct Rewrite {
    prefix: String,
    to: To,
}

#[derive(Debug)]
enum To {
    /// Another beginning.
    Prefix(String),
    /// What comes before and after the rest.
    Around(String, String),
}

impl Rewrite {
    pub(crate) fn new(pointer: &str, config: &RewriteConfig) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::none();
        let in_path = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
        for (key, path) in [("prefix", &config.prefix), ("to", &config.to)] {
            if !path.starts_with('/') || !path.bytes().all(in_path) {
                errors
                    .push(format!("{pointer}/{key}"), "expected the beginning of a path: `/`, and no query or spaces");
            }
        }
        let to = match config.to.split_once("{rest}") {
            None => To::Prefix(config.to.trim_end_matches('/').to_owned()),
            Some((before, after)) => To::Around(before.to_owned(), after.to_owned()),
        };
        if config.to.replacen("{rest}", "", 1).contains(['{', '}']) {
            errors.push(format!("{pointer}/to"), "`{rest}` may stand here once, and no other braces");
        }
        errors.into_result(Self { prefix: config.prefix.trim_end_matches('/').to_owned(), to })
    }

    /// The new path and query; nothing where the path does not begin with the prefix. A prefix ends where a segment
    /// ends: `/api` is one of `/api/users`, not of `/apis`.
    pub(crate) fn apply(&self, path_with_query: &str) -> Option<String> {
        let end = path_with_query.find('?').unwrap_or(path_with_query.len());
        let (path, query) = path_with_query.split_at(end);
        let behind = path.strip_prefix(&self.prefix)?;
        if !behind.is_empty() && !behind.starts_with('/') {
            return None;
        }
        Some(match &self.to {
            To::Prefix(to) if to.is_empty() && behind.is_empty() => format!("/{query}"),
            To::Prefix(to) => format!("{to}{behind}{query}"),
            To::Around(before, after) => {
                let rest = behind.strip_prefix('/').unwrap_or(behind);
                format!("{before}{rest}{after}{query}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(prefix: &str, to: &str, path: &str) -> Option<String> {
        let config = RewriteConfig { prefix: prefix.to_owned(), to: to.to_owned() };
        Rewrite::new("", &config).unwrap().apply(path)
    }

    #[test]
    fn the_beginning_is_replaced_at_segments() {
        for (prefix, to, path, expected) in [
            ("/api", "/", "/api/users?x=/api", Some("/users?x=/api")),
            ("/api", "/", "/api", Some("/")),
            ("/api/", "/", "/api/", Some("/")),
            ("/api", "/v2", "/api", Some("/v2")),
            ("/api", "/v2", "/api/", Some("/v2/")),
            ("/api", "/v2/", "/api/users", Some("/v2/users")),
            ("/", "/v2", "/users", Some("/v2/users")),
            ("/api", "/v2", "/apis", None),
            ("/api", "/v2", "/other", None),
        ] {
            assert_eq!(rewritten(prefix, to, path).as_deref(), expected, "{prefix} → {to}: {path}");
        }
    }

    #[test]
    fn the_rest_is_put_where_the_template_says() {
        assert_eq!(rewritten("/u", "/users/{rest}/profile", "/u/7?a=b").as_deref(), Some("/users/7/profile?a=b"));
        assert_eq!(rewritten("/u", "/users-{rest}", "/u/7").as_deref(), Some("/users-7"));
        assert_eq!(rewritten("/u", "/fixed{rest}", "/u").as_deref(), Some("/fixed"));
    }
}
