//! The architecture test: modules of the proxy import downward only, and foreign types stay where they belong.
//!
//! It reads what the code says (`crate::x`, `super::…` up to the root, `use crate::{x, y}`), not what it means, so
//! that it runs in no time and its findings have a line.

use std::path::Path;

use anyhow::Result;

use super::{Finding, line_at};
use crate::source::code_of;
use crate::workspace::Workspace;

/// The modules of the proxy, from the top; a level imports those below it and its own.
const LEVELS: [&[&str]; 6] = [
    &["main", "cli", "app", "admin"],
    &["server", "source", "reload"],
    &["snapshot"],
    &["wasm", "upstream"],
    &["chain", "route", "store", "net"],
    &["http", "config", "telemetry", "watch"],
];

/// Modules of one level that must not know each other: a plugin's request reaches `upstream` through a trait of
/// `chain`.
const STRANGERS: [(&str, &str); 2] = [("wasm", "upstream"), ("upstream", "wasm")];

/// Crates, and the modules whose business they are.
const CRATES: [(&str, &[&str]); 9] = [
    ("wasmtime", &["wasm"]),
    ("wasmtime_wasi", &["wasm"]),
    ("wit_component", &["wasm"]),
    ("wasi_preview1_component_adapter_provider", &["wasm"]),
    ("rustls", &["net", "upstream"]),
    ("tokio_rustls", &["net", "upstream"]),
    ("x509_parser", &["net"]),
    ("serde_yaml", &["config"]),
    ("saphyr_parser", &["config"]),
];

const SOURCES: &str = "proxy/src";

/// Reads every source of the proxy.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in workspace.files()? {
        let Ok(inside) = file.strip_prefix(SOURCES) else { continue };
        let rust = inside.extension().is_some_and(|extension| extension == "rs");
        // The root only declares the modules.
        if !rust || inside == Path::new("lib.rs") {
            continue;
        }
        if let Some(text) = workspace.text(&file)? {
            for (line, message) in check_file(inside, &text) {
                findings.push(Finding { file: file.clone(), line, message });
            }
        }
    }
    Ok(findings)
}

/// Lines and what is wrong with them. The path is relative to the folder of sources.
fn check_file(path: &Path, text: &str) -> Vec<(usize, String)> {
    let names: Vec<_> = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let own = names[0].as_str();
    let Some(level) = level_of(own) else {
        return vec![(1, format!("the module `{own}` has no level in xtask/src/lint/layers.rs"))];
    };
    let code = code_of(text);
    let mut found = Vec::new();
    for (at, import) in imports(&code, names.len()) {
        match level_of(import) {
            Some(other) if other > level => {
                found.push((line_at(&code, at), format!("`{own}` (level {level}) imports `{import}` (level {other})")));
            }
            Some(_) if STRANGERS.contains(&(own, import)) => {
                found.push((line_at(&code, at), format!("`{own}` and `{import}` must not know each other")));
            }
            _ => {}
        }
    }
    for (name, homes) in CRATES {
        if !homes.contains(&own) {
            let uses = words(&code, name).filter(|at| is_crate(&code, *at, name));
            found.extend(uses.map(|at| (line_at(&code, at), format!("`{name}` belongs to `{}`", homes.join("`, `")))));
        }
    }
    found
}

/// The level of a module: 0 at the bottom.
fn level_of(module: &str) -> Option<usize> {
    LEVELS.iter().rev().position(|level| level.contains(&module))
}

/// The modules at the root of the crate that a file names, with their places. `depth` is how many modules deep the
/// file is.
fn imports(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    // The binary is a crate of its own and sees the library by its name.
    for root in ["crate::", "gofe::"] {
        for at in words(code, root) {
            found.extend(names_at(code, at + root.len()));
        }
    }
    let climb = "super::".repeat(depth);
    found.extend(words(code, &climb).flat_map(|at| names_at(code, at + climb.len())));
    found
}

/// The name at a place, or the first names in braces: `{a::b, c}` has `a` and `c`.
fn names_at(code: &str, at: usize) -> Vec<(usize, &str)> {
    let start = at + (code[at..].len() - code[at..].trim_start().len());
    if !code[start..].starts_with('{') {
        return name_at(code, start).into_iter().collect();
    }
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut first = true;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => first = true,
            _ if c.is_whitespace() => {}
            _ if first && depth == 1 => {
                first = false;
                names.extend(name_at(code, start + offset));
            }
            _ => {}
        }
    }
    names
}

fn name_at(code: &str, at: usize) -> Option<(usize, &str)> {
    let name = &code[at..];
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (end > 0).then(|| (at, &name[..end]))
}

/// The places of a word that does not continue another word or a path.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts = code.match_indices(word).map(|(at, _)| at);
    starts.filter(|at| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// Whether a word is a path into a crate (`name::`) or an import of it (`use name;`).
fn is_crate(code: &str, at: usize, name: &str) -> bool {
    let after = &code[at + name.len()..];
    after.starts_with("::") || (code[..at].trim_end().ends_with("use") && after.starts_with([';', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check_file(Path::new(path), text).into_iter().map(|(line, message)| format!("{line}: {message}")).collect()
    }

    #[test]
    fn an_upward_import_is_found_and_a_downward_one_is_not() {
        let text = "use crate::http::Body;\nuse crate::server::Handle;\n";
        assert_eq!(messages("chain/runner.rs", text), ["2: `chain` (level 1) imports `server` (level 4)"]);
        assert!(messages("server.rs", text).is_empty());
        assert!(messages("main.rs", "use gofe::{cli, app::run};").is_empty());
    }

    #[test]
    fn groups_paths_and_the_way_over_super_are_read() {
        let group = "use crate::{\n    config::{server, Config},\n    reload,\n};";
        assert_eq!(messages("net.rs", group), ["3: `net` (level 1) imports `reload` (level 4)"]);
        assert_eq!(messages("net.rs", "fn f() -> crate::admin::State {}").len(), 1);
        assert_eq!(messages("net/tls.rs", "use super::super::admin;").len(), 1);
        assert!(messages("net/tls.rs", "use super::admin;").is_empty(), "a module of net's own");
        assert!(
            messages("net.rs", "// crate::admin\n/// [`crate::admin`]\nconst A: &str = \"crate::admin\";").is_empty()
        );
    }

    #[test]
    fn plugins_and_upstreams_do_not_know_each_other() {
        assert_eq!(
            messages("wasm/host.rs", "use crate::upstream::Pool;"),
            ["1: `wasm` and `upstream` must not know each other"]
        );
        assert_eq!(messages("upstream.rs", "use crate::wasm::Engine;").len(), 1);
    }

    #[test]
    fn foreign_types_stay_at_home() {
        assert_eq!(messages("server.rs", "use wasmtime::Engine;"), ["1: `wasmtime` belongs to `wasm`"]);
        assert_eq!(messages("server.rs", "fn f(e: rustls::Error, s: tokio_rustls::TlsStream) {}").len(), 2);
        assert!(messages("wasm/engine.rs", "use wasmtime::Engine;").is_empty());
        assert!(messages("net/tls.rs", "use rustls::ServerConfig;").is_empty());
        assert!(messages("telemetry.rs", "let filter = \"wasmtime::runtime=warn\";").is_empty());
    }

    #[test]
    fn a_new_module_must_get_a_level() {
        assert_eq!(messages("helpers.rs", "")[0], "1: the module `helpers` has no level in xtask/src/lint/layers.rs");
    }
}
