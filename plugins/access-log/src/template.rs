//! Templates: text with `$name`, `${request_header:name}` and `$$`.

use crate::line::{Line, Style};
use crate::source::Source;

/// Reads a template, or says what is wrong with it.
pub(crate) fn parse(template: &str) -> Result<Line, String> {
    let mut line = Line { style: Style::Text, parts: Vec::new(), end: String::new() };
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        line.end.push_str(before);
        if let Some(next) = behind.strip_prefix('$') {
            line.end.push('$');
            rest = next;
            continue;
        }
        let (name, next) = name(behind)?;
        line.parts.push((std::mem::take(&mut line.end), Source::parse(name)?));
        rest = next;
    }
    line.end.push_str(rest);
    match line {
        line if line.parts.is_empty() => {
            Err("the template has no `$` source, so that all lines would be the same".into())
        }
        line if template.contains(['\n', '\r']) => Err(format!("a line has no line feed, but {:?} has", line.end)),
        line => Ok(line),
    }
}

/// The name behind a `$`, and what comes behind the name.
fn name(text: &str) -> Result<(&str, &str), String> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}').ok_or_else(|| format!("`${{` without `}}` at `${text}`"));
    }
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    if end == 0 {
        Err(format!("`$` without a name at `${text}`; write `$$` for a dollar"))
    } else {
        Ok(text.split_at(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_split_into_text_and_sources() {
        let line = parse("$method \"${request_header:User-Agent}\" $$5 $status!").unwrap();
        let parts = [
            (String::new(), Source::Method),
            (" \"".to_owned(), Source::RequestHeader("user-agent".to_owned())),
            ("\" $5 ".to_owned(), Source::Status),
        ];
        assert_eq!(line.parts, parts);
        assert_eq!(line.end, "!");
    }

    #[test]
    fn mistakes_are_explained() {
        assert_eq!(parse("$methud").unwrap_err(), "there is no source `methud`; did you mean `method`?");
        assert!(parse("${method").unwrap_err().contains("without `}`"));
        assert!(parse("$ 5").unwrap_err().contains("write `$$`"));
        assert!(parse("hello").unwrap_err().contains("all lines would be the same"));
        assert!(parse("$method\n$path").unwrap_err().contains("line feed"));
    }
}
