//! The arrows between layers that must not exist, checked against the sources.
//!
//! A layer may name another only if it is listed here. The list is the architecture; a new line in
//! it is a decision.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// A layer of ram_core, and the layers of the crate it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("store", &["store", "codec", "limits", "readers", "sabotage"]),
    ("log", &["log", "limits", "threads"]),
    ("net", &["net", "limits"]),
    ("reads", &["reads", "readers", "sabotage", "Error"]),
    ("raft", &["raft", "reads", "log", "net", "store", "codec", "limits", "sabotage", "threads"]),
    (
        "node",
        &[
            "node", "raft", "reads", "net", "log", "store", "codec", "config", "limits", "Error",
            "Result", "sabotage", "threads",
        ],
    ),
];

/// A layer, and the libraries it must not name.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    (
        "store",
        &["tokio", "openraft", "getrandom", "std::time", "std::net", "std::fs", "std::thread"],
    ),
    ("log", &["tokio", "openraft", "serde", "bincode"]),
    ("net", &["openraft", "serde", "bincode", "std::fs"]),
    ("reads", &["openraft", "std::net", "std::fs", "tokio::net"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Lines of shipped code: without comments, and without what follows the unit tests' mark.
fn code_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = shipped.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.map(str::to_owned).collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// What follows each `crate::` of a line; a `use crate::{a, b}` names several.
fn named(line: &str) -> Vec<String> {
    let names = |rest: &str| -> Vec<String> {
        match rest.strip_prefix('{') {
            Some(list) => list.split([',', '}']).map(|name| word(name.trim())).collect(),
            None => vec![word(rest)],
        }
    };
    let parts = line.split("crate::").skip(1);
    parts.flat_map(names).filter(|name| !name.is_empty()).collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn a_layer_names_only_the_layers_below_it() {
    let mut seen = 0;
    for (layer, allowed) in MAY_NAME {
        for path in sources(&root().join("src").join(layer)) {
            if is_test(&path) {
                continue;
            }
            for line in code_lines(&path) {
                for name in named(&line) {
                    seen += 1;
                    assert!(
                        allowed.contains(&name.as_str()),
                        "{}: layer {layer} must not name {name}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(seen > 30, "the test has lost sight of the sources: {seen}");
}

#[test]
fn a_layer_uses_no_library_that_is_forbidden_to_it() {
    for (layer, forbidden) in MUST_NOT_USE {
        for path in sources(&root().join("src").join(layer)) {
            if is_test(&path) {
                continue;
            }
            for line in code_lines(&path) {
                for library in *forbidden {
                    let named = format!("{library}::");
                    assert!(
                        !line.contains(&named),
                        "{}: layer {layer} must not use {library}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn the_core_knows_no_erlang_and_the_nif_knows_no_raft() {
    let core = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(!core.contains("rustler"), "ram_core must not depend on rustler");
    let nif_root = root().join("../ram_nif");
    let nif = fs::read_to_string(nif_root.join("Cargo.toml")).unwrap();
    assert!(!nif.contains("openraft"), "ram_nif must not depend on openraft");
    for path in sources(&nif_root.join("src")) {
        for line in code_lines(&path) {
            assert!(!line.contains("openraft"), "{}: {line}", path.display());
        }
    }
}

/// At a kind of term that a virtual machine does not know by this question it aborts, and all that
/// runs in it: so do the native records of OTP 29.
#[test]
fn the_nif_never_asks_which_type_a_term_is_of() {
    for path in sources(&root().join("../ram_nif/src")) {
        for line in code_lines(&path) {
            for asked in ["get_type", "get_erl_type", "term_type", "TermType"] {
                assert!(!line.contains(asked), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn what_is_shipped_knows_nothing_of_the_simulator() {
    for name in ["ram_core", "ram_nif"] {
        let manifest = fs::read_to_string(root().join("..").join(name).join("Cargo.toml")).unwrap();
        for absent in
            ["ram_sim", "ram_check", "ram_model", "turmoil", "default = ", "\"simulation\""]
        {
            assert!(!manifest.contains(absent), "{name} must not name {absent}");
        }
    }
    let build = fs::read_to_string(root().join("../build.sh")).unwrap();
    assert!(build.contains("-p ram_nif\n"), "the build script builds the library alone");
}

#[test]
fn the_checker_shares_no_code_with_what_it_judges() {
    let checker = fs::read_to_string(root().join("../ram_check/Cargo.toml")).unwrap();
    assert!(!checker.contains("\n[dependencies"), "ram_check must have no dependencies");
    assert!(!checker.contains("ram_core"), "ram_check must not know ram_core");
    let model = fs::read_to_string(root().join("../ram_model/Cargo.toml")).unwrap();
    assert!(!model.contains("ram_core"), "ram_model must not know ram_core");
}

#[test]
fn files_and_functions_keep_their_limits() {
    const FILE_LINES_MAX: usize = 400;
    const LINE_CHARS_MAX: usize = 100;
    let crates = ["ram_core", "ram_nif", "ram_sim", "ram_check", "ram_model"];
    for crate_root in crates.map(|name| root().join("..").join(name)) {
        for path in sources(&crate_root.join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            let shipped = text.split("#[cfg(test)]").next().unwrap();
            let lines = shipped.lines().count();
            assert!(is_test(&path) || lines <= FILE_LINES_MAX, "{}: {lines} lines", path.display());
            let wide = text.lines().find(|line| line.chars().count() > LINE_CHARS_MAX);
            assert_eq!(wide, None, "{}: wider than {LINE_CHARS_MAX}", path.display());
        }
    }
}
