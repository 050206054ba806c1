//! A reader of the text format that forgives nothing (Prometheus text 0.0.4, OpenMetrics 1.0.0).

use std::collections::{BTreeMap, BTreeSet};

/// What was read: values by series, the series written as `name{label="value",…}` with labels sorted.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub(super) values: BTreeMap<String, f64>,
    pub(super) kinds: BTreeMap<String, String>,
}

impl Scrape {
    /// The value of a series.
    pub(super) fn value(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }

    /// The series whose text holds a word.
    pub(super) fn with(&self, word: &str) -> Vec<&str> {
        self.values.keys().filter(|series| series.contains(word)).map(String::as_str).collect()
    }
}

/// Reads Prometheus text.
pub(super) fn prometheus(text: &str) -> Scrape {
    read(text, &["_bucket", "_sum", "_count"], &[""])
}

/// Reads OpenMetrics text.
pub(super) fn open_metrics(text: &str) -> Scrape {
    read(text.strip_suffix("# EOF\n").expect("the end is marked"), &["_bucket", "_sum", "_count"], &["_total"])
}

fn read(text: &str, histogram: &[&str], counter: &[&str]) -> Scrape {
    assert!(text.ends_with('\n'), "the last line ends");
    let mut scrape = Scrape::default();
    let mut family: Option<(&str, &str)> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("HELP has a text");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("TYPE follows HELP");
            let (named, kind) = kind.split_once(' ').expect("TYPE has a kind");
            assert_eq!(named, name);
            assert!(is_name(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(scrape.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
            family = Some((name, kind));
            continue;
        }
        let (name, labels, value) = sample(line);
        let (of, kind) = family.expect("a sample belongs to a family");
        let suffix = name.strip_prefix(of).unwrap_or_else(|| panic!("{line} is within {of}"));
        let right = match kind {
            "counter" => counter.contains(&suffix),
            "histogram" => histogram.contains(&suffix),
            _ => suffix.is_empty(),
        };
        assert!(right, "{line} is within {of}, a {kind}");
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
        let text: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let series = if text.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", text.join(",")) };
        assert!(scrape.values.insert(series, value).is_none(), "{line} comes twice");
    }
    names_are_distinct(&scrape);
    histograms_add_up(text, &scrape);
    scrape
}

fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?} is no sample"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        assert!(!rest.starts_with('}'), "empty braces in {line}");
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a label's value is quoted: {line}"));
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after, line);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line} names {label} twice");
            rest = after;
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("a comma stands between labels: {line}"));
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("a space stands before the value: {line}"));
    (name, labels, value.parse().unwrap_or_else(|_| panic!("{value:?} is no number")))
}

/// A label's value up to its closing quote, and what follows.
fn quoted<'t>(text: &'t str, line: &str) -> (String, &'t str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{other:?} is no escape: {line}"),
            }),
            c => value.push(c),
        }
    }
    panic!("a value has no end: {line}")
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// No name of a sample is the name of another family.
fn names_are_distinct(scrape: &Scrape) {
    let mut seen = BTreeSet::new();
    for (name, kind) in &scrape.kinds {
        let suffixes: &[&str] = if kind == "histogram" { &["", "_bucket", "_sum", "_count"] } else { &[""] };
        for suffix in suffixes {
            assert!(seen.insert(format!("{name}{suffix}")), "{name}{suffix} means two things");
        }
    }
}

/// Each histogram's buckets grow, the last one is `+Inf`, and holds as many values as the count says.
fn histograms_add_up(text: &str, scrape: &Scrape) {
    let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, mut labels, value) = sample(line);
        let Some(bound) = labels.remove("le") else { continue };
        let bound: f64 = bound.parse().expect("a bound is a number");
        let (name, labels) = (name.trim_end_matches("_bucket"), labels.iter().map(|(k, v)| format!("{k}={v:?}")));
        let labels: Vec<_> = labels.collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let before = last.insert(format!("{name}_count{labels}"), (bound, value));
        assert!(before.is_none_or(|(low, fewer)| low < bound && fewer <= value), "{line}");
    }
    for (series, (bound, value)) in last {
        assert!(bound.is_infinite());
        assert_eq!(scrape.value(&series), Some(value), "{series}");
    }
}
