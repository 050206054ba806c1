//! router: sends some requests elsewhere, by header, cookie, user or share.
//!
//! docs/plugins/router.md is the reference.

mod condition;
mod config;
mod rewrite;
mod rule;
mod split;
mod sticky;

use gofe_plugin::Phases;
use gofe_plugin::prelude::*;

use config::Config;
use rule::Rule;

/// The attribute that names the rule that was applied last.
const RULE: &str = "router.rule";
/// The attribute that names the chosen target.
const TARGET: &str = "router.target";
/// The attribute that carries a `set-cookie` value to the response phase.
const COOKIE: &str = "router.set-cookie";

/// The configured plugin.
#[derive(Debug)]
pub struct Router {
    rules: Vec<Rule>,
}

#[gofe_plugin::plugin]
impl Plugin for Router {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::none();
        if config.rules.is_empty() {
            errors.push("/rules", "there are no rules");
        }
        let rules = config.rules.into_iter().enumerate();
        let rules = rules.filter_map(|(index, rule)| errors.take(Rule::new(index, rule))).collect();
        errors.into_result(Self { rules })
    }

    fn options(&self) -> Options {
        let sticky = self.rules.iter().any(Rule::is_sticky);
        if sticky { Options::new() } else { Options::new().without(Phases::RESPONSE_HEADERS) }
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        for rule in self.rules.iter().filter(|rule| rule.matches(request)) {
            rule.apply(request)?;
            if !rule.goes_on {
                break;
            }
        }
        Ok(Flow::Continue)
    }

    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        if let Some(cookie) = request.attributes().get(COOKIE) {
            response.add_header("set-cookie", cookie)?;
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests;
