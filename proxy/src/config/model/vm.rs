//! The VM of a proxy-wasm plugin.

use std::collections::BTreeMap;

/// What YAML says of the VM of a proxy-wasm plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Vm {
    /// Plugins whose VMs have one id share data and queues. Default: the plugin's name.
    pub id: String,
    /// Which of the plugins in one module this is, where it has several. Default: empty.
    pub root_id: String,
    /// What the VM gets when it starts (`proxy_on_vm_start`); null where there is none.
    pub config: serde_json::Value,
    /// Environment variables, which WASI shows to it.
    pub environment: BTreeMap<String, String>,
}

impl Vm {
    /// The VM of a plugin of which YAML says nothing.
    pub fn of(plugin: &str) -> Self {
        Self {
            id: plugin.to_owned(),
            root_id: String::new(),
            config: serde_json::Value::Null,
            environment: BTreeMap::new(),
        }
    }
}
