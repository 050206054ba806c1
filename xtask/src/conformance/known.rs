//! The cases that fail, as docs/conformance.md lists them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// The page.
pub(super) const PAGE: &str = "docs/conformance.md";

/// The known cases of a suite: rows of tables whose first two cells are the suite and the case, each as code.
pub(super) fn of(workspace: &Workspace, suite: &str) -> Result<BTreeSet<String>> {
    let text = workspace.text(Path::new(PAGE))?.with_context(|| format!("{PAGE} is no text"))?;
    Ok(cases(&text, suite))
}

fn cases(page: &str, suite: &str) -> BTreeSet<String> {
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|');
        (code(cells.next()?)? == suite).then(|| code(cells.next()?))?
    };
    page.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::cases;

    #[test]
    fn rows_of_a_suite_are_its_cases() {
        let page = "| suite | case | why |\n|---|---|---|\n| `a` | `x/1` | so |\n| `b` | `y` | so |\n| `a` | `z` of others | |\n";
        assert_eq!(cases(page, "a").into_iter().collect::<Vec<_>>(), ["x/1"]);
    }
}
