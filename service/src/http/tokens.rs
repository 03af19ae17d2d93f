//! Tokens of clients that connect over TCP: only their hashes are stored.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::Date;
use scanbridge_observe::{Role, is_name, without_controls};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::replace;

/// The start of every token, so that scanners for secrets recognize one.
const PREFIX: &str = "sbt_";
/// Bytes of randomness. So many cannot be guessed, so a plain hash protects them.
const RANDOM: usize = 32;

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// SHA-256 of the token, in hexadecimal.
    sha256: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) last_used_day: Option<Date>,
}

/// Why a token is refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    Unknown,
    /// The name of the token.
    Expired(String),
}

/// Why a token cannot be added or revoked.
#[derive(Debug)]
pub(crate) enum TokenError {
    Name,
    Exists,
    Unknown,
    Store(io::Error),
    Random,
}

/// The tokens of the service, in a file that only its user can read.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: PathBuf,
    list: Mutex<Vec<Token>>,
}

impl Tokens {
    /// Reads the file. A missing one means that there are no tokens.
    ///
    /// # Errors
    /// When the file cannot be read or is invalid.
    pub(crate) fn open(file: PathBuf) -> Result<Self, String> {
        let list = match std::fs::read(&file) {
            Ok(bytes) => read(&bytes).map_err(|error| format!("{} is invalid: {error}", file.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
        };
        Ok(Self { file, list: Mutex::new(list) })
    }

    /// Makes a token and returns it. It is not stored and cannot be shown again.
    ///
    /// # Errors
    /// When the name is taken or invalid, or the file cannot be written.
    pub(crate) fn add(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<String, TokenError> {
        if !is_name(name) {
            return Err(TokenError::Name);
        }
        let secret = format!("{PREFIX}{}", random_text().ok_or(TokenError::Random)?);
        self.change(|list| {
            if list.iter().any(|token| token.name == name) {
                return Err(TokenError::Exists);
            }
            let (name, sha256) = (name.to_owned(), hash(&secret));
            list.push(Token { name, role, sha256, created: now, expires, last_used_day: None });
            Ok(())
        })?;
        Ok(secret)
    }

    /// Removes a token.
    ///
    /// # Errors
    /// When there is none with this name, or the file cannot be written.
    pub(crate) fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|list| {
            let before = list.len();
            list.retain(|token| token.name != name);
            if list.len() == before { Err(TokenError::Unknown) } else { Ok(()) }
        })
    }

    /// All tokens, without their hashes.
    pub(crate) fn list(&self) -> Vec<Token> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner).clone();
        list.into_iter().map(|token| Token { sha256: String::new(), ..token }).collect()
    }

    /// The name and role of a token that a client has sent.
    ///
    /// # Errors
    /// When it is unknown or has expired.
    pub(crate) fn find(&self, secret: &str, now: Timestamp) -> Result<(String, Role), Refused> {
        let wanted = hash(secret);
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |token: &&mut Token| verify_slices_are_equal(token.sha256.as_bytes(), wanted.as_bytes()).is_ok();
        let token = list.iter_mut().find(is_same).ok_or(Refused::Unknown)?;
        if token.expires.is_some_and(|expires| expires <= now) {
            return Err(Refused::Expired(token.name.clone()));
        }
        let found = (token.name.clone(), token.role);
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        if token.last_used_day != Some(today) {
            token.last_used_day = Some(today);
            // Only for `token list`: a full disk must not lock out an operator.
            let _ = self.store(&list);
        }
        Ok(found)
    }

    /// Whether the token with this hash exists and has not expired.
    pub(super) fn is_valid(&self, sha256: &str, now: Timestamp) -> bool {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let token = list.iter().find(|token| token.sha256 == sha256);
        token.is_some_and(|token| token.expires.is_none_or(|expires| expires > now))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = list.clone();
        change(&mut changed)?;
        self.store(&changed).map_err(TokenError::Store)?;
        *list = changed;
        Ok(())
    }

    fn store(&self, list: &[Token]) -> io::Result<()> {
        replace(&self.file, &serde_json::to_vec(list)?)
    }
}

/// The tokens in a file. An invalid one is named: without it, a revoked or expired token could seem to be valid.
fn read(bytes: &[u8]) -> Result<Vec<Token>, String> {
    const AGAIN: &str = "delete the file, then make the tokens again with `scanbridge service token add`";
    let entries: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| format!("{error}; {AGAIN}"))?;
    let entry = |(at, entry): (usize, &Value)| {
        Token::deserialize(entry).map_err(|error| {
            let name = entry["name"].as_str().map(|name| format!(" (`{}`)", without_controls(name)));
            let number = at + 1;
            format!("entry {number}{}: {error}; remove this entry, or {AGAIN}", name.unwrap_or_default())
        })
    };
    entries.iter().enumerate().map(entry).collect()
}

/// A text that cannot be guessed. `None` if the system provides no random numbers.
pub(super) fn random_text() -> Option<String> {
    let mut random = [0; RANDOM];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(secret: &str) -> String {
    hexadecimal(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn token_is_found_until_it_expires_or_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.json");
        let open = || Tokens::open(file.clone()).unwrap();
        let (now, later) = (at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"));
        let tokens = open();
        let secret = tokens.add("prometheus", Role::Read, Some(later), now).unwrap();
        let lasting = tokens.add("ops", Role::Operate, None, now).unwrap();
        assert!(secret.starts_with("sbt_") && secret.len() == 4 + 43, "{secret}");
        assert!(matches!(tokens.add("ops", Role::Read, None, now), Err(TokenError::Exists)));
        assert!(matches!(tokens.add("a/b", Role::Read, None, now), Err(TokenError::Name)));

        let again = open();
        assert_eq!(again.find(&secret, now), Ok(("prometheus".to_owned(), Role::Read)));
        assert_eq!(again.find(&secret, later), Err(Refused::Expired("prometheus".to_owned())));
        assert_eq!(again.find(&lasting, later), Ok(("ops".to_owned(), Role::Operate)));
        for wrong in ["", "sbt_", &secret[..46], &format!("{secret}x"), &hash(&secret)] {
            assert_eq!(again.find(wrong, now), Err(Refused::Unknown), "{wrong}");
        }
        again.revoke("ops").unwrap();
        assert!(matches!(again.revoke("ops"), Err(TokenError::Unknown)));
        assert_eq!(open().find(&lasting, now), Err(Refused::Unknown));

        let stored = std::fs::read_to_string(&file).unwrap();
        assert!(!stored.contains(&secret) && !stored.contains(&secret[4..]), "{stored}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open().list()[0].last_used_day, Some(jiff::civil::date(2026, 3, 1)));
    }

    #[test]
    fn invalid_file_is_an_error_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.json");
        std::fs::write(&file, "[{\"name\":").unwrap();
        let error = Tokens::open(file.clone()).unwrap_err();
        assert!(error.contains("tokens.json is invalid"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[{\"name\":");
        let good = "{\"name\":\"a\",\"role\":\"read\",\"sha256\":\"00\",\"created\":\"2026-03-01T00:00:00Z\",\
                    \"expires\":null,\"last_used_day\":null}";
        for (bad, expected) in [
            (
                good.replace("read", "admin").replace("\"a\"", "\"ops\""),
                "entry 2 (`ops`): unknown variant `admin`",
            ),
            (good.replace("\"sha256\":\"00\",", ""), "entry 2 (`a`): missing field `sha256`"),
            ("{}".to_owned(), "entry 2: missing field `name`"),
            ("3".to_owned(), "entry 2: invalid type"),
        ] {
            std::fs::write(&file, format!("[{good},{bad}]")).unwrap();
            let error = Tokens::open(file.clone()).unwrap_err();
            assert!(error.contains(expected) && error.contains("remove this entry, or delete"), "{error}");
        }
        std::fs::write(&file, format!("[{good}]")).unwrap();
        assert_eq!(Tokens::open(file).unwrap().list().len(), 1);
    }
}
