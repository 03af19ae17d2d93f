//! Names that the Defense Center inserts into queries and looks up unchanged. Characters that it may misread are
//! refused.

use std::fmt;

/// The name of a source or scanner: letters, digits, space, `.`, `_` and `-`, with at least one character that is not
/// a digit, because a number would be treated as the ID of an existing source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// The domain of a Defense Center that is split into several: its UUID, or names joined by `\`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

/// Why a name is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It is empty, or contains only spaces.
    #[error("must not be empty")]
    Empty,
    /// It is longer than the longest name known to work.
    #[error("must not be longer than {MAX_LENGTH} characters")]
    Long,
    /// It contains a character that the Defense Center may misread.
    #[error("may contain only letters, digits, spaces, `.`, `_` and `-`, found {0:?}")]
    Character(char),
    /// It consists of digits.
    #[error("must not be a number, because the Defense Center would use it as a source ID")]
    Number,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name.
    pub fn new(text: &str) -> Result<Self, BadName> {
        check(text, "._- ")?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadName::Number);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Name {
    /// The name of a report's scanner. Characters that a name may not contain become `_`.
    #[must_use]
    pub fn of_scanner(text: &str) -> Self {
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "._- ".contains(character);
        let clean: String = text
            .trim()
            .chars()
            .map(|character| if is_allowed(character) { character } else { '_' })
            .collect();
        let clean = clean.get(..MAX_LENGTH).unwrap_or(&clean).trim_end();
        Self::new(clean).unwrap_or_else(|_| Self(format!("scanner {clean}").trim_end().to_owned()))
    }
}

impl Domain {
    /// Checks a domain.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name.
    pub fn new(text: &str) -> Result<Self, BadName> {
        check(text, "._- \\")?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str, marks: &str) -> Result<(), BadName> {
    if text.trim().is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(BadName::Long);
    }
    // The Defense Center removes spaces at both ends, and its lookup is exact.
    let edge = text.starts_with(' ') || text.ends_with(' ');
    let bad =
        text.chars().find(|character| !character.is_ascii_alphanumeric() && !marks.contains(*character));
    match bad.or(edge.then_some(' ')) {
        Some(character) => Err(BadName::Character(character)),
        None => Ok(()),
    }
}

const MAX_LENGTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_what_the_defense_center_reads_safely() {
        for good in ["QualysGuard", "Qualys 2.0_a-b", "7a", "-"] {
            assert_eq!(Name::new(good).map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for (bad, why) in [
            ("", BadName::Empty),
            ("  ", BadName::Empty),
            ("a\"b", BadName::Character('"')),
            ("a,b", BadName::Character(',')),
            ("a\nb", BadName::Character('\n')),
            ("Prüfer", BadName::Character('ü')),
            ("a ", BadName::Character(' ')),
            ("a\\b", BadName::Character('\\')),
            ("42", BadName::Number),
        ] {
            assert_eq!(Name::new(bad), Err(why), "{bad:?}");
        }
        assert_eq!(Name::new(&"x".repeat(101)), Err(BadName::Long));
        for (text, name) in [
            ("Nessus", "Nessus"),
            (" Ärger, \"Inc\" ", "_rger_ _Inc_"),
            ("42", "scanner 42"),
            ("", "scanner"),
        ] {
            assert_eq!(Name::of_scanner(text).to_string(), name, "{text:?}");
        }
        assert_eq!(Name::of_scanner(&"x".repeat(200)).to_string().len(), MAX_LENGTH);
        assert!(Domain::new("Global\\Europe").is_ok());
        assert!(Domain::new("a,b").is_err());
    }
}
