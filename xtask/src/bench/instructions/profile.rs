//! What callgrind writes: instructions by thread and function.
//!
//! The format is described in valgrind's manual, in the chapter "Callgrind Format Specification".

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What stands for functions without a name: what wasmtime compiled.
const COMPILED: &str = "(code of plugins)";
/// The longest name that is kept of a function.
const NAME: usize = 120;

/// The profiles of a process by the number of the thread.
pub(super) type Threads = BTreeMap<u32, Profile>;

/// Instructions by function. Differences may be negative.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Profile {
    /// Instructions of each function, without those that it calls.
    pub(super) functions: BTreeMap<String, i64>,
}

impl Profile {
    /// All instructions.
    pub(super) fn total(&self) -> i64 {
        self.functions.values().sum()
    }

    /// What is more here than in the other.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut functions = self.functions.clone();
        for (name, count) in &other.functions {
            *functions.entry(name.clone()).or_default() -= count;
        }
        functions.retain(|_, count| *count != 0);
        Self { functions }
    }
}

/// Reads the files that a process with `--separate-threads=yes` left in a folder.
pub(super) fn read(folder: &Path) -> Result<Threads> {
    let mut threads = Threads::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&text);
        let thread = text.lines().find_map(|line| line.strip_prefix("thread: ")?.trim().parse().ok());
        if let Some(thread) = thread {
            threads.insert(thread, parse(&text));
        }
    }
    Ok(threads)
}

/// What only a thread that serves requests runs much of.
const SERVING: &str = "hyper::proto::";

/// What the worker that served the requests did more. Threads are numbered as they come to be, which differs from run to
/// run, so that the worker is known by what it does.
pub(super) fn worker_growth(before: &Threads, after: &Threads) -> Result<Profile> {
    Ok(worker(after)?.minus(worker(before)?))
}

fn worker(threads: &Threads) -> Result<&Profile> {
    let serving = |profile: &&Profile| -> i64 {
        profile.functions.iter().filter(|(name, _)| name.contains(SERVING)).map(|(_, count)| count).sum()
    };
    threads.values().max_by_key(serving).context("callgrind wrote no profile")
}

fn parse(text: &str) -> Profile {
    let mut names = HashMap::new();
    let mut functions: BTreeMap<String, i64> = BTreeMap::new();
    let mut current = String::new();
    let mut inclusive = false;
    for line in text.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            current = name_of(function, &mut names);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            name_of(function, &mut names);
        } else if line.starts_with("calls=") {
            // The next line has the cost of the call, which the called function has too.
            inclusive = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<i64>().ok());
            if !std::mem::take(&mut inclusive) {
                *functions.entry(current.clone()).or_default() += cost.unwrap_or(0);
            }
        }
    }
    Profile { functions }
}

/// The name behind `(7) name`, or behind `(7)` where it was told before.
fn name_of(text: &str, names: &mut HashMap<String, String>) -> String {
    let (number, name) = text.split_once(')').unwrap_or((text, ""));
    match name.trim() {
        "" => names.get(number).cloned().unwrap_or_default(),
        name => {
            let name = shown(name);
            names.insert(number.to_owned(), name.clone());
            name
        }
    }
}

/// A name as people know it: without the level of a recursion, and not too long.
fn shown(name: &str) -> String {
    if name.starts_with("0x") || name == "???" {
        return COMPILED.to_owned();
    }
    let level = name.rfind('\'').filter(|at| name[at + 1..].chars().all(|c| c.is_ascii_digit()));
    name[..level.unwrap_or(name.len())].chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
version: 1
thread: 2
positions: line
events: Ir

fl=(1) a.rs
fn=(1) a::outer
0 10
cfn=(2) b::inner'2
calls=3 0
0 300
fi=(2) core.rs
0 5

fn=(2)
0 300

fn=(3) 0x0000000005c28ee0
+3 7
summary: 322
";

    #[test]
    fn a_function_has_its_own_instructions_and_not_those_of_what_it_calls() {
        let profile = parse(TEXT);
        let expected = [("a::outer", 15), ("b::inner", 300), (COMPILED, 7)];
        assert_eq!(profile.functions, expected.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(profile.total(), 322);
    }

    #[test]
    fn the_difference_is_that_of_the_worker_whatever_its_number() {
        let worker = |count| Profile { functions: BTreeMap::from([(format!("{SERVING}h1::poll"), count)]) };
        let other = |count| Profile { functions: BTreeMap::from([("compile".to_owned(), count)]) };
        let before = Threads::from([(1, other(9000)), (2, worker(100))]);
        let after = Threads::from([(1, other(9010)), (2, other(20)), (3, worker(600))]);
        assert_eq!(worker_growth(&before, &after).unwrap(), worker(500));
    }
}
