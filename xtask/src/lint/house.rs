//! The rules of the house that can be seen in a file's text.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Finding, line_at};
use crate::source::code_of;
use crate::workspace::Workspace;

/// The most lines of a Rust file.
const MAX_LINES: usize = 600;
/// What says that something was left for later. Cut in two, so that this file does not find itself.
const LEFT: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("to", "do!("),
    concat!("un", "implemented!("),
];
/// Where people's and machines' folders begin.
const MACHINE: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Looks at every file that git knows.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let here = machine_paths(workspace);
    let mut findings = Vec::new();
    for file in workspace.files()? {
        if let Some(text) = workspace.text(&file)? {
            check_file(&file, &text, &here, &mut findings);
        }
    }
    Ok(findings)
}

/// The folders of this machine that no file may name.
fn machine_paths(workspace: &Workspace) -> Vec<String> {
    let known = [
        Some(workspace.root.clone()),
        env::var_os("HOME").map(PathBuf::from),
        env::var_os("CARGO_HOME").map(PathBuf::from),
    ];
    let long =
        known.into_iter().flatten().map(|path| path.to_string_lossy().into_owned()).filter(|path| path.len() > 4);
    MACHINE.iter().map(ToString::to_string).chain(long).collect()
}

fn check_file(file: &Path, text: &str, machine: &[String], findings: &mut Vec<Finding>) {
    let mut found = |line: usize, message: String| findings.push(Finding { file: file.to_path_buf(), line, message });
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    if file.file_name().is_some_and(|name| name != "Cargo.lock") {
        for path in machine {
            for at in occurrences(text, path, |before| before.is_alphanumeric() || "_.".contains(before)) {
                found(line_at(text, at), format!("a path of a machine: {path}"));
            }
        }
    }
    if ["rs", "sh", "toml", "yaml", "yml", "wit"].contains(&&*extension) {
        for word in LEFT {
            for at in occurrences(text, word, char::is_alphanumeric) {
                if !text[at + word.len()..].starts_with(char::is_alphanumeric) || word.ends_with('(') {
                    found(line_at(text, at), format!("left for later: {word}"));
                }
            }
        }
    }
    if extension == "rs" {
        check_rust(file, text, &mut found);
    }
}

fn check_rust(file: &Path, text: &str, found: &mut impl FnMut(usize, String)) {
    if file.file_name().is_some_and(|name| name == "mod.rs") {
        found(1, "a module is `foo.rs` beside `foo/`, not mod.rs".into());
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found(MAX_LINES + 1, format!("{lines} lines; {MAX_LINES} is the limit"));
    }
    let code = code_of(text);
    for attribute in ["[allow(", "[expect("] {
        for at in occurrences(&code, attribute, |before| !"#!".contains(before)) {
            let end = code[at..].find(")]").unwrap_or(code.len() - at);
            if !code[at..at + end].contains("reason") {
                found(line_at(&code, at), format!("`#{attribute}…)]` without a reason"));
            }
        }
    }
    for at in occurrences(&code, "#[ignore", |_| false) {
        found(line_at(&code, at), "a test that does not run; run it or delete it".into());
    }
    let tests = tests_begin(file, &code);
    for sleep in ["sleep(", "sleep_until("] {
        for at in occurrences(&code, sleep, |before| before.is_alphanumeric() || before == '_') {
            if tests.is_some_and(|begin| at >= begin) {
                found(line_at(&code, at), "a test that sleeps; wait for the event".into());
            }
        }
    }
}

/// The byte from which a file is a test: all of a file of tests, or behind `#[cfg(test)]` and an inline module.
fn tests_begin(file: &Path, code: &str) -> Option<usize> {
    let in_folder = file.parent().is_some_and(|folder| folder.iter().any(|part| part == "tests"));
    if in_folder || file.file_name().is_some_and(|name| name == "tests.rs") {
        return Some(0);
    }
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]") {
        from += at + "#[cfg(test)]".len();
        let item = code[from..].trim_start();
        if item.starts_with("mod ") && item.find('{') < item.find(';').or(Some(item.len())) && item.contains('{') {
            return Some(from);
        }
    }
    None
}

/// The places of a word that does not continue another: `inside` says which characters before it make it one.
fn occurrences(text: &str, word: &str, inside: impl Fn(char) -> bool) -> Vec<usize> {
    let starts = text.match_indices(word).map(|(at, _)| at);
    starts.filter(|at| !text[..*at].chars().next_back().is_some_and(&inside)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(file: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check_file(Path::new(file), text, &[MACHINE[2].to_owned()], &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_left_for_later_is_found_with_its_line() {
        let note = format!("fn f() {{}}\n// {}: more\n", LEFT[0]);
        assert_eq!(findings("a.rs", &note), [format!("a.rs:2: left for later: {}", LEFT[0])]);
        assert_eq!(findings("a.rs", &format!("fn f() {{ {}) }}", LEFT[3])).len(), 1);
        assert!(findings("a.rs", &format!("let {}S = 1;", LEFT[0])).is_empty(), "another word");
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_file() {
        assert_eq!(findings("docs/a.md", &format!("see {}me/x", MACHINE[2])).len(), 1);
        assert!(findings("docs/a.md", &format!("example.com{}x", MACHINE[2])).is_empty(), "a URL");
    }

    #[test]
    fn an_allow_needs_a_reason() {
        assert_eq!(findings("a.rs", "#[allow(dead_code)]\nfn f() {}")[0], "a.rs:1: `#[allow(…)]` without a reason");
        assert!(findings("a.rs", "#[allow(\n    dead_code,\n    reason = \"why\"\n)]\nfn f() {}").is_empty());
        assert!(findings("a.rs", "// `#[allow(x)]` in a comment").is_empty());
    }

    #[test]
    fn sleeps_are_found_in_tests_only() {
        let sleep = concat!("sl", "eep(second)");
        let inline = format!("fn f() {{ {sleep} }}\n#[cfg(test)]\nmod tests {{\n    fn g() {{ thread::{sleep} }}\n}}");
        assert_eq!(findings("src/a.rs", &inline), ["src/a.rs:4: a test that sleeps; wait for the event"]);
        assert_eq!(findings("tests/src/a.rs", &format!("fn f() {{ {sleep} }}")).len(), 1);
        let beside = format!("#[cfg(test)]\nmod tests;\nfn f() {{ {sleep} }}");
        assert!(findings("src/a.rs", &beside).is_empty());
    }

    #[test]
    fn long_files_and_mod_files_are_found() {
        assert_eq!(findings("a/mod.rs", "").len(), 1);
        assert_eq!(findings("a.rs", &"\n".repeat(MAX_LINES + 1)), ["a.rs:601: 601 lines; 600 is the limit"]);
        assert!(findings("a.rs", &"\n".repeat(MAX_LINES)).is_empty());
    }
}
