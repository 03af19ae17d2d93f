//! Hands the target triple and the compiler's version to the code, for the identity of every plugin that is
//! built with this crate: the compiler offers neither to a running program.

use std::env;
use std::process::Command;

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    println!("cargo:rustc-env=SCANBRIDGE_TARGET={target}");
    println!("cargo:rustc-env=SCANBRIDGE_RUSTC={}", String::from_utf8_lossy(&version).trim());
    println!("cargo:rerun-if-changed=build.rs");
}
