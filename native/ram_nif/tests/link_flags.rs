//! What the build script tells the linker for each system: see build.rs.

#[path = "../build.rs"]
#[allow(dead_code)]
mod build;

#[test]
fn elf_libraries_stay_mapped_when_the_vm_closes_them() {
    for vendor in ["unknown", "pc", "alpine"] {
        assert_eq!(build::link_arguments(vendor), ["-Wl,-z,nodelete"]);
    }
}

/// Apple's linker ends with an error at `-z`.
#[test]
fn apples_linker_leaves_the_functions_of_the_vm_to_the_loader() {
    assert_eq!(build::link_arguments("apple"), ["-Wl,-undefined,dynamic_lookup"]);
}

/// The build script cannot say it: it is a flag for the compiler, of all crates.
#[test]
fn libraries_for_musl_are_linked_dynamically() {
    let config = include_str!("../../../.cargo/config.toml");
    let (_, musl) = config.split_once(r#"[target.'cfg(target_env = "musl")']"#).unwrap_or_default();
    assert!(musl.contains(r#"rustflags = ["-C", "target-feature=-crt-static"]"#));
}
