//! Rust source as the house rules read it: without comments and without what strings say.

/// The text with comments and the contents of strings and characters replaced by blanks. Lines and columns stay.
pub(crate) fn code_of(text: &str) -> String {
    let mut reader = Reader { rest: text, out: String::with_capacity(text.len()) };
    while !reader.rest.is_empty() {
        reader.step();
    }
    reader.out
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
}

impl Reader<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment(self.rest));
        } else if let Some(length) = self.raw_string() {
            self.blank(length);
        } else if self.rest.starts_with('"') {
            self.blank(quoted(self.rest, '"'));
        } else if let Some(length) = character(self.rest) {
            self.blank(length);
        } else {
            self.keep();
        }
    }

    fn keep(&mut self) {
        let mut chars = self.rest.chars();
        self.out.extend(chars.next());
        self.rest = chars.as_str();
    }

    /// Replaces so many bytes by as many characters of blank; line feeds stay.
    fn blank(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes);
        self.out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    /// The length of a raw string that begins here.
    fn raw_string(&self) -> Option<usize> {
        let inside_a_word = self.out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
            let tail = self.rest.strip_prefix(prefix).map(|tail| tail.trim_start_matches('#'));
            tail.is_some_and(|tail| tail.starts_with('"'))
        })?;
        if inside_a_word {
            return None;
        }
        let hashes = self.rest[prefix.len()..].chars().take_while(|c| *c == '#').count();
        let start = prefix.len() + hashes + 1;
        let end = format!("\"{}", "#".repeat(hashes));
        Some(self.rest[start..].find(&end).map_or(self.rest.len(), |at| start + at + end.len()))
    }
}

/// The length of a block comment, with those inside it.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a literal between two of these quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| quoted(text, '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_go_and_places_stay() {
        let text = "let a = \"x // \\\" y\"; // note\nlet b = 'q'; /* /* in */ out */ c";
        let code = code_of(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["let", "a", "=", ";", "let", "b", "=", ";", "c"]);
        assert_eq!(code.find('c'), text.find(" c").map(|at| at + 1));
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn raw_strings_quotes_and_lifetimes() {
        assert_eq!(code_of("a r#\"x\" y\"# b").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(code_of("fn f<'a>(x: &'a str) { '\"' }"), "fn f<'a>(x: &'a str) {     }");
        assert_eq!(code_of("'\\'' + b"), "     + b");
        assert_eq!(code_of("var\"x\""), "var   ");
    }
}
