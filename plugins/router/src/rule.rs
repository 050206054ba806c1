//! One rule: what must hold, and what is then done.

use gofe_plugin::config::token;
use gofe_plugin::credential::is_token;
use gofe_plugin::{ConfigErrors, Error, Request};

use crate::condition::Condition;
use crate::config::{RuleConfig, TargetConfig};
use crate::rewrite::Rewrite;
use crate::split::{Split, Target};
use crate::sticky::Sticky;
use crate::{COOKIE, RULE, TARGET};

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    name: String,
    when: Vec<Condition>,
    split: Option<Split>,
    sticky: Option<Sticky>,
    rewrite: Option<Rewrite>,
    set_headers: Vec<(String, String)>,
    pub(crate) goes_on: bool,
}

impl Rule {
    /// The rule at this place of the list.
    pub(crate) fn new(index: usize, mut config: RuleConfig) -> Result<Self, ConfigErrors> {
        let pointer = format!("/rules/{index}");
        let mut errors = ConfigErrors::none();
        let name = config.name.take().unwrap_or_else(|| index.to_string());
        let has_split = !config.split.is_empty();
        let split = errors.take(split(&pointer, &name, &mut config)).flatten();
        let sticky = config.sticky.and_then(|sticky| errors.take(Sticky::new(&format!("{pointer}/sticky"), sticky)));
        if sticky.is_some() && !has_split {
            errors.push(format!("{pointer}/sticky"), "there is no `split` to stick to");
        }
        let rewrite =
            config.rewrite.and_then(|rewrite| errors.take(Rewrite::new(&format!("{pointer}/rewrite"), &rewrite)));
        for (header, value) in &config.set_headers {
            if !is_token(header) || value.contains(|c: char| c.is_control()) {
                let message = format!("`{header}` with this value is not a header");
                errors.push(format!("{pointer}/set-headers{}", token(header)), message);
            }
        }
        errors.into_result(Self {
            name,
            when: config.when,
            split,
            sticky,
            rewrite,
            set_headers: config.set_headers.into_iter().collect(),
            goes_on: config.goes_on,
        })
    }

    pub(crate) fn is_sticky(&self) -> bool {
        self.sticky.is_some()
    }

    pub(crate) fn matches(&self, request: &Request) -> bool {
        self.when.iter().all(|condition| condition.holds(request))
    }

    /// Does what the rule says.
    pub(crate) fn apply(&self, request: &Request) -> Result<(), Error> {
        request.attributes().set(RULE, &self.name);
        if let Some(target) = self.split.as_ref().and_then(|split| self.target(split, request)) {
            target.choose(request)?;
            request.attributes().set(TARGET, &target.name);
        }
        if let Some(path) = self.rewrite.as_ref().and_then(|rewrite| rewrite.apply(&request.path_with_query())) {
            request.set_path_with_query(&path)?;
        }
        for (name, value) in &self.set_headers {
            request.set_header(name, value)?;
        }
        Ok(())
    }

    fn target<'a>(&self, split: &'a Split, request: &Request) -> Option<&'a Target> {
        let Some(sticky) = &self.sticky else {
            return split.pick(request);
        };
        if let Some(kept) = sticky.target(request).and_then(|name| split.named(&name)) {
            return Some(kept);
        }
        let target = split.pick(request)?;
        request.attributes().set(COOKIE, sticky.set(&target.name, request));
        Some(target)
    }
}

/// The targets of a rule: those of `split`, or the one that `upstream` and `subset` name.
fn split(pointer: &str, rule: &str, config: &mut RuleConfig) -> Result<Option<Split>, ConfigErrors> {
    let mut errors = ConfigErrors::none();
    let upstream = config.upstream.take();
    let subset = std::mem::take(&mut config.subset);
    let single = upstream.is_some() || !subset.is_empty();
    let written = std::mem::take(&mut config.split);
    let many = !written.is_empty();
    if single && many {
        errors.push(format!("{pointer}/split"), "`split` takes the place of `upstream` and `subset`: give one of them");
    }
    let mut targets = Vec::new();
    if single {
        let only = TargetConfig { name: None, weight: 1, upstream, subset };
        targets.extend(errors.take(Target::new(pointer, 0, only)));
    }
    for (index, target) in written.into_iter().enumerate() {
        targets.extend(errors.take(Target::new(&format!("{pointer}/split/{index}"), index, target)));
    }
    for (index, target) in targets.iter().enumerate() {
        if targets[..index].iter().any(|other| other.name == target.name) {
            let message = format!("two targets are called `{}`; give them names", target.name);
            errors.push(format!("{pointer}/split/{index}"), message);
        }
    }
    errors.into_result(())?;
    let split = Split::new(targets, config.by.clone(), rule);
    if many && split.is_weightless() {
        return Err(ConfigErrors::new(format!("{pointer}/split"), "all weights are 0"));
    }
    Ok((single || many).then_some(split))
}
