//! The runtime's threads may outlive a purge of `ram_nif`: the library stays mapped.
fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
