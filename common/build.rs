//! Cargo only knows the migrations that were there at the last build: a new file must lead to a new one.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
