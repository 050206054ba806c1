//! The routes of one host, by path.

use std::collections::HashMap;

use super::conditions::Candidate;
use crate::config::{Match, PathPattern, Pattern, Segment};

/// The routes of one host pattern.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: HashMap<String, Vec<Candidate>>,
    tree: Node,
}

/// All patterns that are no exact paths, by their segments. What stands in a node belongs to the path that leads to it.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Self>,
    capture: Option<Box<Self>>,
    /// Expressions whose text begins with this path and a slash.
    expressions: Vec<(Pattern, Candidate)>,
    /// Templates that end here.
    ends: Vec<Candidate>,
    /// `{rest...}`: what is below.
    rests: Vec<Candidate>,
    /// `**`: this path and what is below.
    prefixes: Vec<Candidate>,
}

impl Paths {
    /// Adds a route; those with more conditions come first.
    pub(super) fn insert(&mut self, candidate: Candidate, matches: &Match) {
        match &matches.path {
            PathPattern::Exact(path) => self.exact.entry(path.clone()).or_default().push(candidate),
            PathPattern::Prefix(path) => self.tree.descend(path).prefixes.push(candidate),
            PathPattern::Regex(pattern) => {
                let node = self.tree.descend(literal_folder(pattern.text()));
                node.expressions.push((pattern.clone(), candidate));
            }
            PathPattern::Template(segments) => self.tree.template(segments, candidate),
        }
    }

    /// The first route whose path fits and whose conditions hold.
    pub(super) fn find(&self, path: &str, holds: &impl Fn(&Candidate) -> bool) -> Option<usize> {
        if let Some(candidates) = self.exact.get(path)
            && let Some(route) = first(candidates, holds)
        {
            return Some(route);
        }
        match path.strip_prefix('/') {
            Some(below) => self.tree.find(path, Some(below), holds),
            // A target that is no path, as in `OPTIONS *`.
            None => first(&self.tree.prefixes, holds),
        }
    }
}

impl Node {
    fn descend(&mut self, path: &str) -> &mut Self {
        let mut node = self;
        for segment in path.split('/').skip(1) {
            node = node.literals.entry(segment.to_owned()).or_default();
        }
        node
    }

    fn template(&mut self, segments: &[Segment], candidate: Candidate) {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Capture(_) => node.capture.get_or_insert_default(),
                Segment::Rest(_) => return node.rests.push(candidate),
            };
        }
        node.ends.push(candidate);
    }

    /// Looks at one segment after the other. `below` is what follows this node in `path`; nothing where the path ends
    /// with it. It goes no deeper than the tree, and to no node twice.
    fn find(&self, path: &str, below: Option<&str>, holds: &impl Fn(&Candidate) -> bool) -> Option<usize> {
        let Some(below) = below else {
            return first(&self.ends, holds).or_else(|| first(&self.prefixes, holds));
        };
        if !self.literals.is_empty() || self.capture.is_some() || !self.expressions.is_empty() {
            let (segment, next) = below.split_once('/').map_or((below, None), |(segment, next)| (segment, Some(next)));
            let literal = if self.literals.is_empty() { None } else { self.literals.get(segment) };
            if let Some(route) = literal.and_then(|node| node.find(path, next, holds)) {
                return Some(route);
            }
            let fits =
                |(pattern, candidate): &&(Pattern, Candidate)| holds(candidate) && pattern.regex().is_match(path);
            if let Some((_, candidate)) = self.expressions.iter().find(fits) {
                return Some(candidate.route);
            }
            let capture = self.capture.as_ref().filter(|_| !segment.is_empty());
            if let Some(route) = capture.and_then(|node| node.find(path, next, holds)) {
                return Some(route);
            }
        }
        first(&self.rests, holds).or_else(|| first(&self.prefixes, holds))
    }
}

fn first(candidates: &[Candidate], holds: &impl Fn(&Candidate) -> bool) -> Option<usize> {
    candidates.iter().find(|candidate| holds(candidate)).map(|candidate| candidate.route)
}

/// The folder that every path which an expression matches is in, as far as its text shows that: `/a/b` for
/// `/a/b/[0-9]+`.
pub(super) fn literal_folder(expression: &str) -> &str {
    let text = expression.strip_prefix('^').unwrap_or(expression);
    // One of several alternatives, as far as anybody can tell without reading the expression.
    if text.contains('|') {
        return "";
    }
    let end = text.find(|c| r"\.+*?()[]{}^$".contains(c)).unwrap_or(text.len());
    // What a repetition follows may be missing.
    let repeated = text[end..].starts_with(['*', '?', '{']);
    let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
    let literal = &text[..end - if repeated { last } else { 0 }];
    literal.rfind('/').map_or("", |end| &literal[..end])
}
