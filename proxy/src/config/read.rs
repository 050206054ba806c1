//! YAML text → JSON values, with bounds.
//!
//! Aliases are expanded and `<<` is merged here, within a budget: a small text can stand for a huge value.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::MAX_PROBLEMS;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::policy;
use super::source::{Source, child, error_in_text};
use super::tree::{Place, Tree};

/// What all values together may take, counted roughly in bytes.
const BUDGET: usize = 32 << 20;
/// What a value takes besides its text.
const VALUE_SIZE: usize = 64;
const TOO_LARGE: &str = "aliases make the configuration too large";

/// Reads a text into values and their places; also the mistakes that do not keep the others from being found.
pub(super) fn source(name: &str, text: &str) -> Result<(Source, Vec<Diagnostic>), Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (tree, repeated) = Tree::read(text).map_err(|wrong| error_in_text(name, text, wrong.place, wrong.message))?;
    let reading = Reading { left: Cell::new(BUDGET), wrong: RefCell::default() };
    let seed = Seed { reading: &reading, pointer: String::new() };
    let mut value = seed.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let at = error.location().map_or(Place::point(1, 0), |at| Place::point(at.line(), at.column() - 1));
        error_in_text(name, text, at, reason(&error))
    })?;
    let links = policy::merge(&mut value);
    let too_large = links.is_none();
    let source = Source::new(name, text, tree, value, links.unwrap_or_default());
    if too_large {
        return Err(Diagnostics::from(source.key_error("/policies", "policies make the configuration too large")));
    }
    let mut problems: Vec<_> =
        reading.wrong.take().iter().map(|(at, message)| source.key_error(at, *message)).collect();
    problems.extend(repeated.into_iter().map(|wrong| source.error_at(wrong.place, &wrong.pointer, wrong.message)));
    Ok((source, problems))
}

/// The error without its position at the end, which the diagnostic has.
fn reason(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if text == "repetition limit exceeded" { TOO_LARGE.to_owned() } else { text.to_owned() }
}

struct Reading {
    left: Cell<usize>,
    /// Pointers and what is wrong there.
    wrong: RefCell<Vec<(String, &'static str)>>,
}

impl Reading {
    fn take<E: Error>(&self, text: &str) -> Result<(), E> {
        let left = self.left.get().checked_sub(VALUE_SIZE + text.len());
        self.left.set(left.ok_or_else(|| E::custom(TOO_LARGE))?);
        Ok(())
    }
}

/// Reads one value.
struct Seed<'a> {
    reading: &'a Reading,
    pointer: String,
}

impl Seed<'_> {
    fn wrong(&self, pointer: String, message: &'static str) {
        let mut wrong = self.reading.wrong.borrow_mut();
        if wrong.len() < MAX_PROBLEMS {
            wrong.push((pointer, message));
        }
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.reading.take("").map(|()| value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    /// A text without any value.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if let Some(number) = Number::from_f64(value) {
            return self.scalar(Value::Number(number));
        }
        self.wrong(self.pointer.clone(), "a number must be finite");
        self.scalar(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.reading.take(text).map(|()| text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.reading.take("")?;
        let mut list = Vec::new();
        let seed = |index: usize| Seed { reading: self.reading, pointer: format!("{}/{index}", self.pointer) };
        while let Some(item) = items.next_element_seed(seed(list.len()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.reading.take("")?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Seed { reading: self.reading, pointer: String::new() })? {
            let name = match key {
                Value::String(name) => name,
                other => {
                    self.wrong(child(&self.pointer, &other.to_string()), "a key must be a string: put it in quotes");
                    other.to_string()
                }
            };
            let pointer = child(&self.pointer, &name);
            let value = entries.next_value_seed(Seed { reading: self.reading, pointer })?;
            // Of a repeated key, which is reported elsewhere, the first counts.
            map.entry(name).or_insert(value);
        }
        self.merge(&mut map);
        Ok(Value::Object(map))
    }
}

impl Seed<'_> {
    /// Takes in the maps under `<<`; what the map has itself goes first.
    fn merge(&self, map: &mut Map<String, Value>) {
        let bases = match map.shift_remove("<<") {
            None => return,
            Some(Value::Array(bases)) => bases,
            Some(base) => vec![base],
        };
        for base in bases {
            let Value::Object(base) = base else {
                self.wrong(child(&self.pointer, "<<"), "`<<` takes a map, or a list of maps");
                continue;
            };
            for (key, value) in base {
                map.entry(key).or_insert(value);
            }
        }
    }
}
