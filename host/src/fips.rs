//! FIPS mode of this process.

use std::env;
use std::process::Command;

use scanbridge_observe::FIPS_VARIABLE as VARIABLE;
use scanbridge_plugin_api::Fips;

/// Whether this is the FIPS build.
pub(crate) const IS_FIPS_BUILD: bool = cfg!(feature = "fips");

/// What to do when FIPS mode is on in the normal build.
pub(crate) const NEEDS_FIPS_BUILD: &str = "install the FIPS build (scanbridge-fips), or set `fips: off`";

/// The mode that every pipeline of this process has at least: the stricter one of `--fips` and of the environment.
///
/// # Errors
/// A sentence, when the environment has an unknown mode, or the mode needs the FIPS build and this is another one, or its
/// module does not run.
pub(crate) fn minimum(option: Option<Fips>) -> Result<Fips, String> {
    let variable = match env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        Some(text) => text.to_string_lossy().parse().map_err(|error| format!("{VARIABLE}: {error}"))?,
        None => Fips::Off,
    };
    let minimum = variable.max(option.unwrap_or_default());
    if minimum.is_off() {
        return Ok(minimum);
    }
    if !IS_FIPS_BUILD {
        return Err(not_fips_build(minimum));
    }
    self_test().map(|()| minimum)
}

/// The error when this mode is set in the normal build.
pub(crate) fn not_fips_build(mode: Fips) -> String {
    format!("FIPS mode `{mode}` needs the FIPS build of Scanbridge, and this is the normal build")
}

/// Lets a process of this program have at least this mode.
pub(crate) fn pass_on(command: &mut Command, mode: Fips) {
    if !mode.is_off() {
        command.env(VARIABLE, mode.word());
    }
}

/// The cryptography of this program, for `--version`.
#[cfg(feature = "fips")]
pub(crate) fn module() -> String {
    scanbridge_tls_policy::module_with_self_test()
}

/// The cryptography of this program, for `--version`.
#[cfg(not(feature = "fips"))]
pub(crate) fn module() -> String {
    "AWS-LC (no FIPS module)".to_owned()
}

/// Asks the FIPS module of this program whether it runs. Does nothing in the normal build.
///
/// # Errors
/// A sentence.
pub(crate) fn self_test() -> Result<(), String> {
    #[cfg(feature = "fips")]
    scanbridge_tls_policy::self_test().map_err(|error| error.to_string())?;
    Ok(())
}
