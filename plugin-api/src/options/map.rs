//! Pairs of a name and a value.

/// Splits `name=value`; spaces around both are removed.
///
/// # Errors
/// The rest of a sentence that begins with the option's name. It does not quote the text: the value may be secret.
pub(super) fn split_pair(text: &str) -> Result<(&str, &str), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    pair.filter(|(name, _)| !name.is_empty()).ok_or_else(|| "must have the form `name=value`".to_owned())
}

/// The problem of a name that is set twice.
pub(super) fn duplicate(name: &str) -> String {
    format!("has the name `{name}` twice")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pair_needs_a_name_and_an_equals_sign() {
        assert_eq!(split_pair(" a = b=c "), Ok(("a", "b=c")));
        assert_eq!(split_pair("a="), Ok(("a", "")));
        for text in ["", "a", "=b", " = b"] {
            assert!(split_pair(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn name_and_value_are_kept(name in "[a-z_.-]{1,9}", value in "[a-z=,:]{0,9}") {
            let text = format!("{name}={value}");
            prop_assert_eq!(split_pair(&text), Ok((name.as_str(), value.as_str())));
        }
    }
}
