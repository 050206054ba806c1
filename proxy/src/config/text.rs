//! Texts with variables, as in `{client.ip}`.

use http::HeaderName;

use super::model::{Part, PathPattern, Segment, Text, Variable};
use super::nearest;

/// Variables that have a name and no more.
const PLAIN: [(&str, Variable); 11] = [
    ("client.ip", Variable::ClientIp),
    ("client.port", Variable::ClientPort),
    ("request.method", Variable::Method),
    ("request.scheme", Variable::Scheme),
    ("request.host", Variable::Host),
    ("request.path", Variable::Path),
    ("request.query", Variable::Query),
    ("tls.server-name", Variable::ServerName),
    ("tls.version", Variable::TlsVersion),
    ("tls.client-subject", Variable::ClientSubject),
    ("route.name", Variable::RouteName),
];

/// Beginnings of variables that go on with a name of the request's own.
const FAMILIES: [&str; 3] = ["request.header.", "request.cookie.", "request.parameter."];

/// Reads a text. `{{` and `}}` stand for braces. What is wrong may have a second line, for help.
pub(super) fn read(text: &str, path: &PathPattern) -> Result<Text, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{");
        let Some(end) = end else {
            return Err(format!(
                "`{text}` has a brace alone\nwrite `{{{{` or `}}}}` for a brace, `{{client.ip}}` for a variable"
            ));
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(variable(&after[..end], path)?));
        rest = &after[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(Text(parts))
}

fn variable(name: &str, path: &PathPattern) -> Result<Variable, String> {
    if let Some((_, variable)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Ok(variable.clone());
    }
    if let Some(capture) = name.strip_prefix("path.") {
        return captured(capture, path);
    }
    for (family, make) in [
        (FAMILIES[0], (|name| HeaderName::try_from(name).ok().map(Variable::Header)) as fn(&str) -> Option<Variable>),
        (FAMILIES[1], |name| Some(Variable::Cookie(name.to_owned()))),
        (FAMILIES[2], |name| Some(Variable::Parameter(name.to_owned()))),
    ] {
        if let Some(name) = name.strip_prefix(family).filter(|name| !name.is_empty()) {
            return make(name).ok_or_else(|| format!("no header field has the name `{name}`"));
        }
    }
    // Of a family, only its beginning can be misspelt.
    let (begin, end) = name.match_indices('.').nth(1).map_or((name, ""), |(at, _)| name.split_at(at + 1));
    let family = nearest(begin, FAMILIES).filter(|_| !end.is_empty()).map(|family| format!("{family}{end}"));
    let near = family.or_else(|| nearest(name, PLAIN.iter().map(|(known, _)| *known)).map(str::to_owned));
    Err(match near {
        Some(near) => format!("there is no variable `{name}`\ndid you mean `{{{near}}}`?"),
        None => {
            let plain: Vec<&str> = PLAIN.iter().map(|(known, _)| *known).collect();
            format!(
                "there is no variable `{name}`\nthere are {}, path.NAME, {}",
                plain.join(", "),
                FAMILIES.map(|f| format!("{f}NAME")).join(", ")
            )
        }
    })
}

/// What the path of the route captures under a name.
fn captured(name: &str, path: &PathPattern) -> Result<Variable, String> {
    let known: Vec<(&str, Variable)> = match path {
        PathPattern::Template(segments) => {
            let capture = |(at, segment): (usize, &'_ Segment)| match segment {
                Segment::Capture(_) => Some(Variable::Segment(at)),
                Segment::Rest(_) => Some(Variable::Rest(at)),
                Segment::Literal(_) => None,
            };
            let named = segments.iter().map(|segment| match segment {
                Segment::Capture(name) | Segment::Rest(name) | Segment::Literal(name) => name.as_str(),
            });
            named.zip(segments.iter().enumerate().map(capture)).filter_map(|(name, at)| Some((name, at?))).collect()
        }
        PathPattern::Regex(pattern) => {
            let groups = pattern.regex().capture_names().flatten();
            groups.map(|name| (name, Variable::Group(name.to_owned()))).collect()
        }
        PathPattern::Exact(_) | PathPattern::Prefix(_) => Vec::new(),
    };
    if let Some((_, variable)) = known.iter().find(|(capture, _)| *capture == name) {
        return Ok(variable.clone());
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Err(match (nearest(name, names.iter().copied()), &names[..]) {
        (Some(near), _) => format!("the route's path captures no `{name}`\ndid you mean `{{path.{near}}}`?"),
        (None, []) => format!(
            "the route's path captures no `{name}`\nit captures nothing: write a template, as in `/users/{{id}}`"
        ),
        (None, names) => format!("the route's path captures no `{name}`\nit captures {}", names.join(", ")),
    })
}
