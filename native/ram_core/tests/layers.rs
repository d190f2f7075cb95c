//! The arrows between the crates, and the limits of files and functions: what the compiler would
//! let through.
//!
//! A crate may depend on another only if it is listed here. The list is the architecture; a new
//! line in it is a decision.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// A crate, and those of ram that it may depend on. Those for tests alone stand apart.
const SHIPPED: &[(&str, &[&str])] = &[
    ("ram_limits", &[]),
    ("ram_sabotage", &[]),
    ("ram_threads", &[]),
    ("ram_disk", &[]),
    ("ram_log", &["ram_disk", "ram_limits", "ram_threads"]),
    ("ram_net", &["ram_limits"]),
    ("ram_table", &["ram_threads"]),
    ("ram_lease", &["ram_sabotage", "ram_threads"]),
    ("ram_store", &["ram_limits", "ram_sabotage", "ram_table"]),
    (
        "ram_raft",
        &[
            "ram_lease",
            "ram_limits",
            "ram_log",
            "ram_net",
            "ram_sabotage",
            "ram_store",
            "ram_table",
            "ram_threads",
        ],
    ),
    (
        "ram_core",
        &[
            "ram_lease",
            "ram_limits",
            "ram_log",
            "ram_net",
            "ram_raft",
            "ram_sabotage",
            "ram_store",
            "ram_table",
            "ram_threads",
        ],
    ),
    (
        "ram_nif",
        &[
            "ram_core",
            "ram_lease",
            "ram_limits",
            "ram_net",
            "ram_raft",
            "ram_store",
            "ram_table",
            "ram_threads",
        ],
    ),
];
const TESTING: &[&str] = &["ram_check", "ram_model", "ram_sim"];
/// They judge what is shipped, so they share nothing with it.
const APART: &[&str] = &["ram_check", "ram_model"];

/// A library, and the shipped crates that may depend on it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("rustler", &["ram_nif"]),
    ("arrayvec", &["ram_table"]),
    ("openraft", &["ram_raft"]),
    ("bincode", &["ram_store"]),
    ("dashmap", &["ram_nif", "ram_threads"]),
    ("hashbrown", &["ram_table"]),
    ("loom", &["ram_threads"]),
    ("num-bigint", &["ram_nif"]),
    ("serde", &["ram_lease", "ram_store", "ram_raft", "ram_core"]),
    ("tokio", &["ram_lease", "ram_net", "ram_raft", "ram_core"]),
];

/// A crate whose results depend on nothing but its input, and what it must not name.
const PURE: &[(&str, &[&str])] = &[
    ("ram_store", &["std::time", "std::net", "std::fs", "std::thread", "std::sync::Mutex"]),
    ("ram_lease", &["std::net", "std::fs", "tokio::net"]),
    ("ram_log", &["std::fs"]),
    ("ram_net", &["std::fs"]),
];

/// The crates with `unsafe`, which say where it is; every other one forbids it.
const UNSAFE: &[&str] = &["ram_table", "ram_nif"];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 100;

fn native() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn manifest(name: &str) -> String {
    fs::read_to_string(native().join(name).join("Cargo.toml")).unwrap()
}

/// The names in the table `[dependencies]`.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = manifest(name);
    let Some((_, table)) = manifest.split_once("\n[dependencies]\n") else {
        return BTreeSet::new();
    };
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let name = |line: &str| line.split([' ', '.', '=']).next().unwrap_or_default().to_owned();
    lines.filter(|line| !line.starts_with('#')).map(name).filter(|name| !name.is_empty()).collect()
}

/// Lines of shipped code: without comments, and without what follows the mark of the unit tests.
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

#[test]
fn every_crate_is_in_the_list() {
    let there = fs::read_dir(native()).unwrap().map(|entry| entry.unwrap());
    let there: BTreeSet<String> = there
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let listed = SHIPPED.iter().map(|(name, _)| name).chain(TESTING);
    assert_eq!(there, listed.map(|name| (*name).to_owned()).collect());
}

#[test]
fn a_crate_depends_only_on_those_below_it() {
    for (name, allowed) in SHIPPED {
        for dependency in dependencies(name) {
            let is_ours = dependency.starts_with("ram_");
            assert!(!is_ours || allowed.contains(&dependency.as_str()), "{name} -> {dependency}");
        }
    }
    for name in APART {
        let ours = dependencies(name).into_iter().filter(|other| other.starts_with("ram_"));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
    assert_eq!(dependencies("ram_check"), BTreeSet::new());
}

#[test]
fn a_library_is_known_to_no_more_crates_than_need_it() {
    for (library, allowed) in LIBRARIES {
        let known: BTreeSet<&str> = SHIPPED
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| dependencies(name).contains(*library))
            .collect();
        assert_eq!(known, allowed.iter().copied().collect(), "{library}");
    }
}

#[test]
fn what_is_pure_names_no_clock_no_thread_no_file_and_no_socket() {
    for (name, forbidden) in PURE {
        for path in sources(&native().join(name).join("src")).iter().filter(|path| !is_test(path)) {
            for line in code_lines(path) {
                for word in *forbidden {
                    assert!(!line.contains(word), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_where_none_is_meant_to_be() {
    for name in SHIPPED.iter().map(|(name, _)| *name) {
        let door = fs::read_to_string(native().join(name).join("src/lib.rs")).unwrap();
        let level = if UNSAFE.contains(&name) { "deny" } else { "forbid" };
        assert!(door.contains(&format!("#![{level}(unsafe_code)]")), "{name}");
    }
}

/// At a kind of term that a virtual machine does not know by this question it aborts, and all that
/// runs in it: so do the native records of OTP 29.
#[test]
fn the_nif_never_asks_which_type_a_term_is_of() {
    for path in sources(&native().join("ram_nif/src")) {
        for line in code_lines(&path) {
            for asked in ["get_type", "get_erl_type", "term_type", "TermType"] {
                assert!(!line.contains(asked), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn what_is_shipped_knows_nothing_of_the_simulator() {
    for name in SHIPPED.iter().map(|(name, _)| *name) {
        let shipped = dependencies(name);
        assert!(TESTING.iter().all(|testing| !shipped.contains(*testing)), "{name}");
        assert!(!manifest(name).contains("default = "), "{name} must have no default features");
    }
    let build = fs::read_to_string(native().join("build/ram_cargo.erl")).unwrap();
    assert!(build.contains(r#""-p", "ram_nif","#), "cargo builds the library alone");
}

#[test]
fn files_and_lines_keep_their_limits() {
    for path in sources(&native()) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{}: {lines} lines", path.display());
        let wide = text.lines().find(|line| line.chars().count() > LINE_CHARS_MAX);
        assert_eq!(wide, None, "{}: wider than {LINE_CHARS_MAX}", path.display());
    }
}

/// How long each function is, tests included, from its first word to its last brace.
struct Functions(BTreeMap<String, usize>);

impl Functions {
    fn see(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let lines = whole.end().line - name.span().start().line + 1;
        self.0.insert(format!("{name}, line {}", name.span().start().line), lines);
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.see(&item.sig.ident, item.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.see(&item.sig.ident, item.span());
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.see(&item.sig.ident, item.span());
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn functions_keep_their_limit() {
    let mut seen = 0;
    for path in sources(&native()) {
        let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut functions = Functions(BTreeMap::new());
        functions.visit_file(&file);
        seen += functions.0.len();
        let long = functions.0.iter().find(|(_, lines)| **lines > FUNCTION_LINES_MAX);
        assert_eq!(long, None, "{}", path.display());
    }
    assert!(seen > 1500, "the test has lost sight of the sources: {seen} functions");
}
