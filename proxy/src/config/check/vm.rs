//! The VM of a proxy-wasm plugin.

use super::Check;
use crate::config::model::Vm;
use crate::config::raw::RawVm;
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn vm(&mut self, at: &str, plugin: &str, raw: &RawVm) -> Vm {
        let id = raw.id.clone().unwrap_or_else(|| plugin.to_owned());
        if raw.id.is_some() {
            self.name(&child(at, "id"), &id);
        }
        for (name, value) in &raw.environment {
            let at = child(&child(at, "environment"), name);
            if name.is_empty() || name.contains('=') || name.contains('\0') {
                self.error(&at, "the name of an environment variable is not empty and has no `=` and no NUL");
            }
            if value.contains('\0') {
                self.error(&at, "the value of an environment variable has no NUL");
            }
        }
        Vm {
            id,
            root_id: raw.root_id.clone().unwrap_or_default(),
            config: raw.config.clone(),
            environment: raw.environment.clone(),
        }
    }
}
