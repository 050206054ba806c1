//! What may be a secret, and how it is hidden.
//!
//! A plugin's configuration is its own affair, so gofe guesses by the names of keys and rather hides too much.
//! Secrets that gofe reads itself are named in the file (`env`, `file`) and never stand in it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::tree::{Id, Kind, Place, Tree};

pub(super) const MASK: &str = "***";

/// Parts of key names, in lower case, whose values are hidden.
const TELLING: [&str; 10] =
    ["key", "secret", "token", "passw", "credential", "auth", "private", "cert", "cookie", "signature"];

fn telling(key: &str) -> bool {
    let key = key.to_lowercase();
    TELLING.iter().any(|part| key.contains(part))
}

/// The same values, with everything that may be a secret replaced.
pub(super) fn value(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(Value::Object(plugins)) = value.get_mut("plugins") {
        for config in plugins.values_mut().filter_map(|plugin| plugin.get_mut("config")) {
            *config = masked(config, false);
        }
    }
    value
}

/// `hide` holds below a telling key; there, the keys of a map may be secrets as well.
fn masked(value: &Value, hide: bool) -> Value {
    match value {
        Value::Object(map) => Value::Object(masked_map(map, hide)),
        Value::Array(items) => items.iter().map(|item| masked(item, hide)).collect(),
        Value::Null => Value::Null,
        _ if hide => MASK.into(),
        _ => value.clone(),
    }
}

fn masked_map(map: &Map<String, Value>, hide: bool) -> Map<String, Value> {
    let entry = |(number, (key, value)): (usize, (&String, &Value))| {
        // Numbered from the second on, because a map has no key twice.
        let name = match (hide, number) {
            (false, _) => key.clone(),
            (true, 0) => MASK.to_owned(),
            (true, _) => format!("{MASK}{}", number + 1),
        };
        (name, masked(value, hide || telling(key)))
    };
    map.iter().enumerate().map(entry).collect()
}

/// The places in a text that hold what may be a secret: as [`value`], but below every key `config`, because
/// aliases and merges may bring any map below a plugin.
pub(super) fn places(tree: &Tree) -> Vec<Place> {
    let mut walk = Walk { tree, seen: HashSet::new(), places: Vec::new() };
    walk.visit(tree.root(), Stage::Root);
    walk.places
}

/// Where a value is, as far as it matters for secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The document itself.
    Root,
    /// `admin`.
    Admin,
    /// Where a secret is named; what is neither `env` nor `file` may be one that was pasted here.
    Reference,
    /// A plugin's configuration.
    Config,
    /// Below a telling key in a plugin's configuration.
    Hidden,
    /// Anywhere else.
    Outside,
}

impl Stage {
    /// The stage of a value in a map.
    pub(super) fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Root, "admin") => Self::Admin,
            (Self::Root, "secrets") | (Self::Admin, "token") => Self::Reference,
            (Self::Root | Self::Admin, _) | (Self::Reference, "env" | "file") => Self::Outside,
            (Self::Outside, "config") => Self::Config,
            // The key itself may have been pasted in the place of its file's name.
            (Self::Outside, "private-key") => Self::Hidden,
            (Self::Config, key) if telling(key) => Self::Hidden,
            (stage, _) => stage,
        }
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    /// What was visited: aliases can lead to one value by many ways.
    seen: HashSet<(Id, Stage)>,
    places: Vec<Place>,
}

impl Walk<'_> {
    fn visit(&mut self, id: Id, stage: Stage) {
        let tree = self.tree;
        if !self.seen.insert((id, stage)) {
            return;
        }
        let node = tree.node(id);
        match &node.kind {
            Kind::Scalar if matches!(stage, Stage::Hidden | Stage::Reference) => self.places.push(node.place),
            Kind::Scalar | Kind::Nothing => {}
            Kind::Alias(target) => self.visit(*target, stage),
            Kind::List(items) => items.iter().for_each(|item| self.visit(*item, stage)),
            Kind::Map(entries) => {
                for entry in entries {
                    if stage == Stage::Hidden {
                        self.places.push(entry.place);
                    }
                    self.visit(entry.value, stage.below(&entry.key));
                }
            }
        }
    }
}
