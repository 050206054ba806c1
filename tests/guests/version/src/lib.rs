//! Says its version in the response header `x-version`. A test makes other versions of it by writing another number
//! over the one in the data of the module.

use std::hint::black_box;

use gofe_plugin::{ConfigErrors, Flow, PhaseResult, Plugin, Request, Response};
use serde::Deserialize;

/// Found and replaced in the built module.
static VERSION: &str = "version-00000000";

struct Version;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

#[gofe_plugin::plugin]
impl Plugin for Version {
    type Config = Config;

    fn new(_: Config) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn response_headers(&self, _: &Request, response: &Response) -> PhaseResult {
        response.set_header("x-version", black_box(VERSION))?;
        Ok(Flow::Continue)
    }
}
