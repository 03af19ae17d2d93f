//! References in scalars: `${env:NAME}`, `${env:NAME:-default}`, `${file:path}`, `${credential:name}`.
//!
//! References are resolved after the YAML has been parsed, in values only, and once. The value of a reference is
//! text, never YAML, and a `${` in it stays unchanged.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Source of environment variables. A parameter, so that tests need not change the process environment.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Returns the environment variable with this name.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Environment<'static> {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { variable: &|name| std::env::var_os(name) }
    }
}

/// A scalar with its references replaced.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// The references without the text of defaults, which may be secret: `${env:NAME}`, `default of ${env:NAME:-…}`.
    pub(super) references: Vec<String>,
    /// Whether part of it is a systemd credential, which is secret in every option.
    pub(super) is_credential: bool,
}

/// A reference that cannot be resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    pub(super) message: String,
    pub(super) help: String,
}

/// Replaces the references in `text`. Relative paths start at `folder`.
///
/// # Errors
/// Every reference that cannot be resolved.
pub(super) fn resolve(
    text: &str,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Resolved, Vec<Unresolved>> {
    let mut resolved = Resolved::default();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            resolved.text.push_str(&rest[..at - 1]);
            resolved.text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        resolved.text.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            problems.push(malformed("missing `}` after `${`"));
            rest = "";
            break;
        };
        match Reference::read(&rest[at + 2..at + length])
            .and_then(|reference| Ok((reference.read_value(folder, environment)?, reference)))
        {
            Ok(((value, is_default), reference)) => {
                resolved.text.push_str(&value);
                resolved.references.push(match is_default {
                    true => format!("default of ${{env:{}:-…}}", reference.name()),
                    false => reference.show(),
                });
                resolved.is_credential |= matches!(reference, Reference::Credential { .. });
            }
            Err(problem) => problems.push(problem),
        }
        rest = &rest[at + length + 1..];
    }
    resolved.text.push_str(rest);
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// The text in a settings file, where `${` begins a reference. The inverse of [`literal`].
pub(crate) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// The value of a text without references, each `$${` replaced by the `${` that it means; `None` if there is a reference.
pub(crate) fn literal(text: &str) -> Option<String> {
    let unescaped = text.replace("$${", "");
    (!unescaped.contains("${")).then(|| text.replace("$${", "${"))
}

/// Whether the text is exactly one reference without a default, so that showing it reveals no secret.
pub(crate) fn is_bare_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .and_then(|inner| Reference::read(inner).ok())
        .is_some_and(|reference| !matches!(reference, Reference::Variable { default: Some(_), .. }))
}

/// The path in a reference to a file.
pub(super) fn file_of(reference: &str) -> Option<&str> {
    reference.strip_prefix("${file:")?.strip_suffix('}')
}

enum Reference<'a> {
    Variable { name: &'a str, default: Option<&'a str> },
    File { path: &'a str },
    Credential { name: &'a str },
}

/// Passwords and tokens are far shorter, and a certificate chain still fits.
const MAX_FILE_BYTES: u64 = 64 * 1024;

impl<'a> Reference<'a> {
    fn read(inner: &'a str) -> Result<Self, Unresolved> {
        match inner.split_once(':') {
            Some(("env", rest)) => {
                let (name, default) = match rest.split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (rest, None),
                };
                if is_name(name) {
                    Ok(Self::Variable { name, default })
                } else {
                    Err(malformed(
                        "`${env:…}` needs the name of an environment variable (letters, digits, `_`)",
                    ))
                }
            }
            Some(("file", "")) => Err(malformed("`${file:…}` needs a path")),
            Some(("file", path)) => Ok(Self::File { path }),
            Some(("credential", name)) if is_file_name(name) => Ok(Self::Credential { name }),
            Some(("credential", _)) => Err(malformed("invalid credential name in `${credential:…}`")),
            None if is_name(inner) => {
                Err(malformed("`${…}` needs a source: env, file or credential").with_form())
            }
            _ => Err(malformed("unknown reference type in `${…}`")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Variable { name, .. } => format!("${{env:{name}}}"),
            Self::File { path } => format!("${{file:{path}}}"),
            Self::Credential { name } => format!("${{credential:{name}}}"),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Variable { name, .. } | Self::Credential { name } => name,
            Self::File { path } => path,
        }
    }

    /// The value, and whether it is a default.
    fn read_value(&self, folder: &Path, environment: Environment<'_>) -> Result<(String, bool), Unresolved> {
        match self {
            Self::Variable { name, default } => variable(name, *default, environment),
            Self::File { .. } | Self::Credential { .. } => Ok((self.read_file(folder, environment)?, false)),
        }
    }

    fn read_file(&self, folder: &Path, environment: Environment<'_>) -> Result<String, Unresolved> {
        match self {
            Self::Variable { .. } => Ok(String::new()),
            Self::File { path } => {
                let path = folder.join(path);
                let help = "the file must contain one value as plain text; relative paths start at the \
                            directory of the settings file";
                file(&path, format!("file {}", path.display()), help)
            }
            Self::Credential { name } => match (environment.variable)("CREDENTIALS_DIRECTORY") {
                Some(credentials) => {
                    let path = Path::new(&credentials).join(name);
                    let help = "set it in the systemd unit with `LoadCredential=`";
                    file(&path, format!("credential `{name}`"), help)
                }
                None => Err(Unresolved {
                    message: format!("credential `{name}` not found: CREDENTIALS_DIRECTORY is not set"),
                    help: format!(
                        "add `LoadCredential={name}:PATH` to the systemd unit; outside systemd use \
                         `${{file:PATH}}`"
                    ),
                }),
            },
        }
    }
}

/// The value of an environment variable, and whether it is the default. As in a shell, the default also replaces an empty
/// value.
fn variable(
    name: &str,
    default: Option<&str>,
    environment: Environment<'_>,
) -> Result<(String, bool), Unresolved> {
    match ((environment.variable)(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok((default.to_owned(), true)),
        (Some(value), _) => value.into_string().map(|value| (value, false)).map_err(|_| Unresolved {
            message: format!("environment variable `{name}` is not valid UTF-8"),
            help: "set it to UTF-8 text".to_owned(),
        }),
        (None, Some(default)) => Ok((default.to_owned(), true)),
        (None, None) => Err(Unresolved {
            message: format!("environment variable `{name}` is not set"),
            help: format!("set {name}, or give a default: `${{env:{name}:-default}}`"),
        }),
    }
}

/// The text of a file that contains one value. `what` is the subject of error messages.
fn file(path: &Path, what: String, help: &str) -> Result<String, Unresolved> {
    let refuse = |why: &str| Unresolved { message: format!("{what} {why}"), help: help.to_owned() };
    let read = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = read.map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse("is larger than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| refuse("is not valid UTF-8"))?;
    // Editors add a line break at the end of the file; it is not part of the password.
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn malformed(message: &str) -> Unresolved {
    Unresolved {
        message: message.to_owned(),
        help: "use `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` or `${credential:NAME}`; write a \
               literal `${` as `$${`"
            .to_owned(),
    }
}

impl Unresolved {
    fn with_form(mut self) -> Self {
        self.message.push_str("; for an environment variable use `${env:NAME}`");
        self
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the text is a file name: a path could leave the credentials directory.
fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(name: &str) -> Option<OsString> {
        match name {
            "USER_ID" => Some("acme".into()),
            "EMPTY" => Some("".into()),
            "TRICKY" => Some("${env:USER_ID}: # }".into()),
            _ => None,
        }
    }

    fn in_text(text: &str) -> Result<Resolved, Vec<Unresolved>> {
        resolve(text, Path::new("/nowhere"), Environment { variable: &fake })
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, value) in [
            ("plain $5 {x}", "plain $5 {x}"),
            ("${env:USER_ID}", "acme"),
            ("a-${env:USER_ID}-${env:USER_ID}", "a-acme-acme"),
            ("${env:MISSING:-x y}", "x y"),
            ("${env:MISSING:-}", ""),
            ("${env:EMPTY:-d}", "d"),
            ("${env:EMPTY}", ""),
            ("$${env:USER_ID}", "${env:USER_ID}"),
            ("${env:TRICKY}", "${env:USER_ID}: # }"),
        ] {
            assert_eq!(in_text(text).map(|resolved| resolved.text).ok().as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn every_unresolved_reference_is_reported() {
        let problems = in_text("${env:NO_A} ${env:NO_B} ${vault:x} ${USER_ID} ${env:").unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "environment variable `NO_A` is not set",
                "environment variable `NO_B` is not set",
                "unknown reference type in `${…}`",
                "`${…}` needs a source: env, file or credential; for an environment variable use \
                 `${env:NAME}`",
                "missing `}` after `${`",
            ]
        );
    }

    #[test]
    fn file_references_are_relative_and_lose_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "s3cret \r\n").unwrap();
        let credentials = folder.path().as_os_str().to_owned();
        let variable = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| credentials.clone());
        let environment = Environment { variable: &variable };
        for text in ["${file:password}", "${credential:password}"] {
            let resolved = resolve(text, folder.path(), environment).unwrap();
            assert_eq!((resolved.text.as_str(), resolved.references[0].as_str()), ("s3cret ", text));
        }
        assert!(resolve("${file:absent}", folder.path(), environment).is_err());
        assert!(resolve("${credential:../password}", folder.path(), environment).is_err());
        let unset = in_text("${credential:password}").unwrap_err();
        assert!(unset[0].message.ends_with("CREDENTIALS_DIRECTORY is not set"), "{}", unset[0].message);
        assert!(resolve("${file:/dev/zero}", folder.path(), environment).is_err());
    }

    #[test]
    fn default_that_was_used_is_named_without_its_text() {
        for (text, references) in [
            ("${env:USER_ID:-hunter2}", vec!["${env:USER_ID}"]),
            ("${env:MISSING:-hunter2}", vec!["default of ${env:MISSING:-…}"]),
            ("${env:EMPTY:-a} ${env:USER_ID}", vec!["default of ${env:EMPTY:-…}", "${env:USER_ID}"]),
        ] {
            assert_eq!(in_text(text).unwrap().references, references);
        }
    }

    #[test]
    fn reference_with_a_default_is_redacted() {
        assert!(is_bare_reference("${env:PASSWORD}") && is_bare_reference("${file:a b}"));
        for text in ["${env:PASSWORD:-hunter2}", "x${env:PASSWORD}", "hunter2", "${hunter2}"] {
            assert!(!is_bare_reference(text), "{text}");
        }
    }
}
