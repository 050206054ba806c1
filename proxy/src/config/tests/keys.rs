//! Every key that docs/configuration.md has is in an example that is right, and there is a golden file with a value of it that
//! is wrong.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::*;

/// Keys without an example: what they name is not on every machine.
const NO_EXAMPLE: [&str; 8] = [
    // It stands in examples/acme.yaml, as a comment.
    "listeners[].tls.acme.authority",
    "secrets",
    "secrets.NAME.env",
    "secrets.NAME.file",
    "admin.token",
    "plugins.NAME.allow.secrets",
    "plugins.NAME.digest",
    "upstreams.NAME.component.digest",
];
/// Keys without a mistake of their own: any value is right, or what is wrong is said of the map that they stand in.
const NO_MISTAKE: [&str; 4] = [
    "plugins.NAME.vm.config",
    "upstreams.NAME.balance.key.cookie.name",
    "upstreams.NAME.discovery.dns.name",
    "upstreams.NAME.health.http.path",
];

fn folder(name: &str, kind: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == kind));
    files.map(|path| std::fs::read_to_string(path).expect("a text")).collect()
}

/// The keys of the page: the path of the map that they are in, and their names.
fn keys() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let roots = "listeners|routes|upstreams|plugins|secrets|admin|limits|timeouts|log";
    let place = Regex::new(&format!(r"`((?:{roots})[\[\].A-Za-z0-9-]*)`")).expect("a regex");
    let name = Regex::new(r"`([a-z0-9-]+)`").expect("a regex");
    let (mut found, mut maps, mut in_table) = (Vec::new(), Vec::new(), false);
    for line in page.lines() {
        if !line.starts_with('|') {
            in_table = false;
            let said: Vec<String> = place.captures_iter(line).map(|found| found[1].to_owned()).collect();
            if line == "## Top level" {
                maps = vec![String::new()];
            } else if line.starts_with('#') {
                maps = said;
            } else if line.starts_with('`') && !said.is_empty() {
                let several = line.split(';').next().is_some_and(|first| first.contains("` and `"));
                maps = if several { said } else { said[..1].to_vec() };
            }
        } else if line.starts_with("| key |") {
            in_table = true;
        } else if in_table && line.starts_with("| `") {
            let cell = line.split('|').nth(1).unwrap_or_default();
            for map in &maps {
                found.extend(name.captures_iter(cell).map(|name| (map.clone(), name[1].to_owned())));
            }
        }
    }
    found
}

/// All paths of a value, without places in lists.
fn walk(value: &Value, at: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                walk(value, &path, paths);
                paths.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{at}[]"), paths)),
        _ => {}
    }
}

/// Whether a key is at one of the paths: in its map, or where the same map may stand as well.
fn is_in(paths: &BTreeSet<String>, map: &str, key: &str) -> bool {
    let mut maps = vec![map.to_owned()];
    if map.starts_with("routes[].retry") || map.starts_with("routes[].hedge") {
        maps.push(map.replace("routes[]", "upstreams.NAME"));
    }
    let of_policy = |map: &String| map.replace("routes[]", "policies.NAME").replace("upstreams.NAME", "policies.NAME");
    let policies: Vec<String> = maps.iter().map(of_policy).collect();
    maps.extend(policies);
    // What a value of a header must be, and the same for parameters and cookies.
    if map == "routes[].match" {
        maps.push("routes[].match.headers.NAME".to_owned());
    }
    maps.iter().any(|map| {
        let path = if map.is_empty() { key.to_owned() } else { format!("{map}.{key}") };
        let pattern = format!(r"^{}(\W|$)", regex::escape(&path).replace("NAME", "[^.]+"));
        let pattern = Regex::new(&pattern).expect("a regex");
        paths.iter().any(|path| pattern.is_match(path))
    })
}

#[test]
fn every_key_has_an_example_and_a_mistake() {
    let mut examples = BTreeSet::new();
    for text in folder("examples", "yaml") {
        walk(&serde_yaml::from_str(&text).expect("an example is YAML"), "", &mut examples);
    }
    let place = Regex::new(r"(?m)^(?:error|warning): [^:]+:\d+:\d+: (\S+): ").expect("a regex");
    let index = Regex::new(r"\[\d+\]").expect("a regex");
    let errors = folder("tests/config", "err");
    let mistakes = errors.iter().flat_map(|text| place.captures_iter(text));
    let mistakes: BTreeSet<String> = mistakes.map(|found| index.replace_all(&found[1], "[]").into_owned()).collect();
    let keys = keys();
    assert!(keys.len() > 250, "only {} keys are found in the page", keys.len());
    let lacking = |paths: &BTreeSet<String>, known: &[&str]| -> Vec<String> {
        let all = keys.iter().filter(|(map, key)| !is_in(paths, map, key));
        let names = all.map(|(map, key)| if map.is_empty() { key.clone() } else { format!("{map}.{key}") });
        names.filter(|name| !known.contains(&name.as_str())).collect()
    };
    let (no_example, no_mistake) = (lacking(&examples, &NO_EXAMPLE), lacking(&mistakes, &NO_MISTAKE));
    assert!(no_example.is_empty(), "no example has {}", no_example.join(", "));
    assert!(no_mistake.is_empty(), "no golden file has a wrong value of {}", no_mistake.join(", "));
}
