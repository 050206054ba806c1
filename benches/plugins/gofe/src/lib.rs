//! The benchmark's filter as a plugin of gofe: reads one request header, sets one request header and one response
//! header. Its siblings do the same in the ABIs of Envoy and Traefik.

use gofe_plugin::prelude::*;

struct Filter;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

#[gofe_plugin::plugin]
impl Plugin for Filter {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        if request.header("x-api-key").as_deref() != Some(b"secret") {
            return Ok(Reply::new(401).header("www-authenticate", "key").text("denied\n").into());
        }
        request.set_header("x-user", "alice")?;
        Ok(Flow::Continue)
    }

    fn response_headers(&self, _: &Request, response: &Response) -> PhaseResult {
        response.set_header("x-proxied-by", "wasm")?;
        Ok(Flow::Continue)
    }
}
