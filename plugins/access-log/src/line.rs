//! How a line is written: fixed text and values by turns, into one buffer.

use std::time::Duration;

use gofe_plugin::serde_json;

use crate::facts::{Facts, Value};
use crate::source::Source;

/// How a line is written.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) style: Style,
    /// Fixed text, and the value behind it.
    pub(crate) parts: Vec<(String, Source)>,
    /// The fixed text behind the last value.
    pub(crate) end: String,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Style {
    /// As JSON values (RFC 8259).
    Json,
    /// As text in which nothing can be mistaken for the end of a quoted value or of the line.
    Text,
}

impl Line {
    /// A JSON object with these members.
    pub(crate) fn json(fields: &[(String, Source)]) -> Self {
        let mut parts = Vec::new();
        for (name, source) in fields {
            let before = if parts.is_empty() { '{' } else { ',' };
            // A string always is JSON.
            let name = serde_json::to_string(name).unwrap_or_default();
            parts.push((format!("{before}{name}:"), source.clone()));
        }
        Self { style: Style::Json, parts, end: "}".to_owned() }
    }

    /// The line of a request, without line feed.
    pub(crate) fn write(&self, facts: &Facts<'_>) -> Vec<u8> {
        // Most lines fit, so that the buffer seldom grows.
        let mut line = Vec::with_capacity(512);
        for (before, source) in &self.parts {
            line.extend_from_slice(before.as_bytes());
            match self.style {
                Style::Json => write_json(&mut line, &facts.value(source)),
                Style::Text => write_text(&mut line, &facts.value(source)),
            }
        }
        line.extend_from_slice(self.end.as_bytes());
        line
    }
}

fn write_json(line: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Missing => line.extend_from_slice(b"null"),
        // Writing to memory does not fail.
        Value::Text(text) => serde_json::to_writer(line, text).unwrap_or_default(),
        Value::Number(number) => write_number(line, *number),
        Value::Milliseconds(duration) => write_milliseconds(line, *duration),
    }
}

fn write_text(line: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Missing => line.push(b'-'),
        Value::Text(text) if text.is_empty() => line.push(b'-'),
        Value::Text(text) => write_escaped(line, text),
        Value::Number(number) => write_number(line, *number),
        Value::Milliseconds(duration) => write_milliseconds(line, *duration),
    }
}

fn write_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with three places.
fn write_milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    write_number(line, microseconds / 1000);
    line.push(b'.');
    let rest = microseconds % 1000;
    for divisor in [100, 10, 1] {
        line.push(digit(rest / divisor % 10));
    }
}

/// Quotes, backslashes and control characters become `\xHH`, as nginx writes them.
fn write_escaped(line: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f => {
                line.extend_from_slice(b"\\x");
                line.extend([byte >> 4, byte & 15].map(|half| digit(half.into())));
            }
            _ => line.push(byte),
        }
    }
}

/// A digit up to 15 in hexadecimal.
fn digit(value: u64) -> u8 {
    b"0123456789ABCDEF".get(usize::try_from(value).unwrap_or_default()).copied().unwrap_or(b'?')
}
