//! The places of all keys and values in a YAML text.
//!
//! The text is read once with bounds on depth and count, before anything that builds values sees it.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::MAX_PROBLEMS;
use super::mask::{MASK, Stage};

/// The deepest nesting of lists and maps.
const MAX_DEPTH: usize = 64;
/// The most keys, values and brackets.
const MAX_EVENTS: usize = 500_000;

/// From one character to before another. Lines from 1, columns from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) end_line: usize,
    pub(super) end_column: usize,
}

impl Place {
    fn new(span: Span) -> Self {
        let (start, end) = (span.start, span.end);
        Self { line: start.line(), column: start.col(), end_line: end.line(), end_column: end.col() }
    }

    /// One character.
    pub(super) fn point(line: usize, column: usize) -> Self {
        Self { line, column, end_line: line, end_column: column + 1 }
    }
}

/// What a text has at one place and should not.
#[derive(Debug)]
pub(super) struct Misplaced {
    pub(super) place: Place,
    pub(super) pointer: String,
    pub(super) message: String,
}

impl Misplaced {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, pointer: String::new(), message: message.into() }
    }

    fn too_deep(place: Place) -> Self {
        Self::new(place, format!("lists and maps are nested more than {MAX_DEPTH} deep"))
    }
}

impl From<ScanError> for Misplaced {
    fn from(error: ScanError) -> Self {
        let place = Place::point(error.marker().line(), error.marker().col());
        match error.info() {
            // The parser has a bound of its own.
            "recursion limit exceeded" => Self::too_deep(place),
            reason => Self::new(place, format!("this is not YAML: {reason}")),
        }
    }
}

/// A value's number in [`Tree`].
pub(super) type Id = usize;

/// One value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is made of.
#[derive(Debug)]
pub(super) enum Kind {
    /// No text at all, as after `key:`.
    Nothing,
    Scalar,
    List(Vec<Id>),
    Map(Vec<Entry>),
    Alias(Id),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Id,
}

/// All values of a document.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    root: Id,
}

/// What a pointer leads to.
pub(super) struct Found<'a> {
    pub(super) node: &'a Node,
    /// Where its key is, when it is in a map.
    pub(super) key: Option<Place>,
    /// Its path for people.
    pub(super) path: String,
}

impl Tree {
    /// Reads the places of a text; also all keys that a map has twice.
    pub(super) fn read(text: &str) -> Result<(Self, Vec<Misplaced>), Misplaced> {
        let mut builder = Builder {
            parser: Parser::new_from_str(text),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            repeated: Vec::new(),
            events: 0,
        };
        let root = builder.document()?;
        Ok((Self { nodes: builder.nodes, root }, builder.repeated))
    }

    /// The value at a JSON pointer, or else the nearest value around it.
    pub(super) fn find(&self, pointer: &str) -> Found<'_> {
        let mut found = Found { node: self.resolve(self.root), key: None, path: String::new() };
        let mut missing = false;
        let mut stage = Stage::Root;
        for segment in segments(pointer) {
            let next = if missing { None } else { self.child(found.node, &segment) };
            let index = !missing && matches!(found.node.kind, Kind::List(_));
            // Below a telling key, keys may be secrets as well.
            let hidden = stage == Stage::Hidden && !index;
            found.path = extended(&found.path, if hidden { MASK } else { &segment }, index);
            stage = stage.below(&segment);
            match next {
                Some((node, key)) => (found.node, found.key) = (node, key),
                None => missing = true,
            }
        }
        found
    }

    /// A value, or the alias that stands for it.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The value itself, where an alias stands for it.
    fn resolve(&self, id: Id) -> &Node {
        let mut node = &self.nodes[id];
        while let Kind::Alias(target) = node.kind {
            node = &self.nodes[target];
        }
        node
    }

    /// The document's own value.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    fn child<'a>(&'a self, node: &'a Node, segment: &str) -> Option<(&'a Node, Option<Place>)> {
        match &node.kind {
            Kind::List(items) => items.get(segment.parse::<usize>().ok()?).map(|id| (self.resolve(*id), None)),
            Kind::Map(entries) => match entries.iter().find(|entry| entry.key == segment) {
                Some(entry) => Some((self.resolve(entry.value), Some(entry.place))),
                None => self.merged(entries).find_map(|base| self.child(base, segment)),
            },
            Kind::Nothing | Kind::Scalar | Kind::Alias(_) => None,
        }
    }

    /// The maps that `<<` takes in.
    fn merged<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = &'a Node> {
        entries.iter().filter(|entry| entry.key == "<<").flat_map(|entry| {
            let node = self.resolve(entry.value);
            match &node.kind {
                Kind::List(items) => items.iter().map(|id| self.resolve(*id)).collect(),
                _ => vec![node],
            }
        })
    }
}

/// The segments of a JSON pointer.
pub(super) fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

fn extended(path: &str, segment: &str, index: bool) -> String {
    let plain = !segment.is_empty() && segment.chars().all(|c| c.is_alphanumeric() || "-_/*".contains(c));
    match (index, plain, path.is_empty()) {
        (true, _, _) => format!("{path}[{segment}]"),
        (false, true, true) => segment.to_owned(),
        (false, true, false) => format!("{path}.{segment}"),
        (false, false, _) => format!("{path}[{segment:?}]"),
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    nodes: Vec<Node>,
    anchors: HashMap<usize, Id>,
    repeated: Vec<Misplaced>,
    events: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), Misplaced> {
        self.events += 1;
        let (event, span) = match self.parser.next_event() {
            Some(next) => next?,
            None => (Event::StreamEnd, Span::default()),
        };
        let place = Place::new(span);
        if self.events > MAX_EVENTS {
            return Err(Misplaced::new(place, format!("there are more than {MAX_EVENTS} keys and values")));
        }
        Ok((event, place))
    }

    fn document(&mut self) -> Result<Id, Misplaced> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(_), place) if root.is_some() => {
                    return Err(Misplaced::new(place, "a second document begins here; a file has one"));
                }
                (Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
                (event, place) => root = Some(self.node(event, place, "", 0)?),
            }
        }
        match root {
            Some(root) => Ok(root),
            None => Ok(self.push(Place::point(1, 0), Kind::Nothing)),
        }
    }

    fn push(&mut self, place: Place, kind: Kind) -> Id {
        self.nodes.push(Node { place, kind });
        self.nodes.len() - 1
    }

    fn node(&mut self, event: Event<'a>, place: Place, pointer: &str, depth: usize) -> Result<Id, Misplaced> {
        if depth > MAX_DEPTH {
            return Err(Misplaced::too_deep(place));
        }
        let (anchor, tag, kind) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let nothing = text.is_empty() && style == ScalarStyle::Plain;
                (anchor, tag, if nothing { Kind::Nothing } else { Kind::Scalar })
            }
            Event::SequenceStart(anchor, tag) => (anchor, tag, self.list(pointer, depth)?),
            Event::MappingStart(anchor, tag) => (anchor, tag, self.map(pointer, depth)?),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(id) => (0, None, Kind::Alias(*id)),
                None => return Err(Misplaced::new(place, "this alias stands inside what it refers to")),
            },
            _ => return Err(Misplaced::new(place, "this is not YAML: a value is missing")),
        };
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(Misplaced::new(place, "tags are not supported"));
        }
        let id = self.push(place, kind);
        // Zero is the parser's "no anchor".
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn list(&mut self, pointer: &str, depth: usize) -> Result<Kind, Misplaced> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, place) => {
                    let pointer = format!("{pointer}/{}", items.len());
                    items.push(self.node(event, place, &pointer, depth + 1)?);
                }
            }
        }
    }

    fn map(&mut self, pointer: &str, depth: usize) -> Result<Kind, Misplaced> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Kind::Map(entries)),
                (Event::Scalar(key, _, 0, None), place) => (key.into_owned(), place),
                (_, place) => return Err(Misplaced::new(place, "a key must be a plain or quoted string")),
            };
            let pointer = super::source::child(pointer, &key);
            if !seen.insert(key.clone()) && self.repeated.len() < MAX_PROBLEMS {
                let message = "this key is in its map twice".to_owned();
                self.repeated.push(Misplaced { place, pointer: pointer.clone(), message });
            }
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, &pointer, depth + 1)?;
            entries.push(Entry { key, place, value });
        }
    }
}
