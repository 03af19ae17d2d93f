//! How the host treats invalid plugin libraries. Each case is a modified copy of the library of the rogue plugins, in a
//! separate directory.

use std::fs;
use std::path::{Path, PathBuf};

use scanbridge::plugins::{FilePermissionCheck, Folder, Refusal, Registry, Unavailable};
use scanbridge_plugin_api::PluginKind;

/// The library that Cargo has built next to this test.
fn rogue() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    test.ancestors()
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
        .expect("the library was built")
}

fn discover(folder: &Path) -> Registry {
    discover_trusting(folder, FilePermissionCheck::OwnerOnly)
}

fn discover_trusting(folder: &Path, trust: FilePermissionCheck) -> Registry {
    Registry::discover(&[Folder { path: folder.to_owned(), named: true }], trust)
}

/// A directory with a copy of the library, modified by `change`.
fn folder_with(change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut bytes = fs::read(rogue()).expect("the library is readable");
    change(&mut bytes);
    fs::write(folder.path().join("libplugin.so"), bytes).expect("the copy is written");
    folder
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the text is in the file");
    bytes[at..at + old.len()].copy_from_slice(new);
}

/// The message of the only refusal in a directory.
fn refusal(folder: &Path) -> String {
    let registry = discover(folder);
    assert!(registry.claims().is_empty(), "no plugin of the library is available");
    let [refusal] = registry.refusals() else { panic!("one refusal, not {:?}", registry.refusals()) };
    let sentence = refusal.to_string();
    assert!(!sentence.contains('\n'), "the message must be one line: {sentence}");
    assert!(
        sentence.starts_with(&*folder.canonicalize().expect("the directory exists").to_string_lossy()),
        "the message must begin with the file: {sentence}"
    );
    sentence
}

/// The plugins of the library.
const PLUGINS: [(PluginKind, &str); 7] = [
    (PluginKind::Input, "Faulty"),
    (PluginKind::Input, "Rogue"),
    (PluginKind::Output, "Faulty"),
    (PluginKind::Output, "FaultyFiles"),
    (PluginKind::Output, "FaultySender"),
    (PluginKind::Output, "Rogue"),
    (PluginKind::Output, "RogueKeeper"),
];

#[test]
fn valid_library_is_listed_and_loaded_on_demand() {
    let folder = folder_with(|_| {});
    let registry = discover(folder.path());
    let names: Vec<_> = registry.claims().iter().map(|claim| (claim.kind, claim.name)).collect();
    assert_eq!(names, PLUGINS);
    let descriptor = registry.descriptor(PluginKind::Output, "rOgUe").unwrap();
    assert_eq!(descriptor.name, "Rogue");
    assert!(descriptor.option("act").is_some());
}

#[test]
fn file_that_is_not_a_shared_library_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("libplugin.so"), "<html>404</html>").unwrap();
    assert!(refusal(folder.path()).contains("not a shared library, or truncated"));
}

#[test]
fn empty_file_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("libplugin.so"), "").unwrap();
    assert!(refusal(folder.path()).contains("not a shared library, or truncated"));
}

#[test]
fn library_without_plugin_identity_is_rejected() {
    // The test executable is a valid ELF file without a plugin identity.
    let folder = tempfile::tempdir().unwrap();
    fs::copy("/proc/self/exe", folder.path().join("libplugin.so")).unwrap();
    assert!(refusal(folder.path()).contains("a shared library, but not a Scanbridge plugin"));
}

#[test]
fn truncated_library_is_rejected() {
    for part in [2, 3, 10] {
        let folder = folder_with(|bytes| bytes.truncate(bytes.len() / part));
        assert!(refusal(folder.path()).contains("not a shared library, or truncated"), "1/{part}");
    }
}

#[test]
fn incompatible_abi_is_reported_with_a_hint() {
    for (abi, hint) in [
        ("9", "update Scanbridge, or install an older release of the plugin"),
        ("1", "rebuild it with scanbridge-plugin-api 2, or install a newer release of the plugin"),
    ] {
        let other = format!("scanbridge-plugin\nabi={abi}\n");
        let folder = folder_with(|bytes| replace(bytes, b"scanbridge-plugin\nabi=2\n", other.as_bytes()));
        let expected = format!(
            "scanbridge-rogue-plugins 0.2.0 was built for plugin ABI {abi}; this Scanbridge loads ABI 2: {hint}"
        );
        let sentence = refusal(folder.path());
        assert!(sentence.ends_with(&expected), "{sentence}");
    }
}

#[test]
fn library_that_needs_a_newer_host_is_rejected() {
    let folder = folder_with(|bytes| replace(bytes, b"\npanic=unwind\n", b"\nneeds=zzz/12\n"));
    let sentence = refusal(folder.path());
    assert!(
        sentence.ends_with(
            "scanbridge-rogue-plugins 0.2.0 was built for a newer Scanbridge (needs zzz/12); this one has \
             plugin API 2.0; update Scanbridge"
        ),
        "{sentence}"
    );
}

#[test]
fn plugin_of_an_unknown_kind_does_not_affect_the_others() {
    let folder = folder_with(|bytes| replace(bytes, b"plugin input Rogue\0", b"plugin inpux Rogue\0"));
    let registry = discover(folder.path());
    let names: Vec<_> = registry.claims().iter().map(|claim| (claim.kind, claim.name)).collect();
    let others = PLUGINS.into_iter().filter(|plugin| *plugin != (PluginKind::Input, "Rogue"));
    assert_eq!(names, others.collect::<Vec<_>>());
    assert!(registry.descriptor(PluginKind::Output, "Rogue").is_ok());
}

#[test]
fn library_is_loaded_through_its_plain_root() {
    let folder = folder_with(|bytes| replace(bytes, b"\nroot=abi_stable\n", b"\nroot=plain\nx=12\n"));
    let registry = discover(folder.path());
    for kind in [PluginKind::Input, PluginKind::Output] {
        assert_eq!(registry.descriptor(kind, "Rogue").unwrap().name, "Rogue");
    }
    let claim = registry.claim(PluginKind::Output, "Rogue").unwrap();
    assert!(claim.library.output_table("Rogue").is_ok());
    assert!(claim.library.input_table("Absent").is_err());
}

#[test]
fn library_for_another_target_is_rejected() {
    let target = scanbridge_plugin_api::abi::TARGET;
    let other = "m68k-plan-nine".chars().chain("-".chars().cycle()).take(target.len()).collect::<String>();
    let folder = folder_with(|bytes| {
        let record = |target: &str| format!("target={target}\n").into_bytes();
        replace(bytes, &record(target), &record(&other));
    });
    let sentence = refusal(folder.path());
    assert!(sentence.contains(&format!("was built for {other}")) && sentence.contains(target), "{sentence}");
}

#[test]
fn symlink_to_the_same_file_is_not_a_duplicate() {
    let folder = folder_with(|_| {});
    std::os::unix::fs::symlink("libplugin.so", folder.path().join("libagain.so")).unwrap();
    let registry = discover(folder.path());
    assert_eq!(registry.claims().len(), PLUGINS.len());
    assert!(registry.claim(PluginKind::Input, "Rogue").is_ok());
}

#[test]
fn duplicate_plugin_names_both_libraries() {
    let folder = folder_with(|_| {});
    fs::copy(folder.path().join("libplugin.so"), folder.path().join("libcopy.so")).unwrap();
    let registry = discover(folder.path());
    let error = registry.claim(PluginKind::Input, "Rogue").unwrap_err();
    assert!(matches!(error, Unavailable::Duplicate { .. }), "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains("libplugin.so") && sentence.contains("libcopy.so"), "{sentence}");
    assert_eq!(registry.duplicates().len(), PLUGINS.len(), "all inputs and outputs");
}

#[test]
fn plugin_missing_from_its_library_is_reported() {
    let one = folder_with(|_| {});
    let other = folder_with(|bytes| {
        replace(bytes, b"plugin input Rogue\0", b"plugin input Vogue\0");
    });
    // The identity of the second file names a plugin that its code does not export. Only loading can detect this.
    let registry = discover(other.path());
    let refusal = registry.descriptor(PluginKind::Input, "Vogue").unwrap_err().to_string();
    assert!(
        refusal.contains("the identity section lists the input `Vogue`, but the library does not export it"),
        "{refusal}"
    );
    assert!(registry.descriptor(PluginKind::Output, "Rogue").is_ok());
    assert!(discover(one.path()).descriptor(PluginKind::Input, "Rogue").is_ok());
}

#[test]
fn world_writable_plugin_is_rejected_unless_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folder = folder_with(|_| {});
    let file = folder.path().join("libplugin.so");
    for (path, loose, tight) in [(file.as_path(), 0o666, 0o644), (folder.path(), 0o777, 0o755)] {
        mode(path, loose);
        let sentence = refusal(folder.path());
        assert!(sentence.contains("is world-writable") && sentence.contains("chmod o-w"), "{sentence}");
        assert_eq!(
            discover_trusting(folder.path(), FilePermissionCheck::Disabled).claims().len(),
            PLUGINS.len()
        );
        mode(path, tight);
    }
    assert_eq!(discover(folder.path()).claims().len(), PLUGINS.len());
}

#[test]
fn missing_symbol_is_reported_in_one_line() {
    let folder = folder_with(|bytes| {
        replace(
            bytes,
            b"\0_1as_0lib_1header_0root_bmodule_bloader\0",
            b"\0_1as_0lib_1header_0root_bmodule_bmissed\0",
        );
    });
    let registry = discover(folder.path());
    let error = registry.descriptor(PluginKind::Input, "Rogue").unwrap_err();
    assert!(matches!(error, Unavailable::Refused(Refusal::NotLoadable { .. })), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn working_directory_and_library_path_are_not_searched() {
    let named = PathBuf::from("/somewhere/plugins");
    let folders = scanbridge::plugins::folders(std::slice::from_ref(&named));
    assert_eq!(folders[0], Folder { path: named, named: true });
    let own = std::env::current_exe().expect("the test has a path");
    let own = own.parent().unwrap();
    for folder in &folders[1..] {
        assert!(folder.named || folder.path.starts_with(own), "{folder:?}");
    }
}
