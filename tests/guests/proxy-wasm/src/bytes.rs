//! A connection whose bytes the guest sees: what it does with them stands in the client's bytes.

use std::cell::RefCell;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, StreamContext};
use proxy_wasm::types::{Action, PeerType};

thread_local! {
    /// Connections that the next tick lets go on.
    pub(crate) static HELD: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Bytes {
    context: u32,
    plugin: String,
}

impl Bytes {
    pub(crate) fn new(context: u32, plugin: String) -> Self {
        Self { context, plugin }
    }

    fn hold(&self) -> Action {
        HELD.with_borrow_mut(|held| held.push(self.context));
        Action::Pause
    }
}

/// Writes a line to the log.
fn line(text: &str) {
    hostcalls::log(proxy_wasm::types::LogLevel::Info, text).unwrap();
}

fn property(path: &str) -> String {
    let value = hostcalls::get_property(path.split('.').collect()).unwrap();
    String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
}

fn peer(kind: PeerType) -> &'static str {
    match kind {
        PeerType::Local => "gofe",
        PeerType::Remote => "the peer",
        _ => "nobody",
    }
}

impl Context for Bytes {
    fn on_done(&mut self) -> bool {
        line("connection done");
        true
    }
}

impl StreamContext for Bytes {
    fn on_new_connection(&mut self) -> Action {
        if self.plugin.contains("refuse-connections") {
            self.close_downstream();
        }
        if self.plugin.contains("hold-connections") { self.hold() } else { Action::Continue }
    }

    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        let data = self.get_downstream_data(0, size).unwrap_or_default();
        let text = String::from_utf8_lossy(&data).into_owned();
        line(&format!("downstream {size} {end}"));
        if text.contains("later") {
            return self.hold();
        }
        if text.contains("wait") && !text.ends_with('\n') {
            return Action::Pause;
        }
        if text.contains("trap") {
            panic!("as asked");
        }
        if text.contains("close") {
            self.close_upstream();
        }
        if text.contains("upper") {
            self.set_downstream_data(0, size, text.to_uppercase().as_bytes());
        }
        if text.contains("begin") {
            self.set_downstream_data(0, 0, b"> ");
        }
        if text.contains("property") {
            hostcalls::set_property(vec!["seen"], Some(b"set")).unwrap();
            let paths = ["plugin_name", "cluster_name", "upstream.address", "wasm.seen", "seen", "request.path"];
            let all: Vec<_> = paths.into_iter().map(property).collect();
            let address = property("source.address");
            let all = format!("{}|{}\n", all.join("|"), address.split(':').next().unwrap_or_default());
            self.set_downstream_data(0, size, all.as_bytes());
        }
        if text.contains("request") {
            let name = hostcalls::get_map_value(proxy_wasm::types::MapType::HttpRequestHeaders, ":path");
            line(&format!("a connection has no fields: {name:?}"));
        }
        Action::Continue
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        line(&format!("upstream {size} {end}"));
        let data = self.get_upstream_data(0, size).unwrap_or_default();
        let text = String::from_utf8_lossy(&data);
        if text.contains("secret") {
            self.set_upstream_data(0, size, text.replace("secret", "******").as_bytes());
        }
        if text.contains("later") { self.hold() } else { Action::Continue }
    }

    fn on_downstream_close(&mut self, kind: PeerType) {
        line(&format!("downstream closed by {}", peer(kind)));
    }

    fn on_upstream_close(&mut self, kind: PeerType) {
        line(&format!("upstream closed by {}", peer(kind)));
    }

    fn on_log(&mut self) {
        line("connection logged");
    }
}
