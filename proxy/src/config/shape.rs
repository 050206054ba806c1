//! JSON values → raw structures, with every mistake reported.
//!
//! serde stops at the first mistake. So each is recorded and cut out of the values, and serde begins again; what is
//! missing only because it was cut out is no mistake of its own.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::diagnostic::Diagnostic;
use super::source::{Source, child};
use super::{MAX_PROBLEMS, nearest};

/// Reads the raw structures; nothing where the rest cannot be judged.
pub(super) fn read<T: DeserializeOwned>(source: &Source, problems: &mut Vec<Diagnostic>) -> Option<T> {
    let mut value = source.value().clone();
    if value.is_null() {
        problems.push(source.error("", "the file is empty").with_help("it needs at least `listeners`"));
        return None;
    }
    remove_blanks(source, &mut value, &mut Vec::new(), problems);
    for _ in 0..MAX_PROBLEMS {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let pointer = error.path().iter().try_fold(String::new(), |pointer, segment| match segment {
            Segment::Seq { index } => Some(format!("{pointer}/{index}")),
            Segment::Map { key } => Some(child(&pointer, key)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        let pointer = pointer.unwrap_or_default();
        problems.extend(explain(source, &pointer, &error.inner().to_string()));
        if !cut_out(&mut value, &pointer) {
            return None;
        }
    }
    None
}

/// Reports keys and list items without a value, where one is asked for, and removes the keys.
fn remove_blanks(source: &Source, value: &mut Value, path: &mut Vec<String>, problems: &mut Vec<Diagnostic>) {
    let mut visit = |key: String, value: &mut Value| -> bool {
        path.push(key);
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let exempt = matches!(keys[..], ["plugins", _, "config"] | ["routes", _, "match", "headers", _]);
        let blank = value.is_null() && !exempt;
        if blank && problems.len() < MAX_PROBLEMS {
            let pointer = path.iter().fold(String::new(), |pointer, key| child(&pointer, key));
            let blank = source.key_error(&pointer, "there is no value here");
            problems.push(blank.with_help("write one, or leave it out"));
        } else if !exempt && !blank {
            remove_blanks(source, value, path, problems);
        }
        path.pop();
        !blank
    };
    match value {
        Value::Object(map) => map.retain(|key, value| visit(key.clone(), value)),
        // A null stays in its list: the other items keep their index.
        Value::Array(items) => items.iter_mut().enumerate().for_each(|(index, value)| {
            visit(index.to_string(), value);
        }),
        _ => {}
    }
}

/// Removes a value from its map, or leaves a hole in its list. False when nothing could be removed.
fn cut_out(value: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => map.shift_remove(&key).is_some(),
        Some(Value::Array(items)) => match key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            Some(item) => !item.take().is_null(),
            None => false,
        },
        _ => false,
    }
}

/// What serde says, in the words of a configuration file.
fn explain(source: &Source, pointer: &str, message: &str) -> Option<Diagnostic> {
    if let Some((missing, _)) = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        return (!was_written(source, pointer, missing))
            .then(|| source.key_error(pointer, format!("`{missing}` is missing")));
    }
    if message.starts_with("unknown field ") {
        let (_, key) = pointer.rsplit_once('/').unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        let (_, expected) = message.rsplit_once(", expected ").unwrap_or_default();
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let help = match nearest(&key, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        return Some(source.key_error(pointer, format!("unknown key `{key}`")).with_help(help));
    }
    let wrong_type = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = wrong_type.and_then(|text| text.rsplit_once(", expected ")) {
        let text = format!("expected {}, found {}", plainly(expected), plainly(found));
        let error = source.error(pointer, text);
        let unquoted = expected == "a string" && found.contains('`');
        return Some(if unquoted { error.with_help("put it in quotes") } else { error });
    }
    let (message, help) = message.split_once('\n').map_or((message, None), |(message, help)| (message, Some(help)));
    let error = source.error(pointer, message);
    Some(match help {
        Some(help) => error.with_help(help),
        None => error,
    })
}

/// Whether a map in the file has a key, be it misspelt or with a wrong value: that is reported already.
fn was_written(source: &Source, pointer: &str, key: &str) -> bool {
    let map = source.value().pointer(pointer).and_then(Value::as_object);
    map.is_some_and(|map| map.keys().any(|written| nearest(written, [key]).is_some()))
}

/// A type's name for people. A string's text is left out: it may be a secret.
fn plainly(name: &str) -> String {
    match name {
        "u64" | "usize" | "u32" => "a whole number, 0 or more".to_owned(),
        "i64" => "a whole number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "map" => "a map".to_owned(),
        _ if name.starts_with("string ") => "a string".to_owned(),
        _ => match name.split_once(" `") {
            Some(("integer" | "floating point" | "boolean", value)) => format!("`{value}"),
            _ => name.to_owned(),
        },
    }
}
