//! Facts about the build for `scanbridge --version -v`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SCANBRIDGE_COMMIT");
    let rustc = env::var("RUSTC").unwrap_or_default();
    println!("cargo::rustc-env=SCANBRIDGE_RUSTC={}", first_line(&rustc, &["--version"]));
    println!("cargo::rustc-env=SCANBRIDGE_COMMIT_SHOWN={}", commit());
}

/// Hash and date of the commit: as a package says, or from git. A development build is not built again for each commit, so
/// it would name an old one.
fn commit() -> String {
    match env::var("SCANBRIDGE_COMMIT") {
        Ok(commit) => commit,
        Err(_) if env::var("PROFILE").is_ok_and(|profile| profile == "release") => {
            first_line("git", &["log", "-1", "--format=%h of %cs"])
        }
        Err(_) => "unknown".to_owned(),
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
