//! Flags for the linker, which differ with the system that the library is for.

fn main() {
    let vendor = std::env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default();
    for argument in link_arguments(&vendor) {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}

/// The runtime's threads may outlive a purge of `ram_nif`, so the library has to stay mapped. ELF
/// has a flag for that; Apple's loader never unmaps what has thread-local variables. The `enif_`
/// functions are the virtual machine's: Apple's linker takes them for missing unless it is told.
pub fn link_arguments(vendor: &str) -> &'static [&'static str] {
    match vendor {
        "apple" => &["-Wl,-undefined,dynamic_lookup"],
        _ => &["-Wl,-z,nodelete"],
    }
}
