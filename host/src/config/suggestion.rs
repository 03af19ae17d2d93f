//! Did you mean …?

/// The known word that a mistyped one most likely stands for; none when all are too far off.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normal(typed);
    // Beyond this length it is no word, and the distance takes time in the square of it.
    if typed.len() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&typed, &normal(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Whether a key may hold a secret, judged by its name alone.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "auth", "pin"].iter().any(|word| key.contains(word))
}

fn normal(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["path", "page_size", "username"];
        assert_eq!(nearest("usrname", known), Some("username"));
        assert_eq!(nearest("Page-Size", known), Some("page_size"));
        assert_eq!(nearest("pth", known), Some("path"));
        assert_eq!(nearest("colour", known), None);
    }
}
