//! Certificates, keys and trust for TLS: the only room that sees key material.
