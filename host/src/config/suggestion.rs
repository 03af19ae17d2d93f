//! Suggestions for misspelled words: "did you mean …?".

/// The known word that is most similar to a misspelled one, ignoring case; `None` when all differ too much.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normalized(typed);
    // Longer text is not a word, and computing the distance takes quadratic time.
    if typed.len() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&typed, &normalized(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Whether the value of a key may be secret, judged only by the key's name.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "auth", "pin"].iter().any(|word| key.contains(word))
}

fn normalized(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        let known = ["path", "page_size", "username"];
        assert_eq!(nearest("usrname", known), Some("username"));
        assert_eq!(nearest("Page-Size", known), Some("page_size"));
        assert_eq!(nearest("pth", known), Some("path"));
        assert_eq!(nearest("color", known), None);
    }
}
