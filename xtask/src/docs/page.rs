//! As much of Markdown as the checks need: fences, code in lines, links, headings.

use std::collections::BTreeSet;

/// A page, taken apart.
pub(super) struct Page<'a> {
    /// Lines outside of fences.
    lines: Vec<Place<'a>>,
    /// Fenced blocks.
    pub(super) fences: Vec<Fence>,
}

/// A text and the line on which it stands, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The line.
    pub(super) line: usize,
    /// The text.
    pub(super) text: &'a str,
}

/// A fenced block.
pub(super) struct Fence {
    /// The line of the fence that opens it.
    pub(super) line: usize,
    /// What stands behind that fence, for example `yaml gofe`.
    pub(super) info: String,
    /// What is inside, without the indentation of the fence.
    pub(super) text: String,
}

impl<'a> Page<'a> {
    /// Takes a page apart.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut page = Self { lines: Vec::new(), fences: Vec::new() };
        let mut open: Option<(&str, usize)> = None;
        for (index, line) in text.lines().enumerate() {
            let content = line.trim_start();
            let indent = line.len() - content.len();
            let marks = content.len() - content.trim_start_matches('`').len();
            match open {
                Some((fence, _)) if marks >= fence.len() && content.trim_end() == &content[..marks] => open = None,
                Some((_, outer)) => {
                    if let Some(fence) = page.fences.last_mut() {
                        fence.text.push_str(&line[indent.min(outer)..]);
                        fence.text.push('\n');
                    }
                }
                None if marks >= 3 => {
                    open = Some((&content[..marks], indent));
                    let info = content[marks..].trim().to_owned();
                    page.fences.push(Fence { line: index + 1, info, text: String::new() });
                }
                None => page.lines.push(Place { line: index + 1, text: line }),
            }
        }
        page
    }

    /// The targets of links.
    pub(super) fn links(&self) -> Vec<Place<'a>> {
        let mut links = Vec::new();
        for place in &self.lines {
            let spans = code_ranges(place.text);
            for (at, start) in place.text.match_indices("](") {
                let target = &place.text[at + start.len()..];
                let in_code = spans.iter().any(|(from, to)| (*from..*to).contains(&at));
                if let Some(end) = target.find(')').filter(|_| !in_code) {
                    links.push(Place { line: place.line, text: &target[..end] });
                }
            }
        }
        links
    }

    /// Code in lines, and the lines of shell blocks.
    pub(super) fn code(&self) -> Vec<Place<'_>> {
        let mut code = Vec::new();
        for place in &self.lines {
            let spans = code_ranges(place.text);
            code.extend(spans.into_iter().map(|(from, to)| Place { line: place.line, text: &place.text[from..to] }));
        }
        for fence in self.fences.iter().filter(|fence| ["sh", "bash", "console"].contains(&fence.info.as_str())) {
            let lines = fence.text.lines().enumerate();
            code.extend(lines.map(|(index, text)| Place { line: fence.line + 1 + index, text }));
        }
        code
    }

    /// The anchors of the headings, as GitHub makes them.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let titles = self.lines.iter().filter(|place| place.text.starts_with('#'));
        titles.map(|place| anchor(place.text.trim_start_matches('#').trim())).collect()
    }
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Where code in a line begins and ends, without its quotes.
fn code_ranges(line: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(start) = line[at..].find('`').map(|offset| at + offset) {
        let marks = line[start..].len() - line[start..].trim_start_matches('`').len();
        let from = start + marks;
        let Some(end) = line[from..].find(&line[start..from]).map(|offset| from + offset) else { break };
        ranges.push((from, end));
        at = end + marks;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The life, in short\nSee [this](a.md#b) and `code/x [no](link)`.\n\n  ```yaml gofe\n  a:\n    b: 1\n  ```\n```sh\ncargo xtask test\n```\n[end](c.md)\n";

    #[test]
    fn fences_keep_their_inner_indentation_and_line() {
        let page = Page::parse(TEXT);
        assert_eq!((page.fences[0].line, page.fences[0].info.as_str()), (4, "yaml gofe"));
        assert_eq!(page.fences[0].text, "a:\n  b: 1\n");
    }

    #[test]
    fn links_code_and_anchors() {
        let page = Page::parse(TEXT);
        assert_eq!(page.links(), [Place { line: 2, text: "a.md#b" }, Place { line: 11, text: "c.md" }]);
        let code = [Place { line: 2, text: "code/x [no](link)" }, Place { line: 9, text: "cargo xtask test" }];
        assert_eq!(page.code(), code);
        assert!(page.anchors().contains("the-life-in-short"));
    }
}
