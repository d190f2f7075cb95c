//! The program answers `getrandom` itself (see `src/entropy.rs`). Libraries look the name up at run
//! time, so the program has to show it to the dynamic linker.

fn main() {
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
