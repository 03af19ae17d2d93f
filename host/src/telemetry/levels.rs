//! Which lines are logged: a level for the host, one for plugins, and levels of single targets.

use std::fmt;
use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

/// The level of one target: `TARGET=LEVEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelRule {
    /// A module of the host or of a plugin, with all modules below it, or the `id` of an instance.
    target: String,
    level: LevelFilter,
}

/// Why a text is not a [`LevelRule`].
#[derive(Debug, thiserror::Error)]
pub enum LevelRuleError {
    /// There is no `=`, or nothing before it.
    #[error("expected TARGET=LEVEL, for example siem=debug")]
    NoTarget,
    /// The level has another name.
    #[error("unknown level `{0}`; expected off, error, warn, info, debug or trace")]
    UnknownLevel(String),
}

impl FromStr for LevelRule {
    type Err = LevelRuleError;

    fn from_str(text: &str) -> Result<Self, LevelRuleError> {
        let (target, level) = text.rsplit_once('=').ok_or(LevelRuleError::NoTarget)?;
        if target.is_empty() {
            return Err(LevelRuleError::NoTarget);
        }
        let is_word = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_alphabetic());
        let level = is_word.then(|| level.parse().ok()).flatten();
        let level = level.ok_or_else(|| LevelRuleError::UnknownLevel(text[target.len() + 1..].to_owned()))?;
        Ok(Self { target: target.to_owned(), level })
    }
}

impl fmt::Display for LevelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.level)
    }
}

impl LevelRule {
    fn covers(&self, target: &str) -> bool {
        let rest = target.strip_prefix(&self.target);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// The level of each line.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    host: LevelFilter,
    plugins: LevelFilter,
    rules: Vec<LevelRule>,
}

impl Levels {
    /// The levels with this verbosity.
    pub(super) fn new(verbosity: i8, rules: Vec<LevelRule>) -> Self {
        let (host, plugins) = match verbosity {
            i8::MIN..=-2 => (LevelFilter::ERROR, LevelFilter::ERROR),
            -1 => (LevelFilter::WARN, LevelFilter::WARN),
            0 => (LevelFilter::INFO, LevelFilter::INFO),
            1 => (LevelFilter::DEBUG, LevelFilter::INFO),
            2 => (LevelFilter::DEBUG, LevelFilter::DEBUG),
            3.. => (LevelFilter::TRACE, LevelFilter::TRACE),
        };
        Self { host, plugins, rules }
    }

    /// One level for all lines.
    pub(super) fn all(level: Level) -> Self {
        let level = LevelFilter::from_level(level);
        Self { host: level, plugins: level, rules: Vec::new() }
    }

    /// The level of a target of the host.
    pub(super) fn of_host(&self, target: &str) -> LevelFilter {
        self.rule(|rule| rule.covers(target)).unwrap_or(self.host)
    }

    /// The level of a target of a plugin, in the lines of this instance.
    pub(super) fn of_plugin(&self, target: &str, instance: &str) -> LevelFilter {
        self.rule(|rule| rule.target == instance || rule.covers(target)).unwrap_or(self.plugins)
    }

    /// The most detailed level of any target of the host.
    pub(super) fn most_of_host(&self) -> LevelFilter {
        self.rules.iter().map(|rule| rule.level).fold(self.host, LevelFilter::max)
    }

    /// The most detailed level of any target of a plugin.
    pub(super) fn most_of_plugins(&self) -> LevelFilter {
        self.rules.iter().map(|rule| rule.level).fold(self.plugins, LevelFilter::max)
    }

    /// The level of the longest rule that matches; of two equal ones, the later one counts.
    fn rule(&self, matches: impl Fn(&&LevelRule) -> bool) -> Option<LevelFilter> {
        self.rules.iter().filter(matches).max_by_key(|rule| rule.target.len()).map(|rule| rule.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_rule_counts() {
        let rules =
            ["scanbridge_csv=trace", "scanbridge_csv::file=off", "siem=debug", "scanbridge::state=warn"];
        let levels = Levels::new(0, rules.map(|rule| rule.parse().unwrap()).into());
        for (target, instance, level) in [
            ("scanbridge_csv", "sheet", LevelFilter::TRACE),
            ("scanbridge_csv::options", "sheet", LevelFilter::TRACE),
            ("scanbridge_csv::file::part", "sheet", LevelFilter::OFF),
            ("scanbridge_csv_more", "sheet", LevelFilter::INFO),
            ("rustls::client", "siem", LevelFilter::DEBUG),
            ("rustls::client", "siem2", LevelFilter::INFO),
        ] {
            assert_eq!(levels.of_plugin(target, instance), level, "{target} {instance}");
        }
        assert_eq!(levels.of_host("scanbridge::state::ledger"), LevelFilter::WARN);
        assert_eq!(levels.of_host("scanbridge::pipeline::run"), LevelFilter::INFO);
        assert_eq!(levels.most_of_plugins(), LevelFilter::TRACE);
    }

    #[test]
    fn verbosity_shows_the_engine_before_the_plugins() {
        let of = |verbosity| {
            let levels = Levels::new(verbosity, Vec::new());
            (levels.of_host("a"), levels.of_plugin("a", "b"))
        };
        assert_eq!(of(1), (LevelFilter::DEBUG, LevelFilter::INFO));
        assert_eq!(of(2), (LevelFilter::DEBUG, LevelFilter::DEBUG));
        assert_eq!(of(9), (LevelFilter::TRACE, LevelFilter::TRACE));
        assert_eq!(of(-9), (LevelFilter::ERROR, LevelFilter::ERROR));
    }

    #[test]
    fn rules_have_a_target_and_a_level() {
        for text in ["", "siem", "=debug", "siem=", "siem=loud", "siem=3", "siem= debug"] {
            assert!(text.parse::<LevelRule>().is_err(), "{text}");
        }
        assert!("siem=OFF".parse::<LevelRule>().is_ok());
    }
}
