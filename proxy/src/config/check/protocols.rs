//! The protocols that a route lets pass beside plain requests.

use serde_json::Value;

use super::Check;
use crate::config::raw::{List, RawRoute};
use crate::config::source::child;
use crate::config::written::{As, UpgradeTo};

impl Check<'_> {
    /// The protocols that clients may change to. An empty list allows none; where there is no list, WebSocket.
    pub(super) fn upgrades(&mut self, at: &str, raw: &List<As<UpgradeTo>>) -> Vec<String> {
        let mut upgrades: Vec<String> = Vec::new();
        for (index, upgrade) in raw.iter().enumerate() {
            match upgrade {
                Some(upgrade) if upgrades.contains(&upgrade.0.0) => {
                    self.error(&format!("{at}/{index}"), "this protocol is here twice");
                }
                Some(upgrade) => upgrades.push(upgrade.0.0.clone()),
                None => {}
            }
        }
        if self.source.value().pointer(at).is_some_and(Value::is_array) {
            return upgrades;
        }
        vec!["websocket".to_owned()]
    }

    /// Whether the route translates gRPC-Web. A fixed answer is no call that could be translated.
    pub(super) fn grpc_web(&mut self, at: &str, raw: &RawRoute) -> bool {
        if raw.grpc_web && raw.upstream.is_none() {
            self.key_error(&child(at, "grpc-web"), "`grpc-web` has no effect without `upstream`");
        }
        raw.grpc_web
    }
}
