//! Crates and modules know of each other in one direction only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a module names, by module.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn crates() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let members = manifest.lines().find(|line| line.starts_with("members")).expect("it has members");
    members.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn no_two_modules_of_a_crate_depend_on_each_other() {
    let crates = crates();
    assert!(crates.len() > 7, "the crates were found");
    let circles: Vec<_> =
        crates.iter().flat_map(|name| circles(&modules(&root().join(name).join("src")), name)).collect();
    assert!(circles.is_empty(), "these modules depend on each other:\n{}", circles.join("\n"));
}

/// What each crate may link of the others.
const MAY_LINK: [(&str, &[&str]); 7] = [
    ("common", &[]),
    ("server", &[]),
    ("integrations", &["common"]),
    // No answer waits for another service.
    ("api", &["common", "server"]),
    ("worker", &["common", "integrations", "server"]),
    ("cli", &["common", "integrations"]),
    ("dev", &["cli", "common", "integrations"]),
];

#[test]
fn crates_link_what_is_below_them() {
    let linked = linked();
    for (name, may) in MAY_LINK {
        for other in &linked[name] {
            assert!(may.contains(&other.as_str()), "{name} must not link {other}");
        }
    }
    // The others are in no production binary.
    let unbound = linked.keys().filter(|name| !MAY_LINK.iter().any(|(bound, _)| bound == name));
    assert_eq!(unbound.collect::<Vec<_>>(), ["bench", "tests"]);
    assert!(linked["api"].contains("common"), "links are found");
}

/// The crates of the workspace, each with those of them that it links.
fn linked() -> Graph {
    let metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let within = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies
            .filter(|dependency| !dependency["path"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    packages.iter().map(|package| (text(&package["name"]), within(package))).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let found = |sources: &[(&str, &str)]| {
        let modules = sources.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned()));
        circles(&graph(modules.collect()), "x")
    };
    for b in [
        "use crate::a::Thing;",
        "use crate::{c, a::{Thing, c}};",
        "fn f() { crate::a::f() }",
        "use super::a;",
        "use super::{c, a as other};",
    ] {
        assert_eq!(found(&[("a", "use crate::b;"), ("b", b), ("c", "")]), ["x: a → b → a"], "{b}");
    }
    assert_eq!(found(&[("a", "use crate::b;"), ("b", "use crate::c;"), ("c/d", "use super::super::a;")]).len(), 1);
    for b in ["// use crate::a;", "use super::c;", "use self::a;", "use other::a;", "fn f() { \"use crate::a\" }"] {
        assert!(found(&[("a", "use crate::b;"), ("b", b), ("c", "")]).is_empty(), "{b}");
    }
    assert!(found(&[("a/mod", "use crate::b;"), ("b/mod", "mod a;"), ("b/a", "use super::a;")]).is_empty());
}

/// The modules of a crate's root, each with those that it names.
fn modules(src: &Path) -> Graph {
    let mut sources = Vec::new();
    collect(src, "", &mut sources);
    graph(sources)
}

fn collect(directory: &Path, prefix: &str, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it is readable").path();
        let name = format!("{prefix}{}", path.file_stem().expect("it has a name").to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push((name, fs::read_to_string(&path).expect("it is text")));
        }
    }
}

/// `sources` by path, without the extension.
fn graph(sources: Vec<(String, String)>) -> Graph {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    // The roots may name everything, and nothing names a program.
    let inner = |path: &str| !matches!(top(path).as_str(), "lib" | "main" | "bin");
    let sources: Vec<_> = sources.into_iter().filter(|(path, _)| inner(path)).collect();
    let all: BTreeSet<String> = sources.iter().map(|(path, _)| top(path)).collect();
    let mut graph = Graph::new();
    for (path, source) in &sources {
        let own = top(path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let to_root = format!(" {}", "super :: ".repeat(path.split('/').count()));
        let named = named(source, &to_root);
        graph
            .entry(own.clone())
            .or_default()
            .extend(named.into_iter().filter(|name| all.contains(name) && *name != own));
    }
    graph
}

/// The first segments of the paths that begin at the crate's root.
fn named(source: &str, to_root: &str) -> BTreeSet<String> {
    let code = format!(" {}", tokens(source).join(" "));
    let starts = [" crate :: ", to_root].map(|prefix| code.match_indices(prefix).map(move |(at, _)| at + prefix.len()));
    let mut names = BTreeSet::new();
    for start in starts.into_iter().flatten() {
        let mut depth = 0;
        let mut first = true;
        for token in code[start..].split(' ') {
            match token {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 1 => first = true,
                name if first => {
                    names.insert(name.to_owned());
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// Words and signs, without comments and texts.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => text_length(rest),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw_text_length(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            ':' if rest.starts_with("::") => 2,
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !c.is_whitespace() && !token.contains('"') && !token.starts_with("//") {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// Bytes of the text that begins here, with its quotes.
fn text_length(source: &str) -> usize {
    let mut escaped = false;
    let end = source.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(source.len(), |(at, _)| at + 1)
}

/// The same of a raw one, or of a raw identifier.
fn raw_text_length(source: &str) -> usize {
    let hashes = source[1..].bytes().take_while(|byte| *byte == b'#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 2;
    if source[hashes + 1..].starts_with('"') {
        source[start..].find(&end).map_or(source.len(), |at| start + at + end.len())
    } else {
        hashes + 1
    }
}

/// One circle for each module that is in one and comes first in it.
fn circles(graph: &Graph, name: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for module in graph.keys() {
        let mut path = vec![module.as_str()];
        if leads_back(graph, &mut path, &mut BTreeSet::new()) && path.iter().min() == path.first() {
            path.push(module);
            found.insert(format!("{name}: {}", path.join(" → ")));
        }
    }
    found.into_iter().collect()
}

/// Extends the path until its last module names its first.
fn leads_back<'a>(graph: &'a Graph, path: &mut Vec<&'a str>, visited: &mut BTreeSet<&'a str>) -> bool {
    let last = path[path.len() - 1];
    let next = graph.get(last).into_iter().flatten();
    for module in next {
        if module == path[0] {
            return true;
        }
        if visited.insert(module) {
            path.push(module);
            if leads_back(graph, path, visited) {
                return true;
            }
            path.pop();
        }
    }
    false
}
