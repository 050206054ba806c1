//! How a line is written: fixed text and values by turns, into one buffer.

use std::time::Duration;

use gofe_plugin::serde_json;

use crate::buffer::Buffer;
use crate::clock::Clock;
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

    /// Puts the line of a request, without line feed, into the pen's buffer.
    pub(crate) fn write(&self, facts: &Facts<'_>, pen: &mut Pen) {
        pen.line.clear();
        for (before, source) in &self.parts {
            pen.line.put(before.as_bytes());
            let value = facts.value(source);
            match self.style {
                Style::Json => pen.write_json(&value),
                Style::Text => pen.write_text(&value),
            }
        }
        pen.line.put(self.end.as_bytes());
    }
}

/// What is kept from one line to the next.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    pub(crate) line: Buffer,
    clock: Clock,
}

impl Pen {
    fn write_json(&mut self, value: &Value<'_>) {
        match value {
            Value::Missing => self.line.put(b"null"),
            Value::Text(text) => {
                self.line.put_byte(b'"');
                self.line.put_json(text);
                self.line.put_byte(b'"');
            }
            Value::Time(time) => {
                self.line.put_byte(b'"');
                self.clock.write(*time, &mut self.line);
                self.line.put_byte(b'"');
            }
            Value::Number(number) => self.line.put_number(*number),
            Value::Milliseconds(duration) => self.write_milliseconds(*duration),
        }
    }

    fn write_text(&mut self, value: &Value<'_>) {
        match value {
            Value::Missing => self.line.put_byte(b'-'),
            Value::Text(text) if text.is_empty() => self.line.put_byte(b'-'),
            Value::Text(text) => self.line.put_escaped(text),
            Value::Time(time) => self.clock.write(*time, &mut self.line),
            Value::Number(number) => self.line.put_number(*number),
            Value::Milliseconds(duration) => self.write_milliseconds(*duration),
        }
    }

    /// Milliseconds with three places.
    fn write_milliseconds(&mut self, duration: Duration) {
        let microseconds = u64::from(duration.subsec_micros());
        self.line.put_number(duration.as_secs() * 1000 + microseconds / 1000);
        self.line.put_byte(b'.');
        self.line.put_thousandths(microseconds);
    }
}
