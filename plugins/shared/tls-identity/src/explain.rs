//! What the errors of TLS mean, in one sentence with a hint.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use scanbridge_plugin_api::{ErrorKind, PluginError};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::identity::Identity;

/// The sentence for this error on a connection to `peer`.
pub(crate) fn explain(
    peer: &str,
    identity: Option<&Identity>,
    error: &(dyn StdError + 'static),
) -> PluginError {
    let mut next = Some(error);
    let mut last_io = None;
    while let Some(current) = next {
        if let Some(own) = current.downcast_ref::<PluginError>() {
            return own.clone();
        }
        if let Some(tls) = current.downcast_ref::<Error>() {
            return of_tls(peer, identity, tls);
        }
        next = match current.downcast_ref::<io::Error>() {
            // An io::Error names the source of what is inside it as its own, and so passes the inside over.
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

/// The peer's certificate was held against authorities and refused.
pub(crate) fn refused_certificate(
    peer: &str,
    certificate: &Certificate,
    origin: &str,
    problem: &CertificateError,
) -> PluginError {
    let Certificate { subject, issuer, fingerprint, .. } = certificate;
    let trust_it = format!("`tls_fingerprint: {fingerprint}` trusts this one certificate");
    let (message, hint) = match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("the certificate of {peer} ({subject}) expired on {}", certificate.not_after),
            format!("have it renewed, or set this machine's clock; {trust_it}"),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            format!("the certificate of {peer} ({subject}) is valid only from {}", certificate.not_before),
            format!("set this machine's clock; {trust_it}"),
        ),
        CertificateError::UnknownIssuer => (
            format!(
                "the certificate of {peer} ({subject}, issued by {issuer}) leads to no authority in {origin}"
            ),
            format!(
                "set `tls_ca_file` to the issuer's certificate; after comparing it with the peer's, {trust_it}"
            ),
        ),
        CertificateError::BadSignature => (
            format!("the certificate of {peer} ({subject}) is not signed by the `{issuer}` in {origin}"),
            format!(
                "there are two authorities of that name: set `tls_ca_file` to the right one; after comparing it with the peer's, {trust_it}"
            ),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("the certificate of {peer} is for another name: {}", shown_names(certificate)),
            format!("name the peer as its certificate does, or set `tls_check_name: no`; {trust_it}"),
        ),
        CertificateError::Other(_) if certificate.subject == certificate.issuer => (
            format!("{peer} shows an authority's own certificate ({subject}), which {origin} does not hold"),
            format!(
                "set `tls_ca_file` to this very certificate; after comparing it with the peer's, {trust_it}"
            ),
        ),
        other => (
            format!("the certificate of {peer} ({subject}) cannot be trusted: {other}"),
            format!("after comparing it with the peer's, {trust_it}"),
        ),
    };
    PluginError::new(ErrorKind::Auth, message).with_hint(hint)
}

/// The peer's certificate is none of those that are trusted by fingerprint.
pub(crate) fn not_pinned(peer: &str, known: &[Fingerprint], shown: Fingerprint) -> PluginError {
    let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    PluginError::new(
        ErrorKind::Auth,
        format!("the certificate of {peer} has the fingerprint {shown}, trusted is {known}"),
    )
    .with_hint("somebody may stand in between; if the certificate was renewed on purpose, set `tls_fingerprint` to the new one")
}

fn shown_names(certificate: &Certificate) -> String {
    if certificate.names.is_empty() {
        return format!("it has none but `{}`, which counts no longer", certificate.subject);
    }
    let more = certificate.names.len().saturating_sub(MOST_NAMES);
    let shown = certificate.names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn of_tls(peer: &str, identity: Option<&Identity>, error: &Error) -> PluginError {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<PluginError>() {
                Some(own) => own.clone(),
                None => refused(format!("the certificate of {peer} cannot be trusted: {other}")),
            }
        }
        Error::InvalidCertificate(problem) => {
            refused(format!("the certificate of {peer} cannot be trusted: {problem}"))
        }
        Error::NoCertificatesPresented => refused(format!("{peer} showed no certificate")),
        Error::AlertReceived(alert) => of_alert(peer, identity, *alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => protocol(format!("{peer} does not speak TLS"))
            .with_hint("check the port: something else listens there, or it wants no TLS"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => too_old(peer),
        other => protocol(format!("TLS with {peer} failed: {other}")),
    }
}

fn of_alert(peer: &str, identity: Option<&Identity>, alert: AlertDescription) -> PluginError {
    use AlertDescription as Alert;
    match (alert, identity) {
        (Alert::CertificateRequired | Alert::NoCertificate, _)
        | (Alert::HandshakeFailure | Alert::BadCertificate | Alert::AccessDenied, None) => {
            refused(format!("{peer} wants a client certificate and was shown none (alert {alert:?})"))
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
            "{peer} refused our client certificate ({}, from {}): alert {alert:?}",
            identity.certificate(),
            identity.file().display()
        ))
        .with_hint("the peer must know its issuer, and must not have deleted or revoked it"),
        (Alert::ProtocolVersion | Alert::InsufficientSecurity, _) => too_old(peer),
        (Alert::HandshakeFailure, Some(_)) => protocol(format!(
            "{peer} broke the handshake off (alert HandshakeFailure)"
        ))
        .with_hint(
            "there is no common cipher, or the peer does not take our client certificate; its log says which",
        ),
        (Alert::UnrecognisedName, _) => refused(format!("{peer} does not know itself by this name"))
            .with_hint("name the peer as its certificate does"),
        _ => protocol(format!("{peer} broke TLS off with the alert {alert:?}")),
    }
}

fn of_io(peer: &str, identity: Option<&Identity>, error: &io::Error) -> PluginError {
    let unavailable = |message: String| PluginError::new(ErrorKind::Unavailable, message);
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => unavailable(format!("{peer} cut the connection off ({error})"))
            .with_hint(match identity {
                Some(_) => "the peer's log says why; some close so on clients that they do not know",
                None => "the peer's log says why; some close so on clients that show no certificate",
            }),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            unavailable(format!("{peer} did not answer in time"))
                .with_hint("check the address, the port and the firewalls in between")
        }
        io::ErrorKind::ConnectionRefused => unavailable(format!("{peer} refused the connection"))
            .with_hint("check the port, and whether the service is running there"),
        _ => unavailable(format!("the connection to {peer} failed: {error}")),
    }
}

fn too_old(peer: &str) -> PluginError {
    protocol(format!("{peer} speaks no version of TLS that is taken here")).with_hint(
        "TLS 1.2 and 1.3 are spoken, older ones never; update the peer, or lower `tls_min_version` from 1.3",
    )
}

fn refused(message: String) -> PluginError {
    PluginError::new(ErrorKind::Auth, message)
}

fn protocol(message: String) -> PluginError {
    PluginError::new(ErrorKind::Protocol, message)
}

/// How many names of a certificate are told.
const MOST_NAMES: usize = 5;

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// As HTTP libraries wrap: an error of their own around an `io::Error` around that of TLS.
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
    fn the_cause_is_found_however_it_is_wrapped() {
        let tls = Error::AlertReceived(AlertDescription::CertificateRequired);
        let nested = Wrapped(io::Error::other(Wrapped(io::Error::new(io::ErrorKind::InvalidData, tls))));
        let error = explain("dc.example.com:8307", None, &nested);
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.message.contains("wants a client certificate"), "{error}");

        let own = not_pinned("dc.example.com:8307", &[], Fingerprint::of(&b"".as_slice().into()));
        let carried = Wrapped(io::Error::other(own.clone()));
        assert_eq!(explain("dc.example.com:8307", None, &carried), own);
    }

    #[test]
    fn what_is_no_matter_of_tls_is_unavailable_with_its_own_words() {
        for (inner, part) in [
            (io::Error::from(io::ErrorKind::TimedOut), "did not answer in time"),
            (io::Error::from(io::ErrorKind::ConnectionRefused), "refused the connection"),
            (io::Error::other("no route to host"), "no route to host"),
        ] {
            let error = explain("dc.example.com:8307", None, &Wrapped(inner));
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
