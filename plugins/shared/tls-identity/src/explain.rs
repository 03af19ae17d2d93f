//! One sentence with a hint for each TLS error.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use scanbridge_plugin_api::{ErrorKind, Fips, PluginError};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::identity::Identity;

/// The sentence for this error on a connection to `peer`.
pub(crate) fn explain(
    peer: &str,
    identity: Option<&Identity>,
    fips: Fips,
    error: &(dyn StdError + 'static),
) -> PluginError {
    let mut next = Some(error);
    let mut last_io = None;
    while let Some(current) = next {
        if let Some(own) = current.downcast_ref::<PluginError>() {
            return own.clone();
        }
        if let Some(tls) = current.downcast_ref::<Error>() {
            return of_tls(peer, identity, fips, tls);
        }
        next = match current.downcast_ref::<io::Error>() {
            // `io::Error::source` skips the inner error and returns the source of it, so the inner error is examined
            // here.
            Some(io) => {
                last_io = Some(io);
                io.get_ref().map(|inside| inside as &(dyn StdError + 'static)).or_else(|| io.source())
            }
            None => current.source(),
        };
    }
    match last_io {
        Some(io) => of_io(peer, identity, io),
        None => PluginError::new(ErrorKind::Unavailable, format!("the connection to {peer} failed: {error}")),
    }
}

/// The peer's certificate was verified against authorities and refused.
pub(crate) fn refused_certificate(
    peer: &str,
    certificate: &Certificate,
    origin: &str,
    problem: &CertificateError,
) -> PluginError {
    let Certificate { subject, issuer, fingerprint, .. } = certificate;
    let trust_it = format!("`tls_fingerprint: {fingerprint}` trusts exactly this certificate");
    let (message, hint) = match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("certificate expired: {peer} ({subject}), valid until {}", certificate.not_after),
            format!("renew the certificate of the peer, or check the system clock; {trust_it}"),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            format!("certificate not yet valid: {peer} ({subject}), valid from {}", certificate.not_before),
            format!("check the system clock; {trust_it}"),
        ),
        CertificateError::UnknownIssuer => (
            format!(
                "certificate of {peer} ({subject}, issued by {issuer}) is not trusted: unknown issuer, \
                 not in {origin}"
            ),
            format!(
                "set `tls_ca_file` to the certificate of the issuer; or verify the fingerprint with the \
                 peer's administrator, then {trust_it}"
            ),
        ),
        CertificateError::BadSignature => (
            format!(
                "certificate of {peer} ({subject}) is not trusted: not signed by `{issuer}` from \
                 {origin}"
            ),
            format!(
                "two authorities have the same name: set `tls_ca_file` to the right one; or verify the \
                 fingerprint, then {trust_it}"
            ),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!(
                "certificate name mismatch for {peer}: the certificate is for {}",
                shown_names(certificate)
            ),
            format!("use a name from the certificate, or set `tls_check_name: no`; {trust_it}"),
        ),
        CertificateError::Other(_) if certificate.subject == certificate.issuer => (
            format!("self-signed or CA certificate of {peer} ({subject}) is not in {origin}"),
            format!("set `tls_ca_file` to this certificate; or verify the fingerprint, then {trust_it}"),
        ),
        other => (
            format!("certificate of {peer} ({subject}) is not trusted: {other}"),
            format!("verify the fingerprint, then {trust_it}"),
        ),
    };
    PluginError::new(ErrorKind::Auth, message).with_hint(hint)
}

/// The peer's certificate has none of the pinned fingerprints.
pub(crate) fn not_pinned(peer: &str, known: &[Fingerprint], shown: Fingerprint) -> PluginError {
    let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    PluginError::new(
        ErrorKind::Auth,
        format!("certificate fingerprint mismatch for {peer}: received {shown}, expected {known}"),
    )
    .with_hint(
        "possible man-in-the-middle attack; if the certificate was renewed on purpose, set \
         `tls_fingerprint` to the new one",
    )
}

fn shown_names(certificate: &Certificate) -> String {
    if certificate.names.is_empty() {
        return format!("only the common name `{}`, which is ignored", certificate.subject);
    }
    let more = certificate.names.len().saturating_sub(MAX_NAMES);
    let shown = certificate.names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn of_tls(peer: &str, identity: Option<&Identity>, fips: Fips, error: &Error) -> PluginError {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<PluginError>() {
                Some(own) => own.clone(),
                None => refused(format!("certificate of {peer} is not trusted: {other}")),
            }
        }
        Error::InvalidCertificate(problem) => {
            refused(format!("certificate of {peer} is not trusted: {problem}"))
        }
        Error::NoCertificatesPresented => refused(format!("{peer} sent no certificate")),
        Error::AlertReceived(AlertDescription::HandshakeFailure) if !fips.is_off() => protocol(format!(
            "TLS handshake failed with {peer} (alert HandshakeFailure) in FIPS mode `{fips}`"
        ))
        .with_hint(
            "the peer may have no cipher suite, group or certificate that this mode allows, or it requires a client \
             certificate; see docs/fips.md",
        ),
        Error::AlertReceived(alert) => of_alert(peer, identity, *alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => protocol(format!("{peer} does not speak TLS"))
            .with_hint("check the port: another service may be listening there, or it expects no TLS"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => too_old(peer),
        Error::PeerIncompatible(PeerIncompatible::ExtendedMasterSecretExtensionRequired) => protocol(format!(
            "{peer} does not support the extended master secret (RFC 7627), which FIPS mode requires for TLS 1.2"
        ))
        .with_hint("update the peer, or use TLS 1.3"),
        other => protocol(format!("TLS error with {peer}: {other}")),
    }
}

fn of_alert(peer: &str, identity: Option<&Identity>, alert: AlertDescription) -> PluginError {
    use AlertDescription as Alert;
    match (alert, identity) {
        (Alert::CertificateRequired | Alert::NoCertificate, _)
        | (Alert::HandshakeFailure | Alert::BadCertificate | Alert::AccessDenied, None) => {
            refused(format!("{peer} requires a client certificate and none was sent (alert {alert:?})"))
                .with_hint("set the option for the client certificate")
        }
        (
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError,
            Some(identity),
        ) => refused(format!(
            "client certificate rejected by {peer} ({}, from {}): alert {alert:?}",
            identity.certificate(),
            identity.file().display()
        ))
        .with_hint(
            "check on the peer that the issuer is trusted and that the certificate is not deleted \
             or revoked",
        ),
        (Alert::ProtocolVersion | Alert::InsufficientSecurity, _) => too_old(peer),
        (Alert::HandshakeFailure, Some(_)) => protocol(format!(
            "TLS handshake failed with {peer} (alert HandshakeFailure)"
        ))
        .with_hint("no common cipher suite, or the client certificate is not accepted; see the peer's log"),
        (Alert::UnrecognisedName, _) => refused(format!("{peer} does not recognize this server name"))
            .with_hint("use a name from the peer's certificate"),
        // The peer or the way to it failed, not the settings.
        (Alert::InternalError | Alert::BadRecordMac | Alert::UserCanceled, _) => {
            PluginError::unavailable(format!("TLS connection closed by {peer} with alert {alert:?}"))
        }
        _ => protocol(format!("TLS connection closed by {peer} with alert {alert:?}")),
    }
}

fn of_io(peer: &str, identity: Option<&Identity>, error: &io::Error) -> PluginError {
    let unavailable = |message: String| PluginError::new(ErrorKind::Unavailable, message);
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => unavailable(format!(
            "connection to {peer} closed during TLS \
             ({error})"
        ))
        .with_hint(match identity {
            Some(_) => "see the peer's log; some peers close the connection for unknown clients",
            None => {
                "see the peer's log; some peers close the connection if no client certificate is \
                     sent"
            }
        }),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            unavailable(format!("connection to {peer} timed out"))
                .with_hint("check the address, the port and firewalls")
        }
        io::ErrorKind::ConnectionRefused => unavailable(format!("connection refused by {peer}"))
            .with_hint("check the port and that the service is running"),
        _ => unavailable(format!("the connection to {peer} failed: {error}")),
    }
}

fn too_old(peer: &str) -> PluginError {
    protocol(format!("no common TLS version with {peer}"))
        .with_hint("TLS 1.2 and 1.3 are supported; update the peer, or set `tls_min_version: 1.2`")
}

fn refused(message: String) -> PluginError {
    PluginError::new(ErrorKind::Auth, message)
}

fn protocol(message: String) -> PluginError {
    PluginError::new(ErrorKind::Protocol, message)
}

/// Maximum number of certificate names in a message.
const MAX_NAMES: usize = 5;

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// Wraps errors as HTTP libraries do: their own error contains an `io::Error`, which contains the TLS error.
    #[derive(Debug)]
    struct Wrapped(io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("error sending request")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn tls_error_is_found_in_wrapped_errors() {
        let tls = Error::AlertReceived(AlertDescription::CertificateRequired);
        let nested = Wrapped(io::Error::other(Wrapped(io::Error::new(io::ErrorKind::InvalidData, tls))));
        let error = explain("dc.example.com:8307", None, Fips::Off, &nested);
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.message.contains("requires a client certificate and none was sent"), "{error}");

        let own = not_pinned("dc.example.com:8307", &[], Fingerprint::of(&b"".as_slice().into()));
        let carried = Wrapped(io::Error::other(own.clone()));
        assert_eq!(explain("dc.example.com:8307", None, Fips::Off, &carried), own);
    }

    #[test]
    fn peer_without_extended_master_secret_is_a_protocol_error() {
        let error = Error::PeerIncompatible(PeerIncompatible::ExtendedMasterSecretExtensionRequired);
        let error = explain("dc.example.com:8307", None, Fips::Off, &error);
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert_eq!(
            error.message,
            "dc.example.com:8307 does not support the extended master secret (RFC 7627), which FIPS mode requires for \
             TLS 1.2"
        );
        assert_eq!(error.hint.as_deref(), Some("update the peer, or use TLS 1.3"));
    }

    #[test]
    fn failed_handshake_in_fips_mode_names_the_mode() {
        let error = Error::AlertReceived(AlertDescription::HandshakeFailure);
        let error = explain("siem.example.com:6514", None, Fips::SuiteB192, &error);
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.ends_with("(alert HandshakeFailure) in FIPS mode `suite-b-192`"), "{error}");
        let off = Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert_eq!(explain("siem.example.com:6514", None, Fips::Off, &off).kind, ErrorKind::Auth);
    }

    #[test]
    fn io_error_during_tls_is_unavailable() {
        for (inner, part) in [
            (io::Error::from(io::ErrorKind::TimedOut), "timed out"),
            (io::Error::from(io::ErrorKind::ConnectionRefused), "connection refused"),
            (io::Error::other("no route to host"), "no route to host"),
        ] {
            let error = explain("dc.example.com:8307", None, Fips::Off, &Wrapped(inner));
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
