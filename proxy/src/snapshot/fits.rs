//! Keys of a plugin that mean nothing to the ABI of its code. Which ABI that is shows when the file is read, so that `config`
//! cannot refuse them.

use serde_json::Value;

use crate::config::{Diagnostic, Source};
use crate::wasm::Abi;

/// A key below a plugin, and why it has no effect.
type Useless = (&'static str, &'static str);

const VM: Useless = ("vm", "only proxy-wasm has VMs");
const SECRETS: Useless = ("allow/secrets", "the ABI cannot read secrets; give it what it needs in `config`");
const OUTPUT: Useless = ("allow/output", "the ABI has no output; what the plugin logs is in gofe's log");

const GOFE: &[Useless] = &[VM];
const PROXY_WASM: &[Useless] = &[
    ("instance", "such a plugin has one VM for each worker, which serves many requests"),
    ("allow/key-value", "the ABI has shared data and queues of its own, which need no grant"),
    SECRETS,
    OUTPUT,
];
const HTTP_WASM: &[Useless] = &[
    VM,
    ("allow/http", "the ABI sends no requests"),
    ("allow/key-value", "the ABI has no store"),
    ("allow/metrics", "the ABI has no metrics"),
    SECRETS,
    OUTPUT,
];
const MIDDLEWARE: &[Useless] = &[
    VM,
    ("limits/body", "bodies stream through such a component, and gofe holds nothing back for it"),
    ("allow/key-value", "the world has no store"),
    ("allow/metrics", "the world has no metrics"),
    SECRETS,
    ("allow/output", "what the component writes to its standard output is in gofe's log"),
];

/// The mistakes: each key of the plugin at this place in the file that code of this ABI has no use for.
pub(super) fn useless(source: &Source, at: &str, abi: Abi) -> Vec<Diagnostic> {
    let keys = match abi {
        Abi::Gofe => GOFE,
        Abi::ProxyWasm(_) => PROXY_WASM,
        Abi::HttpWasm => HTTP_WASM,
        Abi::WasiHttp(_) => MIDDLEWARE,
    };
    let given = |key: &str| source.value().pointer(&format!("{at}/{key}")).is_some_and(says_something);
    let mistake = |(path, why): &Useless| {
        let key = path.rsplit('/').next().unwrap_or(path);
        let message = format!("`{key}` has no effect on a plugin of {}: {why}", abi.name());
        source.key_error(&format!("{at}/{path}"), message)
    };
    keys.iter().filter(|(key, _)| given(key)).map(mistake).collect()
}

/// A grant that is not given needs no use.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
