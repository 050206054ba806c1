//! `cargo xtask check-docs`: what the pages name must be there, and the configurations in them must hold.

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;

use crate::wasm::Builder;
use crate::workspace::Workspace;
use crate::{Cli, coverage, process};
use page::{Page, Place};

/// Checks README, ARCHITECTURE, CHANGELOG, the pages in docs and the configurations in examples.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    certificates(workspace)?;
    plugins(workspace)?;
    let files = workspace.files()?;
    let tops: BTreeSet<_> = files.iter().filter_map(|file| first_folder(file)).collect();
    let mut problems = coverage::check(workspace)?;
    let mut configurations: Vec<_> = files.iter().filter(|file| is_example(file)).cloned().collect();
    for file in files.iter().filter(|file| is_page(file)) {
        let text = workspace.text(file)?.unwrap_or_default();
        let page = Page::parse(&text);
        check_links(workspace, file, &page, &mut problems)?;
        check_paths(workspace, file, &page, &tops, &mut problems);
        check_commands(file, &page, &mut problems);
        configurations.extend(write_configurations(workspace, file, &page)?);
    }
    if !configurations.is_empty() {
        workspace.build_gofe()?;
    }
    for file in &configurations {
        let command = &mut Command::new(workspace.gofe());
        if let Err(error) = process::output(command.current_dir(&workspace.root).arg("check").arg(file)) {
            problems.push(format!("{}: not accepted by `gofe check`: {error:#}", file.display()));
        }
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("the pages do not agree with what there is in {} places", problems.len());
    }
    eprintln!("the pages agree with what there is; {} configurations accepted", configurations.len());
    Ok(())
}

/// Makes the certificates that an example names. They are kept out of the repository, because of the keys beside them.
pub(crate) fn certificates(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("examples/certificates");
    let arguments = ["run", "--quiet", "--locked", "--package", "gofe-certificates", "--"];
    process::run(workspace.cargo().args(arguments).arg(folder))
}

/// Where configurations in pages are checked; what they name by its path is there too.
const FOLDER: &str = "check-docs";

/// Plugins whose source is in the examples, and where pages look for them.
const PLUGINS: [(&str, &str); 3] = [
    ("hello", "target/wasm32-wasip2/release/hello.wasm"),
    ("proxy-wasm-header", "filters/tenant.wasm"),
    ("http-wasm-header", "plugins-local/src/example.com/tenant/plugin.wasm"),
];

/// Builds the plugins that pages name, and the component that an example names, whose source is beside it.
fn plugins(workspace: &Workspace) -> Result<()> {
    let builder = Builder::new(workspace)?;
    for (name, path) in PLUGINS {
        let package = workspace.package(name).with_context(|| format!("there is no package `{name}`"))?;
        let (built, place) = (builder.build(package)?, workspace.target.join(FOLDER).join(path));
        fs::create_dir_all(place.parent().unwrap_or(&workspace.target))?;
        fs::copy(&built, place)?;
        if name == "hello" {
            fs::copy(&built, workspace.root.join("examples/plugins/hello.wasm"))?;
        }
    }
    Ok(())
}

fn is_page(file: &Path) -> bool {
    let markdown = file.extension().is_some_and(|extension| extension == "md");
    markdown && (file.parent() == Some(Path::new("")) || file.starts_with("docs"))
}

fn is_example(file: &Path) -> bool {
    file.parent() == Some(Path::new("examples")) && file.extension().is_some_and(|extension| extension == "yaml")
}

fn first_folder(file: &Path) -> Option<String> {
    let mut parts = file.iter();
    let first = parts.next()?;
    parts.next().map(|_| first.to_string_lossy().into_owned())
}

/// Every relative link leads to a file, and its anchor to a heading.
fn check_links(workspace: &Workspace, file: &Path, page: &Page, problems: &mut Vec<String>) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    for Place { line, text: link } in page.links() {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { file.to_path_buf() } else { folder.join(path) };
        if !workspace.root.join(&target).exists() {
            problems.push(format!("{}:{line}: the link leads nowhere: {link}", file.display()));
        } else if !anchor.is_empty() && target.extension().is_some_and(|extension| extension == "md") {
            let text = workspace.text(&target)?.unwrap_or_default();
            if !Page::parse(&text).anchors().contains(anchor) {
                problems.push(format!("{}:{line}: no such heading: {link}", file.display()));
            }
        }
    }
    Ok(())
}

/// Every path in code that begins with a folder of the repository exists.
fn check_paths(workspace: &Workspace, file: &Path, page: &Page, tops: &BTreeSet<String>, problems: &mut Vec<String>) {
    for Place { line, text: code } in page.code() {
        for word in code.split_whitespace() {
            let word = word.trim_matches(|c| "\"'`(),;:.".contains(c));
            let known = word.split_once('/').is_some_and(|(top, _)| tops.contains(top));
            let pattern = word.contains(|c| "*<>{}[]$…@=".contains(c));
            if known && !pattern && !workspace.root.join(word).exists() {
                problems.push(format!("{}:{line}: there is no {word}", file.display()));
            }
        }
    }
}

/// Every `cargo xtask …` is a command that there is.
fn check_commands(file: &Path, page: &Page, problems: &mut Vec<String>) {
    for Place { line, text: code } in page.code() {
        for (at, start) in code.match_indices("cargo xtask ") {
            if let Err(word) = known_command(&code[at + start.len()..]) {
                problems.push(format!("{}:{line}: cargo xtask has no `{word}`", file.display()));
            }
        }
    }
}

/// Whether the words up to the first that is no command or option are what clap knows; else the unknown word.
fn known_command(words: &str) -> Result<(), String> {
    let mut command = Cli::command();
    for word in words.split_whitespace() {
        if let Some(option) = word.strip_prefix("--") {
            let known = command.get_arguments().any(|argument| argument.get_long() == Some(option));
            if option.is_empty() {
                break;
            }
            if !known && option != "help" {
                return Err(word.to_owned());
            }
        } else if let Some(next) = command.find_subcommand(word) {
            command = next.clone();
        } else if command.has_subcommands() && word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(word.to_owned());
        } else {
            break;
        }
    }
    Ok(())
}

/// Puts each configuration of a page into a file of its own and returns the files.
fn write_configurations(workspace: &Workspace, file: &Path, page: &Page) -> Result<Vec<PathBuf>> {
    let folder = workspace.target.join(FOLDER);
    let stem = file.with_extension("").to_string_lossy().replace(['/', '\\'], "-");
    let mut written = Vec::new();
    for fence in page.fences.iter().filter(|fence| fence.info == "yaml gofe") {
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{stem}-line-{}.yaml", fence.line));
        fs::write(&path, &fence.text)?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_options_are_those_of_clap() {
        assert_eq!(known_command("test"), Ok(()));
        assert_eq!(known_command("test --only tests -- swap"), Ok(()));
        assert_eq!(known_command("plugins --check # nothing is written"), Ok(()));
        assert_eq!(known_command("bench micro"), Ok(()));
        assert_eq!(known_command("tset"), Err("tset".to_owned()));
        assert_eq!(known_command("bench macro"), Err("macro".to_owned()));
        assert_eq!(known_command("plugins --chekc"), Err("--chekc".to_owned()));
        assert_eq!(known_command("…"), Ok(()), "not a command but a place for one");
    }

    #[test]
    fn pages_and_examples_are_told_from_other_files() {
        assert!(is_page(Path::new("README.md")) && is_page(Path::new("docs/request.md")));
        assert!(!is_page(Path::new("plugins/router/README.md")) && !is_page(Path::new("docs/a.yaml")));
        assert!(is_example(Path::new("examples/quickstart.yaml")) && !is_example(Path::new("examples/go/x.yaml")));
        assert_eq!(first_folder(Path::new("docs/request.md")).as_deref(), Some("docs"));
        assert_eq!(first_folder(Path::new("README.md")), None);
    }
}
