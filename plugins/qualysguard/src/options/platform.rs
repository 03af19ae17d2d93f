//! The Qualys platforms: API URL, gateway URL and the mark in user names.
//!
//! The table only sets defaults and improves hints; `url` accepts any https URL. The mark is the first
//! character after the leading lowercase characters of a user name (source: Qualys's documentation of its
//! platforms).

/// One platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) name: &'static str,
    mark: char,
    pub(crate) api: &'static str,
    pub(crate) gateway: &'static str,
}

const fn at(name: &'static str, mark: char, api: &'static str, gateway: &'static str) -> Platform {
    Platform { name, mark, api, gateway }
}

const PLATFORMS: [Platform; 15] = [
    at("us1", '_', "https://qualysapi.qualys.com", "https://gateway.qg1.apps.qualys.com"),
    at("us2", '2', "https://qualysapi.qg2.apps.qualys.com", "https://gateway.qg2.apps.qualys.com"),
    at("us3", '3', "https://qualysapi.qg3.apps.qualys.com", "https://gateway.qg3.apps.qualys.com"),
    at("us4", '6', "https://qualysapi.qg4.apps.qualys.com", "https://gateway.qg4.apps.qualys.com"),
    at("eu1", '-', "https://qualysapi.qualys.eu", "https://gateway.qg1.apps.qualys.eu"),
    at("eu2", '5', "https://qualysapi.qg2.apps.qualys.eu", "https://gateway.qg2.apps.qualys.eu"),
    at("eu2", '!', "https://qualysapi.qg2.apps.qualys.eu", "https://gateway.qg2.apps.qualys.eu"),
    at("it1", 'B', "https://qualysapi.qg3.apps.qualys.it", "https://gateway.qg3.apps.qualys.it"),
    at("in1", '8', "https://qualysapi.qg1.apps.qualys.in", "https://gateway.qg1.apps.qualys.in"),
    at("ca1", '9', "https://qualysapi.qg1.apps.qualys.ca", "https://gateway.qg1.apps.qualys.ca"),
    at("ae1", '7', "https://qualysapi.qg1.apps.qualys.ae", "https://gateway.qg1.apps.qualys.ae"),
    at("uk1", '1', "https://qualysapi.qg1.apps.qualys.co.uk", "https://gateway.qg1.apps.qualys.co.uk"),
    at("au1", '4', "https://qualysapi.qg1.apps.qualys.com.au", "https://gateway.qg1.apps.qualys.com.au"),
    at("ksa1", 'A', "https://qualysapi.qg1.apps.qualysksa.com", "https://gateway.qg1.apps.qualysksa.com"),
    at("gov1", 'C', "https://qualysapi.gov1.qualys.us", "https://gateway.gov1.qualys.us"),
];

/// Values of the option `platform`.
pub(crate) const NAMES: [&str; 14] =
    ["us1", "us2", "us3", "us4", "eu1", "eu2", "it1", "in1", "ca1", "ae1", "uk1", "au1", "ksa1", "gov1"];

impl Platform {
    /// The platform with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        PLATFORMS.into_iter().find(|platform| platform.name == name)
    }

    /// The platform with this API URL.
    pub(crate) fn at(api: &str) -> Option<Self> {
        PLATFORMS.into_iter().find(|platform| platform.api == api.trim_end_matches('/'))
    }

    /// The platform that a user name belongs to.
    pub(crate) fn of_user(user: &str) -> Option<Self> {
        let mark = user.trim_start_matches(|c: char| c.is_ascii_lowercase()).chars().next()?;
        PLATFORMS.into_iter().find(|platform| platform.mark == mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_is_found_by_user_name_and_url() {
        for (user, name) in [
            ("acme_ab1", Some("us1")),
            ("acme2ab", Some("us2")),
            ("acme-ab", Some("eu1")),
            ("acme!ab", Some("eu2")),
            ("acmeBab", Some("it1")),
            ("acme", None),
            ("acme?x", None),
        ] {
            assert_eq!(Platform::of_user(user).map(|platform| platform.name), name, "{user}");
        }
        assert_eq!(Platform::at("https://qualysapi.qualys.eu/").map(|it| it.name), Some("eu1"));
        assert!(NAMES.iter().all(|name| Platform::named(name).is_some()));
    }
}
