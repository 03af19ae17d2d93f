//! The cryptographic module that is linked into this program or library.

use std::fmt;

/// The module, as a word: `unvalidated` for AWS-LC without a FIPS module, `aws-lc-fips-3` or `aws-lc-fips-4` for the
/// generation of the FIPS module. Known when the program is compiled.
pub const MODULE: &str = module();

#[cfg(not(feature = "fips"))]
const fn module() -> &'static str {
    "unvalidated"
}

#[cfg(feature = "fips")]
const fn module() -> &'static str {
    match aws_lc_fips_sys::fips_version() {
        3 => "aws-lc-fips-3",
        4 => "aws-lc-fips-4",
        // A generation that this version does not know may not be the validated one.
        _ => "unvalidated",
    }
}

/// Whether this is the FIPS build.
#[must_use]
pub const fn is_fips_build() -> bool {
    cfg!(feature = "fips")
}

/// The module for people: `AWS-LC FIPS 3.x`, or `AWS-LC (no FIPS module)`.
#[must_use]
pub const fn module_in_words() -> &'static str {
    match MODULE.as_bytes() {
        b"aws-lc-fips-3" => "AWS-LC FIPS 3.x",
        b"aws-lc-fips-4" => "AWS-LC FIPS 4.x",
        _ => "AWS-LC (no FIPS module)",
    }
}

/// The module that runs is not the one that [`MODULE`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTestError(String);

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelfTestError {}

/// Asks the module that runs whether it is the FIPS module that [`MODULE`] names. The module tests itself when it is
/// loaded (its integrity, and some algorithms; others before their first use) and ends the process if a test fails. In a
/// build without a FIPS module this does nothing.
///
/// # Errors
/// When it is not that module.
pub fn self_test() -> Result<(), SelfTestError> {
    if !is_fips_build() {
        return Ok(());
    }
    aws_lc_rs::try_fips_mode()
        .map_err(|error| SelfTestError(format!("the FIPS module does not run: {error}")))?;
    let found = aws_lc_rs::awslc_version();
    let expected = MODULE.rsplit('-').next().unwrap_or_default();
    if found.split('.').next() != Some(expected) {
        return Err(SelfTestError(format!("the module that runs is AWS-LC {found}, and not {MODULE}")));
    }
    Ok(())
}

/// The module with the result of its self-test, for `--version`: `AWS-LC FIPS 3.x, static (self-test passed)`, or
/// `AWS-LC (no FIPS module)`.
#[must_use]
pub fn module_with_self_test() -> String {
    let module = module_in_words();
    match self_test() {
        _ if !is_fips_build() => module.to_owned(),
        Ok(()) => format!("{module}, static (self-test passed)"),
        Err(reason) => format!("{module}, static (self-test FAILED: {reason})"),
    }
}
