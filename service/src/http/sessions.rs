//! Sessions of browsers: in memory, so that a restart ends all of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use scanbridge_observe::Role;

use super::tokens::{hash, random_text};

/// Sessions at one time. A further one ends the one that was not used for the longest time.
const SESSIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(30 * 60);
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a login link can be used.
const LINK: Duration = Duration::from_secs(60);

/// A session as requests see it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Name of the token, or `login link`.
    pub(super) name: String,
    pub(super) role: Role,
    /// What forms must contain, so that no other page can send them.
    pub(super) csrf: String,
}

#[derive(Debug)]
struct Kept {
    session: Session,
    /// Hash of the token; none for a login link.
    token: Option<String>,
    begun: Instant,
    used: Instant,
}

/// All sessions, by the hash of the text in their cookie, and the login links.
#[derive(Debug)]
pub(super) struct Sessions {
    kept: Mutex<HashMap<String, Kept>>,
    links: Mutex<HashMap<String, Instant>>,
    /// For the forms of callers with a certificate, who have no session.
    secret: String,
}

impl Default for Sessions {
    fn default() -> Self {
        // Without random numbers no form with this text is accepted.
        let secret = random_text().unwrap_or_default();
        Self { kept: Mutex::default(), links: Mutex::default(), secret }
    }
}

impl Sessions {
    /// Begins a session and returns the text for its cookie. `None` if the system provides no random numbers.
    pub(super) fn begin(&self, name: &str, role: Role, token: Option<&str>, now: Instant) -> Option<String> {
        let (cookie, csrf) = (random_text()?, random_text()?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, session| session.is_alive(now));
        if kept.len() >= SESSIONS {
            let oldest = kept.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
            oldest.map(|id| kept.remove(&id));
        }
        let session = Session { name: name.to_owned(), role, csrf };
        kept.insert(hash(&cookie), Kept { session, token: token.map(hash), begun: now, used: now });
        Some(cookie)
    }

    /// The session of a cookie. `is_valid` says whether the token with this hash still exists.
    pub(super) fn find(
        &self,
        cookie: &str,
        now: Instant,
        is_valid: impl FnOnce(&str) -> bool,
    ) -> Option<Session> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = hash(cookie);
        let session = kept.get_mut(&id)?;
        if session.is_alive(now) && session.token.as_deref().is_none_or(is_valid) {
            session.used = now;
            return Some(session.session.clone());
        }
        kept.remove(&id);
        None
    }

    /// Ends a session.
    pub(super) fn end(&self, cookie: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
    }

    /// What forms of the owner of a certificate must contain; empty without random numbers.
    pub(super) fn csrf_of(&self, name: &str) -> String {
        if self.secret.is_empty() { String::new() } else { hash(&format!("{} {name}", self.secret)) }
    }

    /// Makes a login link: a text that begins one session within a minute.
    pub(super) fn link(&self, now: Instant) -> Option<String> {
        let link = random_text()?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, made| now.duration_since(*made) < LINK);
        links.insert(hash(&link), now);
        Some(link)
    }

    /// Whether the text is a login link that was not used yet. It cannot be used again.
    pub(super) fn use_link(&self, link: &str, now: Instant) -> bool {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.remove(&hash(link)).is_some_and(|made| now.duration_since(made) < LINK)
    }
}

impl Kept {
    fn is_alive(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE && now.duration_since(self.begun) < LONGEST
    }
}

/// Whether a form has the text that only pages of this caller contain.
pub(super) fn is_csrf(expected: &str, text: &str) -> bool {
    !expected.is_empty() && verify_slices_are_equal(expected.as_bytes(), text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn session_ends_when_idle_too_old_or_without_its_token() {
        let sessions = Sessions::default();
        let begin = Instant::now();
        let cookie = sessions.begin("ops", Role::Operate, Some("sbt_1"), begin).unwrap();
        let find = |minutes: u32, is_valid: bool| {
            let found = sessions.find(&cookie, begin + MINUTE * minutes, |token| {
                assert_eq!(token, hash("sbt_1"));
                is_valid
            });
            found.is_some()
        };
        assert!(sessions.find("other", begin, |_| true).is_none());
        // Used all the time, it ends after 12 hours.
        let alive = (1..60).take_while(|number| find(number * 29, true)).count();
        assert_eq!(alive, 24, "24 × 29 minutes are less than 12 hours");
        let cookie = sessions.begin("ops", Role::Operate, None, begin).unwrap();
        assert!(sessions.find(&cookie, begin + MINUTE * 30, |_| true).is_none(), "idle");
        let cookie = sessions.begin("ops", Role::Operate, Some("sbt_1"), begin).unwrap();
        assert!(sessions.find(&cookie, begin, |_| false).is_none());
        assert!(sessions.find(&cookie, begin, |_| true).is_none(), "revoked is final");
    }

    #[test]
    fn sessions_are_limited_and_forms_belong_to_theirs() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let cookies: Vec<String> = (0..65_u32)
            .map(|number| {
                let at = now + Duration::from_secs(number.into());
                sessions.begin(&number.to_string(), Role::Read, None, at).unwrap()
            })
            .collect();
        let later = now + 2 * MINUTE;
        let alive = cookies.iter().filter(|cookie| sessions.find(cookie, later, |_| true).is_some()).count();
        assert_eq!(alive, SESSIONS);
        assert!(sessions.find(&cookies[0], later, |_| true).is_none(), "the oldest has ended");
        let [one, two] = [1, 2].map(|number| sessions.find(&cookies[number], later, |_| true).unwrap());
        assert!(is_csrf(&one.csrf, &one.csrf) && !is_csrf(&one.csrf, &two.csrf) && !is_csrf(&one.csrf, ""));
        assert!(!is_csrf("", ""), "without a session there are no forms");
        sessions.end(&cookies[1]);
        assert!(sessions.find(&cookies[1], later, |_| true).is_none());
    }

    #[test]
    fn login_link_works_once_and_for_a_minute() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let link = sessions.link(now).unwrap();
        assert!(!sessions.use_link("other", now));
        assert!(sessions.use_link(&link, now + Duration::from_secs(59)));
        assert!(!sessions.use_link(&link, now + Duration::from_secs(59)));
        let link = sessions.link(now).unwrap();
        assert!(!sessions.use_link(&link, now + MINUTE));
    }
}
