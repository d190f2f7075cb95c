//! What the modules of this crate may name, checked against their text.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let inside = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(inside).collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn code_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.map(str::to_owned).collect()
}

/// A file or a folder right below the root of the crate.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(src()).unwrap().with_extension("");
    inside.iter().next().unwrap().to_str().unwrap().to_owned()
}

/// The modules that each module names.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&src()) {
        let (from, lines) = (module(&path), code_lines(&path));
        let named = lines.iter().flat_map(|line| line.split("crate::").skip(1));
        let named = named.map(|rest| {
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        });
        arrows.entry(from.clone()).or_default().extend(named.filter(|to| *to != from));
    }
    arrows
}

#[test]
fn the_fence_around_unsafe_names_nothing_that_it_fences() {
    let arrows = arrows();
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 10, "{arrows:?}");
    assert_eq!(arrows.get("raw"), Some(&BTreeSet::new()));
}

#[test]
fn unsafe_stands_in_the_fence_alone() {
    let root = fs::read_to_string(src().join("lib.rs")).unwrap();
    assert!(root.contains("#![deny(unsafe_code)]"));
    assert!(root.contains("#[allow(unsafe_code)]\nmod raw;"));
    let mut fenced = 0;
    for path in sources(&src()) {
        for line in code_lines(&path) {
            let has = |word: &str| {
                line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == word)
            };
            let (is_raw, is_root) = (module(&path) == "raw", module(&path) == "lib");
            fenced += usize::from(is_raw && has("unsafe"));
            assert!(is_raw || !has("unsafe"), "{}: {line}", path.display());
            assert!(is_root || !line.contains("unsafe_code"), "{}: {line}", path.display());
        }
    }
    assert!(fenced > 10, "the test has lost sight of the sources: {fenced}");
}

/// What is sealed is alive only beside what keeps it.
#[test]
fn references_alone_seal_and_unseal_and_hold_with_a_form() {
    let mut seen = 0;
    for path in sources(&src()) {
        for line in code_lines(&path) {
            let uses = [
                ".sealed()",
                "unsealed(",
                "represented(",
                "SharedRepresentation::new(",
                "stored_bytes().to",
            ];
            if module(&path) != "raw" && uses.iter().any(|call| line.contains(call)) {
                seen += 1;
                assert!(path.ends_with("value/references.rs"), "{}: {line}", path.display());
            }
        }
    }
    assert!(seen > 3, "the test has lost sight of the sources: {seen}");
}

#[test]
fn no_module_comes_back_to_itself() {
    let mut arrows = arrows();
    arrows.remove("lib");
    // Whoever names only what is gone goes too; what is left are circles.
    loop {
        let (left, gone): (Vec<_>, Vec<_>) = arrows
            .clone()
            .into_iter()
            .partition(|(_, to)| to.iter().any(|to| arrows.contains_key(to)));
        if gone.is_empty() {
            break;
        }
        arrows = left.into_iter().collect();
    }
    assert!(arrows.is_empty(), "{arrows:?}");
}

/// `logging.rs` passes on what comes from targets "ram_...", and a target is the name of a crate.
#[test]
fn what_any_crate_logs_passes_the_filter() {
    let native = src().join("../..").canonicalize().unwrap();
    let crates: Vec<PathBuf> = fs::read_dir(&native)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .collect();
    assert!(crates.len() > 10, "{crates:?}");
    for folder in crates {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("ram_"), "{name}");
        for path in sources(&folder.join("src")) {
            let own = code_lines(&path).into_iter().find(|line| line.contains("target: \""));
            assert_eq!(own, None, "{}", path.display());
        }
    }
}
