//! Adds a header to the requests whose path begins with a prefix.
use gofe_plugin::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path_prefix: String,
    name: String,
    value: String,
}
struct AddHeader(Config);

#[gofe_plugin::plugin]
impl Plugin for AddHeader {
    type Config = Config;
    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(config))
    }
    fn request_headers(&self, request: &Request) -> PhaseResult {
        if request.path().starts_with(&self.0.path_prefix) {
            request.set_header(&self.0.name, &self.0.value)?;
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matching_paths_get_the_header() {
        let configuration = r#"{ "path_prefix": "/api/", "name": "x-team", "value": "red" }"#;
        let plugin = mock::Host::new().load::<AddHeader>(configuration).unwrap();
        let team = |path| {
            let exchange = plugin.send(mock::Request::get(path));
            exchange.upstream_request().unwrap().header("x-team").map(str::to_owned)
        };
        assert_eq!(team("/api/users").as_deref(), Some("red"));
        assert_eq!(team("/other"), None);
    }
}
