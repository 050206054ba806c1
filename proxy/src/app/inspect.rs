//! `gofe plugin inspect`: what is in a plugin's file.

use std::fmt::Write;
use std::path::Path;

use super::Error;
use crate::wasm::{Answer, Report};

/// Reads a plugin's file and says what it is, for people or as JSON.
///
/// # Errors
/// When the file cannot be read or is not a plugin.
pub fn inspect(file: &Path, json: bool) -> Result<String, Error> {
    let bytes = std::fs::read(file).map_err(|error| Error::system(&file.display().to_string(), error))?;
    let report = Report::of(&bytes).map_err(|error| Error::system(&file.display().to_string(), error))?;
    if json {
        return serde_json::to_string_pretty(&report).map_err(|error| Error::system("JSON", error));
    }
    Ok(text(&report))
}

fn text(report: &Report) -> String {
    let list = |list: &[&str]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let toolchain: Vec<&str> = report.toolchain.iter().map(String::as_str).collect();
    let mut text = format!("abi        {} ({})\n", report.abi, report.kind);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "size       {} bytes", report.size);
    let _ = writeln!(text, "digest     {}", report.digest);
    if let Some(memory) = &report.memory {
        let most = memory.maximum.map_or("no maximum of its own".to_owned(), |most| format!("at most {most}"));
        let _ = writeln!(text, "memory     {} bytes, {most}", memory.initial);
    }
    if !report.phases.is_empty() {
        let _ = writeln!(text, "phases     {}", list(&report.phases));
    }
    let _ = writeln!(text, "toolchain  {}", list(&toolchain));
    text.push_str("imports");
    if report.imports.is_empty() {
        text.push_str("    none");
    }
    for import in &report.imports {
        let answer = match (import.answer, import.allow) {
            (Answer::Granted, _) => "granted".to_owned(),
            (Answer::Refused, Some(allow)) => format!("refused, unless the configuration has `{allow}`"),
            (Answer::Refused, None) => "refused".to_owned(),
            (Answer::Empty, _) => "there, but empty: no files, sockets or environment".to_owned(),
            (Answer::Missing, _) => "MISSING: gofe does not have it, the plugin cannot be loaded".to_owned(),
        };
        let _ = write!(text, "\n  {}  {answer}", import.name);
    }
    text
}
