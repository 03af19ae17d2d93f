//! How bad a finding is.

/// The scanner's own scale, kept as it is: 1 is the least, 5 the worst. Outputs map it to theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// The severity with this number, if it is one of 1 to 5.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=5).contains(&number).then_some(Self(number))
    }

    /// Reads a cell; anything but one digit from 1 to 5 gives none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [digit @ b'1'..=b'5'] => Some(Self(digit - b'0')),
            _ => None,
        }
    }

    /// 1 to 5.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn only_one_to_five_are_severities() {
        assert_eq!(Severity::from_text("5").map(Severity::number), Some(5));
        for text in ["", "0", "6", "05", "-", "3 "] {
            assert_eq!(Severity::from_text(text), None, "{text:?}");
        }
        assert_eq!(Severity::new(0), None);
    }
}
