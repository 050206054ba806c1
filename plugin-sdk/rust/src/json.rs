//! JSON, read by serde with the way to each value in hand, and with little code.
//!
//! serde_json makes a tree, and types are read from the tree. To read each type from the text costs a plugin some 40 KB
//! more, since everything that reads text is then there once for each type.

mod de;

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

pub use de::Mistake;

use de::Node;

/// Reads a value.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Mistake> {
    from_tree(&tree(json)?)
}

/// Reads a value that may be missing: `null` reads as an empty map.
pub(crate) fn read_or_default<T: DeserializeOwned>(json: &[u8]) -> Result<T, Mistake> {
    match tree(json)? {
        Tree::Null => from_tree(&Tree::Map(Vec::new())),
        tree => from_tree(&tree),
    }
}

fn tree(json: &[u8]) -> Result<Tree, Mistake> {
    serde_json::from_slice(json).map_err(|error| Mistake::custom(format_args!("not JSON: {error}")))
}

fn from_tree<T: DeserializeOwned>(tree: &Tree) -> Result<T, Mistake> {
    T::deserialize(Node(tree))
}

/// A JSON value.
#[derive(Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    /// In the order in which it is written.
    Map(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Tree::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
