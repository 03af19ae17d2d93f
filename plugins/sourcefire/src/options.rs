//! What the operator may set, and the same checked, so that no option can be wrong from there on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scanbridge_dialer::{SOURCE_ADDRESS, SourceAddress};
use scanbridge_host_input_commands::{BlockLimits, Settings, options as shared};
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{
    Endpoint, EndpointPort, ErrorKind, Fips, OptionSpec, Options, PluginError, Result,
};
use scanbridge_tls_identity::{ClientTls, Identity, TlsOptions, Trust, options as tls};

use crate::dial::Target;
use crate::packer::Limits;

/// The option table.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::endpoint("server", EndpointPort::Absent)
        .required()
        .group("network")
        .help("Host name or IP address of the Defense Center. Its port is option `port`."),
    OptionSpec::integer("port", 1, 65_535)
        .default_integer(8307)
        .group("network")
        .help("TCP port of the host input service."),
    OptionSpec::flag("ipv6")
        .resume_safe()
        .default_flag(false)
        .group("network")
        .help("Connect over IPv6 instead of IPv4."),
    OptionSpec::flag("ip_fallback")
        .default_flag(false)
        .group("network")
        .help("If the connection fails, also try addresses of the other IP version."),
    SOURCE_ADDRESS,
    OptionSpec::path("pkcs12").group("TLS").help(
        "Client certificate file (.pkcs12) created by the Defense Center. Default: the first `*.pkcs12` \
         by name in the working directory.",
    ),
    OptionSpec::text("password").secret().group("TLS").help("Password of the `pkcs12` file. Default: none."),
    OptionSpec::choice("trust", &["pkcs12", "system"]).default_text("pkcs12").group("TLS").help(
        "Verification of the Defense Center's certificate: `pkcs12` uses the authority in the client \
         certificate file, `system` the system's list. `tls_ca_file` or `tls_fingerprint` replaces both.",
    ),
    tls::CA_FILE,
    tls::FINGERPRINT,
    OptionSpec::flag("tls_check_name").resume_safe().default_flag(false).group("TLS").help(
        "Check that the Defense Center's certificate is issued for `server`. Defense Center certificates \
         are issued for UUIDs, so leave this off; the chain is verified in any case.",
    ),
    tls::MIN_VERSION,
    shared::SOURCE,
    shared::SCANNER,
    shared::DOMAIN,
    shared::ADD_HOST,
    shared::REPLACE,
    shared::SET_OS,
    shared::KINDS,
    shared::MIN_SEVERITY,
    shared::DESCRIPTION,
    shared::DESCRIPTION_LENGTH,
    OptionSpec::size("body_bytes", 1024, 16 << 20).default_integer(64 << 10).group("limits").help(
        "Maximum message size in bytes. The limit announced by the Defense Center takes precedence if it \
         is lower.",
    ),
    OptionSpec::integer("body_findings", 1, 1_000_000).default_integer(100).group("limits").help(
        "Maximum findings per message; an asset with more findings gets a message of its own. Large \
         imports (several hundred findings) are known to hang Defense Centers.",
    ),
    OptionSpec::integer("connect_timeout_secs", 1, 3600)
        .resume_safe()
        .default_integer(30)
        .group("network")
        .help("Timeout for connecting, including TLS handshake and protocol greeting, in seconds."),
    OptionSpec::integer("reply_timeout_secs", 1, 86_400)
        .resume_safe()
        .default_integer(600)
        .group("network")
        .help("Timeout for the reply to one message, in seconds."),
];

/// The options, checked, and the client's file, opened.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) target: Target,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) identity: Identity,
    pub(crate) reply_timeout: Duration,
}

impl Checked {
    /// Checks what the table of options cannot say, and opens the client's file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for options that contradict each other; those of [`Identity::open`], of [`Trust`] and of
    /// [`ClientTls::with_minimum`].
    pub(crate) fn read(options: &Options, fips: Fips) -> Result<Self> {
        let tls = TlsOptions::read(options, fips)?;
        let source = SourceAddress::of_option(options)?;
        let bytes = usize::try_from(options.size("body_bytes")?.unwrap_or(64 << 10)).unwrap_or(usize::MAX);
        let limits = Limits { bytes, findings: options.integer("body_findings")?.unwrap_or(100) };
        let settings = Settings::read(options, BlockLimits { bytes, ..BlockLimits::default() })?;
        let server = options.endpoint("server")?.expect("the option is required").host;
        let port = options.integer("port")?.unwrap_or(8307);
        let file = match options.path("pkcs12")? {
            Some(file) => file,
            None => first_file(Path::new("."))?,
        };
        let identity = identity(&file, options, fips)?;
        let trust = tls.trust_or(|| match options.text("trust")? {
            Some("system") => Trust::system(),
            _ => Trust::certificates(identity.authorities(), &file.display().to_string()),
        })?;
        let center = Endpoint::new(&*server, Some(port)).to_string();
        let target = Target {
            tls: ClientTls::with_minimum(&center, &trust, Some(&identity), fips, tls.min_version)
                .map_err(|error| error.with_option("pkcs12"))?,
            center,
            server,
            port,
            prefer_ipv6: options.flag("ipv6")?,
            ip_fallback: options.flag("ip_fallback")?,
            source,
            timeout: seconds(options, "connect_timeout_secs", 30)?,
        };
        let reply_timeout = seconds(options, "reply_timeout_secs", 600)?;
        Ok(Self { target, settings, limits, identity, reply_timeout })
    }
}

/// Opens the client's file.
fn identity(file: &Path, options: &Options, fips: Fips) -> Result<Identity> {
    let password = options.secret("password")?;
    Identity::open(file, password.as_ref(), fips).map_err(|error| match (error.kind, &password) {
        (ErrorKind::Auth, None) => PluginError::new(
            ErrorKind::Auth,
            format!("{} is password-protected, and no password is set", file.display()),
        )
        .with_hint("set `password` to the one chosen when the client was registered")
        .with_option("pkcs12"),
        (ErrorKind::Auth, Some(_)) => error.with_option("password"),
        _ => error.with_option("pkcs12"),
    })
}

fn seconds(options: &Options, name: &str, otherwise: u64) -> Result<Duration> {
    Ok(Duration::from_secs(options.integer(name)?.unwrap_or(otherwise)))
}

/// The first `*.pkcs12` by name in a folder.
///
/// # Errors
/// [`ErrorKind::NoInput`] when there is none, and those of [`require_trusted`].
fn first_file(folder: &Path) -> Result<PathBuf> {
    let shown = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let entries = fs::read_dir(folder)
        .map_err(|error| PluginError::of_file(ErrorKind::NoInput, "list", &shown, &error))?;
    let is_file = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pkcs12");
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_file).collect();
    files.sort();
    let mut files = files.into_iter();
    let Some(first) = files.next() else {
        return Err(PluginError::new(
            ErrorKind::NoInput,
            format!("no *.pkcs12 file in the working directory, {}", shown.display()),
        )
        .with_hint(
            "register this machine as a host input client on the Defense Center, download the .pkcs12 \
             file and set `pkcs12` to its path",
        ));
    };
    require_trusted(&shown.join(first.file_name().unwrap_or_default()))?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let others: Vec<_> = files.map(|path| name(&path)).collect();
    if others.is_empty() {
        info!("using client certificate {} of {}", name(&first), shown.display());
    } else {
        warn!(
            "using client certificate {} of {} (first by name); other candidates: {}; set `pkcs12` to \
             choose",
            name(&first),
            shown.display(),
            others.join(", ")
        );
    }
    Ok(first)
}

/// Checks that another user did not place and cannot change a file that was chosen by its name alone. The authority
/// in it would be trusted, so this user would choose the Defense Center.
///
/// # Errors
/// [`ErrorKind::Config`] for an untrusted owner or mode, [`ErrorKind::NoInput`] when the file does not exist.
fn require_trusted(file: &Path) -> Result<()> {
    let failed = |error| {
        PluginError::of_file(ErrorKind::NoInput, "open", file, &error)
            .with_hint("set `pkcs12` to the client certificate file")
    };
    let user = rustix::process::geteuid().as_raw();
    // A symbolic link of another user is as bad as that user's file.
    let link = fs::symlink_metadata(file).map_err(failed)?;
    let target = fs::metadata(file).map_err(failed)?;
    for (owner, chown) in [(link.uid(), "chown -h"), (target.uid(), "chown")] {
        if owner != 0 && owner != user {
            return Err(untrusted(
                file,
                &format!("is owned by another user (ID {owner})"),
                &format!("{chown} {user} {}", file.display()),
            ));
        }
    }
    let mode = target.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(untrusted(
            file,
            &format!("is group- or world-writable (mode {mode:04o})"),
            &format!("chmod go-w {}", file.display()),
        ));
    }
    Ok(())
}

fn untrusted(file: &Path, reason: &str, command: &str) -> PluginError {
    PluginError::config(format!("{} {reason}, so it is not used without `pkcs12`", file.display())).with_hint(
        format!("check where the file comes from; then set `pkcs12` to its path, or run {command}"),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    #[test]
    fn server_accepts_names_and_addresses() {
        let server = |text: &str| {
            let options = Options::read(OPTIONS, format!(r#"{{"server": "{text}"}}"#).as_bytes())?;
            Ok::<_, PluginError>(options.endpoint("server")?.unwrap().host)
        };
        for (text, expected) in [
            ("dc.example.com", "dc.example.com"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(server(text).unwrap(), expected);
        }
        for bad in ["", " ", "https://dc", "a b", "dc:8307"] {
            let error = server(bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.message.contains("`server`"), "{error}");
        }
    }

    #[test]
    fn first_pkcs12_file_by_name_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let error = first_file(folder.path()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoInput);
        assert!(error.message.contains(&folder.path().canonicalize().unwrap().display().to_string()));
        for name in ["b.pkcs12", "a.pkcs12", "0.p12"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        chmod(&folder.path().join("a.pkcs12"), 0o600);
        assert!(first_file(folder.path()).unwrap().ends_with("a.pkcs12"));
    }

    fn chmod(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn first_file_writable_by_others_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("a.pkcs12");
        fs::write(&file, "").unwrap();
        for mode in [0o620, 0o602, 0o666] {
            chmod(&file, mode);
            let error = first_file(folder.path()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert_eq!(
                error.message,
                format!(
                    "{} is group- or world-writable (mode {mode:04o}), so it is not used without `pkcs12`",
                    file.display()
                )
            );
            assert!(error.hint.unwrap().ends_with(&format!("or run chmod go-w {}", file.display())));
        }
        chmod(&file, 0o644);
        assert!(first_file(folder.path()).unwrap().ends_with("a.pkcs12"));
    }

    /// Only root can give files away, so other users skip this test.
    #[test]
    fn first_file_of_another_user_is_rejected() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("a.pkcs12");
        let refused = |owner: &str| {
            let error = first_file(folder.path()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert_eq!(
                error.message,
                format!(
                    "{} is owned by another user (ID {owner}), so it is not used without `pkcs12`",
                    file.display()
                )
            );
            assert!(error.hint.unwrap().ends_with(&format!("or run chown -h 0 {}", file.display())));
        };
        fs::write(&file, "").unwrap();
        chmod(&file, 0o600);
        chown(&file, Some(12_345), None).unwrap();
        refused("12345");
        chown(&file, Some(0), None).unwrap();
        first_file(folder.path()).unwrap();

        // A foreign link to a file of root.
        fs::rename(&file, folder.path().join("target")).unwrap();
        symlink("target", &file).unwrap();
        first_file(folder.path()).unwrap();
        lchown(&file, Some(12_346), None).unwrap();
        refused("12346");
    }
}
