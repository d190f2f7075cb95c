//! The limits that modules of Erlang repeat are those of this crate. In the modules each stands as
//! `%% NAME of ram_limits.`, with a macro in the next line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use ram_limits::{TRANSACTION_PARTS_MAX, TTL_MS_MAX, TURN_VALUE_BYTES_MAX};

/// The module, the name, the number.
fn repeated() -> Vec<(String, String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../erlang");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "erl") {
            continue;
        }
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let Some(before) = pair[0].strip_suffix(" of ram_limits.") else { continue };
            let name = before.rsplit(' ').next().unwrap();
            let number = pair[1].strip_suffix(").").and_then(|line| line.rsplit(", ").next());
            let number = number.and_then(|number| number.parse().ok());
            let number = number.unwrap_or_else(|| panic!("{module}: {}", pair[1]));
            found.push((module.clone(), name.to_owned(), number));
        }
    }
    found.sort();
    found
}

#[test]
fn what_erlang_repeats_has_the_same_number_there() {
    let expected = [
        ("ram_arguments", "TTL_MS_MAX", TTL_MS_MAX as usize),
        ("ram_txn", "TRANSACTION_PARTS_MAX", TRANSACTION_PARTS_MAX),
        ("ram_update", "TURN_VALUE_BYTES_MAX", TURN_VALUE_BYTES_MAX),
    ];
    let expected = expected.map(|(module, name, number)| (module.into(), name.into(), number));
    assert_eq!(repeated(), expected);
}
