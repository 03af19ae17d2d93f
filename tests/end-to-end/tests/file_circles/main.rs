//! Checks that the files of a crate do not form circles: a file can be understood after the files whose items it names.
//!
//! Only paths count, in `use` items and elsewhere. Calls of methods do not name a file. A re-export is not a use of its
//! item; a path through it leads to the file that defines the item. Code for tests is not checked.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod circles;
mod modules;
#[path = "../source_files/mod.rs"]
mod source_files;

use std::fs;
use std::path::{Path, PathBuf};

use circles::circles;
use source_files::{root, rust_files};

/// The directories of all crates but those for tests.
fn crates() -> Vec<PathBuf> {
    let root = root();
    let below = |folder: &str| fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let all = ["plugin-api", "field-encryption", "host", "observe", "service"]
        .map(|folder| root.join(folder))
        .into_iter();
    let all = all.chain(below("plugins")).chain(below("plugins/shared"));
    all.filter(|folder| folder.join("Cargo.toml").exists()).collect()
}

#[test]
fn no_circle_between_files() {
    let crates = crates();
    assert!(crates.len() > 10, "only {crates:?}");
    let (mut found, mut files) = (String::new(), 0);
    for folder in crates {
        let src = folder.join("src");
        let relative = |(path, text): (PathBuf, String)| (path.strip_prefix(&src).unwrap().to_owned(), text);
        let sources: Vec<_> = rust_files(&src).into_iter().map(relative).collect();
        let (circles, read) = circles(&sources);
        files += read;
        for circle in circles {
            found += &format!("\n{}: {circle}", folder.display());
        }
    }
    assert!(files > 350, "only {files} files: are the modules found?");
    assert!(found.is_empty(), "circles between files:{found}");
}

/// The circles of a crate with these files.
fn circles_of(sources: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, text): &(&str, &str)| (Path::new(path).to_owned(), (*text).to_owned());
    let (circles, files) = circles(&sources.iter().map(owned).collect::<Vec<_>>());
    assert_eq!(files, sources.len());
    circles.into_iter().map(|circle| circle.lines().next().unwrap().to_owned()).collect()
}

#[test]
fn circles_are_found() {
    let lib = ("lib.rs", "mod a; mod b;");
    for (a, b) in [
        ("use crate::b::B; pub struct A;", "use crate::a::A; pub struct B;"),
        ("use super::{b::B}; pub struct A;", "pub struct B(super::a::A);"),
        ("use crate::b; pub fn f() { b::g(1) }", "pub fn g(_: u8) { crate::a::f() }"),
        ("use super::b as other; pub enum A { V } fn f() { other::f() }", "pub fn f() { crate::a::A::V; }"),
        ("use crate::b::*; pub fn f() { g() }", "pub fn g() { fn inner() { use crate::a::f; f() } }"),
        ("pub(crate) use crate::b::B; pub struct A(B);", "use crate::a::A; pub struct B;"),
        ("macro_rules! m { () => { $crate::b::g() } } pub fn f() {}", "pub fn g() { crate::a::f() }"),
        ("codes! { pub enum A { V } } fn f() { crate::b::g() }", "pub fn g() { crate::a::A::V; }"),
        ("pub struct A; impl A { fn f() { crate::b::g() } }", "pub fn g() { crate::a::inside::x() }"),
    ] {
        assert_eq!(circles_of(&[lib, ("a.rs", a), ("b.rs", b)]), ["a.rs, b.rs"], "{a} | {b}");
    }
}

#[test]
fn parent_that_calls_its_child_is_a_circle_if_the_child_names_the_parent() {
    let parent = "mod child; pub use child::g; pub struct Parent; fn f() { child::g() }";
    let files = |child| circles_of(&[("lib.rs", "mod a;"), ("a.rs", parent), ("a/child.rs", child)]);
    assert_eq!(files("use super::Parent; pub fn g() {}"), ["a.rs, a/child.rs"]);
    assert!(files("use std::fmt; pub fn g() {}").is_empty());
    let sources = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; pub use b::B; pub use c::C;"),
        ("a/b.rs", "pub struct B;"),
        ("a/c.rs", "use super::B; pub struct C;"),
    ];
    assert!(circles_of(&sources).is_empty(), "the re-exporting file is passed through");
}

#[test]
fn other_code_is_not_a_circle() {
    let lib = ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;");
    let b = ("b.rs", "use crate::A; pub struct B(A);");
    for a in [
        "pub struct A;",
        "pub use crate::b::B; pub struct A;",
        "/// [`crate::b::B`]\npub struct A;",
        "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
        "pub struct A; #[cfg(test)] use crate::b::B; #[cfg(test)] fn f(_: crate::B) {}",
        "pub struct A; fn f() { let text = \"crate::b::B\"; }",
        "use std::fmt as b; pub struct A; fn f() { b::f() }",
        "use crate::b; pub struct A;",
    ] {
        assert!(circles_of(&[lib, ("a.rs", a), b]).is_empty(), "{a}");
    }
}
