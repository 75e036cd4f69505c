//! What the repository promises about itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let served = api::openapi().to_pretty_json().expect("a document is plain data") + "\n";
    let path = file("docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &served).expect("the repository is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == served,
        "docs/openapi.json is out of date; run: UPDATE_OPENAPI=1 cargo test the_committed_document"
    );
}

#[test]
fn there_is_one_crypto_backend() {
    // The lock file also names what no feature asks for.
    let tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(file("."))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(tree.stdout).expect("text");
    assert!(tree.contains("aws-lc-rs v"), "the tree was printed");
    for other in ["ring", "openssl", "openssl-sys", "native-tls", "rsa"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{other} v"))), "{other} is in the tree");
    }
}

/// What has no tests is not built for them: each is a program to be linked, or a crate to be read by rustdoc.
#[test]
fn no_test_is_left_out_by_a_manifest() {
    let mut count = 0;
    for entry in fs::read_dir(file(".")).expect("it is there") {
        let package = entry.expect("an entry").path();
        let Ok(manifest) = fs::read_to_string(package.join("Cargo.toml")) else { continue };
        for target in manifest.split("\n[").filter(|target| target.contains("\ntest = false")) {
            let path = target.split("path = \"").nth(1).and_then(|rest| rest.split('"').next());
            let sources = path.map_or_else(|| sources(&package.join("src")), |path| vec![package.join(path)]);
            for source in sources {
                let text = fs::read_to_string(&source).expect("it is text");
                assert!(!text.contains("#[test]") && !text.contains("::test]"), "{} is not run", source.display());
            }
            count += 1;
        }
        if manifest.contains("\ndoctest = false") {
            for source in sources(&package.join("src")) {
                let text = fs::read_to_string(&source).expect("it is text");
                let is_example = |line: &str| line.starts_with("/// ```") || line.starts_with("//! ```");
                assert!(!text.lines().any(|line| is_example(line.trim_start())), "{} is not run", source.display());
            }
            count += 1;
        }
    }
    assert!(count > 10, "the manifests were read");
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it is a directory").map(|entry| entry.expect("an entry").path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The benchmark finds in the server's log what it measures by these names.
#[test]
fn the_benchmark_knows_statements_by_the_names_they_have() {
    let texts = |directory| sources(&file(directory)).into_iter().map(|path| fs::read_to_string(path).expect("text"));
    let named = texts("common/src").collect::<String>();
    let mut count = 0;
    for text in texts("bench/src") {
        for rest in text.split("\"-- ").skip(1) {
            let name = rest.split(['"', '\\']).next().unwrap_or_default();
            if name.contains("::") {
                let begins = |end| named.contains(&format!("-- {name}{end}"));
                assert!(begins("\n") || begins("\\n"), "no statement is called {name}");
                count += 1;
            }
        }
    }
    assert!(count > 5, "the names were found");
}

#[test]
fn every_problem_type_is_documented() {
    let source = fs::read_to_string(file("api/src/problem.rs")).expect("it is there")
        + &fs::read_to_string(file("api/src/extract.rs")).expect("it is there");
    let documented = fs::read_to_string(file("docs/api.md")).expect("it is there");
    let slugs = source.split('"').filter(|text| {
        text.contains('-') && text.len() > 6 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    let mut count = 0;
    for slug in slugs {
        assert!(documented.contains(&format!("`{slug}`")), "docs/api.md does not explain {slug}");
        count += 1;
    }
    assert!(count > 10, "the types were found");
}

#[test]
fn the_queue_knows_no_clock_but_the_databases() {
    for entry in fs::read_dir(file("common/src/queue")).expect("it is there") {
        let path = entry.expect("it is readable").path();
        let source = fs::read_to_string(&path).expect("it is text");
        for clock in ["Clock", "SystemTime", "Utc::now"] {
            assert!(!source.contains(clock), "{} asks this host for the time", path.display());
        }
    }
}

#[test]
fn the_dockerfile_names_what_exists() {
    let text = |name: &str| fs::read_to_string(file(name)).expect("it is there");
    let (dockerfile, manifest) = (text("Dockerfile"), text("Cargo.toml"));
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("it has one");
    assert!(dockerfile.contains(&format!("FROM rust:{}-", rust.trim_matches('"'))), "not built with {rust}");

    let built: Vec<&str> =
        dockerfile.split("--bin ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    let copied =
        dockerfile.lines().find(|line| line.starts_with("COPY --from=build")).expect("it copies what it built");
    assert_eq!(built, ["norvalt", "api", "worker"]);
    for program in built {
        assert!(copied.contains(&format!("/src/target/release/{program} ")), "{program} is not in the image");
        let package = if program == "norvalt" { "cli" } else { program };
        let target = text(&format!("{package}/Cargo.toml"));
        let is_its_target = file(&format!("{package}/src/main.rs")).exists()
            && (program == package || target.contains(&format!("name = \"{program}\"")));
        assert!(is_its_target, "there is no binary {program}");
    }
    for secret in [".env", ".dev", "target", ".git"] {
        assert!(text(".dockerignore").lines().any(|line| line == secret), "{secret} would be in the image");
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut count = 0;
    for document in documents(&file(".")) {
        let text = fs::read_to_string(&document).expect("it is text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name("").join(path) };
            let found = target.exists() && (anchor.is_empty() || has_heading(&target, anchor));
            assert!(found, "{} links to {link}, which does not exist", document.display());
            count += 1;
        }
    }
    assert!(count > 20, "the links were found");
}

/// The Markdown files of the repository.
fn documents(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it is a directory").map(|entry| entry.expect("an entry").path());
    let skipped = |path: &Path| path.file_name().is_some_and(|name| name == "target" || name == "node_modules");
    entries
        .filter(|path| !skipped(path))
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => documents(&path),
            Some(extension) if extension == "md" => vec![path],
            _ => vec![],
        })
        .collect()
}

/// Whether a heading of the document has this anchor, as GitHub makes them.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).expect("it is text");
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}
