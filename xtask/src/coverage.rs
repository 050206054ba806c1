//! `cargo xtask coverage`: the tables of what every function and callback of an ABI is tested by, made from the tests.
//!
//! `tests/coverage/ABI.txt` has the items: a line for each, below the heading of its kind, and with a reason where it cannot
//! mean anything in gofe. A test says above itself what it covers: `// covers ABI: item, item`. In the pages a table stands
//! between two comments of HTML.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The folder with the lists of items.
const LISTS: &str = "tests/coverage";
/// How a test says what it covers.
const MARK: &str = "// covers ";
/// What a table stands between.
const BEGIN: &str = "<!-- coverage ";
const END: &str = "<!-- end of coverage -->";

/// The items of one kind of an ABI, in the order of the list: name, and why it cannot mean anything here.
type Items = Vec<(String, Option<String>)>;
/// The lists, by ABI and kind.
type Lists = BTreeMap<(String, String), Items>;
/// The tests of each item, by ABI and name.
type Tests = BTreeMap<(String, String), Vec<String>>;

/// Writes the tables.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for (file, _, new) in pages(workspace)? {
        fs::write(workspace.root.join(&file), new).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("{}", file.display());
    }
    Ok(())
}

/// What is wrong with the tables: items without a test and without a reason, and pages that are not what the tests say.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let stale = pages(workspace)?.into_iter().filter(|(_, old, new)| old != new);
    Ok(stale.map(|(file, ..)| format!("{}: not what the tests say; `cargo xtask coverage`", file.display())).collect())
}

/// Each page with tables, as it is and as it should be.
fn pages(workspace: &Workspace) -> Result<Vec<(PathBuf, String, String)>> {
    let files = workspace.files()?;
    let lists = lists(workspace, &files)?;
    let tests = tests(workspace, &files)?;
    let mut problems = problems(&lists, &tests);
    problems.extend(unheard_of(workspace, &files, &tests)?);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let mut pages = Vec::new();
    for file in files.into_iter().filter(|file| file.starts_with("docs")) {
        let Some(old) = workspace.text(&file)?.filter(|text| text.contains(BEGIN)) else { continue };
        let new = filled(&old, &lists, &tests).with_context(|| file.display().to_string())?;
        pages.push((file, old, new));
    }
    Ok(pages)
}

fn lists(workspace: &Workspace, files: &[PathBuf]) -> Result<Lists> {
    let mut lists = Lists::new();
    for file in files.iter().filter(|file| file.parent() == Some(Path::new(LISTS))) {
        let abi = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = workspace.text(file)?.unwrap_or_default();
        lists.extend(parse(&text).into_iter().map(|(kind, items)| ((abi.clone(), kind), items)));
    }
    Ok(lists)
}

/// The items of a list by their kinds.
fn parse(text: &str) -> BTreeMap<String, Items> {
    let (mut kinds, mut kind) = (BTreeMap::<String, Items>::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line.strip_prefix('[').and_then(|line| line.strip_suffix(']')), line.split_once(" = ")) {
            (Some(heading), _) => heading.clone_into(&mut kind),
            (None, Some((name, reason))) => {
                kinds.entry(kind.clone()).or_default().push((name.to_owned(), Some(reason.to_owned())));
            }
            (None, None) => kinds.entry(kind.clone()).or_default().push((line.to_owned(), None)),
        }
    }
    kinds
}

/// What the tests say that they cover.
fn tests(workspace: &Workspace, files: &[PathBuf]) -> Result<Tests> {
    let mut tests = Tests::new();
    let code = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "rs" || extension == "go");
    for file in files.iter().filter(code).filter(|file| !file.starts_with("xtask")) {
        let Some(text) = workspace.text(file)?.filter(|text| text.contains(MARK)) else { continue };
        for (abi, item, test) in marks(&text) {
            tests.entry((abi, item)).or_default().push(test);
        }
    }
    Ok(tests)
}

/// ABI, item and test of each mark in a text.
fn marks(text: &str) -> Vec<(String, String, String)> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim_start) {
        if let Some((abi, items)) = line.strip_prefix(MARK).and_then(|mark| mark.rsplit_once(": ")) {
            // The list of `wasi:http` is a file too.
            open.extend(items.split(',').map(|item| (abi.replace(':', "-"), item.trim().to_owned())));
        } else if let Some(test) = function(line) {
            found.extend(open.drain(..).map(|(abi, item)| (abi, item, test.to_owned())));
        }
    }
    found
}

/// The name of the function that begins on this line, in Rust or Go.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("func "))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().filter(|name| !name.is_empty())
}

/// Items that nothing covers, and marks that name no item.
fn problems(lists: &Lists, tests: &Tests) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for ((abi, kind), items) in lists {
        for (name, reason) in items {
            known.insert((abi.clone(), name.clone()));
            if reason.is_none() && !tests.contains_key(&(abi.clone(), name.clone())) {
                problems
                    .push(format!("{abi}: no test covers the {kind} `{name}`, and {LISTS}/{abi}.txt has no reason"));
            }
        }
    }
    for ((abi, item), names) in tests.iter().filter(|(item, _)| !known.contains(*item)) {
        problems.push(format!("{}: `{item}` is not in {LISTS}/{abi}.txt", names.join(", ")));
    }
    problems
}

/// Items that a test says it covers, while no guest has their name: neither a module that was built for the tests, nor a
/// text of WAT in them.
fn unheard_of(workspace: &Workspace, files: &[PathBuf], tests: &Tests) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(crate::guests::folder(workspace)) else { return Ok(Vec::new()) };
    let mut guests = entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok()).collect::<Vec<_>>();
    let texts = files.iter().filter(|file| file.starts_with("tests") || file.starts_with("proxy/src/wasm"));
    for file in texts.filter(|file| !file.starts_with(LISTS)) {
        guests.extend(workspace.text(file)?.map(String::into_bytes));
    }
    let has = |name: &str| guests.iter().any(|guest| guest.windows(name.len()).any(|window| window == name.as_bytes()));
    // An item of an interface has its name behind the interface's.
    let last = |item: &str| item.rsplit('.').next().unwrap_or(item).to_owned();
    let unknown = tests.keys().filter(|(_, item)| !has(&last(item)));
    Ok(unknown.map(|(abi, item)| format!("{abi}: no guest has the name `{item}`")).collect())
}

/// A page with its tables.
fn filled(page: &str, lists: &Lists, tests: &Tests) -> Result<String> {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find(BEGIN) {
        let line = rest[at..].lines().next().unwrap_or_default();
        let named = line[BEGIN.len()..].trim_end_matches("-->").trim();
        let (abi, kind) = named.split_once(' ').context("a table names its ABI and the kind of its items")?;
        let key = (abi.to_owned(), kind.to_owned());
        let items = lists.get(&key).with_context(|| format!("{LISTS}/{abi}.txt has no [{kind}]"))?;
        let end = rest[at..].find(END).with_context(|| format!("nothing ends the table `{named}`"))?;
        out.push_str(&rest[..at]);
        out.push_str(&table(line, abi, kind, items, tests));
        rest = &rest[at + end..];
    }
    out.push_str(rest);
    Ok(out)
}

fn table(line: &str, abi: &str, kind: &str, items: &Items, tests: &Tests) -> String {
    let mut table = format!("{line}\n\n| {kind} | tests, or what it cannot mean here |\n|---|---|\n");
    for (name, reason) in items {
        let of = tests.get(&(abi.to_owned(), name.clone())).map(Vec::as_slice).unwrap_or_default();
        let mut cell: Vec<String> = Vec::new();
        if !of.is_empty() {
            cell.push(of.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", "));
        }
        cell.extend(reason.clone());
        table += &format!("| `{name}` | {} |\n", cell.join("; "));
    }
    table + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "// covers a: one, two\n// covers a: three\n#[test]\nfn it_works() {}\n#[test]\nfn other() {}\n";

    fn tests() -> Tests {
        let mut tests = Tests::new();
        for (abi, item, test) in marks(TEST) {
            tests.entry((abi, item)).or_default().push(test);
        }
        tests
    }

    fn lists(text: &str) -> Lists {
        parse(text).into_iter().map(|(kind, items)| (("a".to_owned(), kind), items)).collect()
    }

    #[test]
    fn a_table_has_the_tests_and_the_reasons() {
        let lists = lists("[function]\none\ntwo = half of it\nfour = there is none\n[callback]\nthree\n");
        assert_eq!(problems(&lists, &tests()), Vec::<String>::new());
        let page = "before\n<!-- coverage a function -->\nold\n<!-- end of coverage -->\nbehind\n";
        let filled = filled(page, &lists, &tests()).unwrap();
        let rows = "| `one` | `it_works` |\n| `two` | `it_works`; half of it |\n| `four` | there is none |\n";
        assert!(filled.starts_with("before\n<!-- coverage a function -->\n\n| function |"), "{filled}");
        assert!(filled.ends_with(&format!("{rows}\n<!-- end of coverage -->\nbehind\n")), "{filled}");
    }

    #[test]
    fn what_nothing_covers_and_what_is_no_item_is_named() {
        let problems = problems(&lists("[function]\none\ntwo\nfour\n"), &tests());
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("`four`") && problems[1].contains("`three`"), "{problems:?}");
    }
}
