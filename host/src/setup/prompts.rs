//! How questions are put to the operator.

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) enum Leave {
    /// The operator wants the question before.
    Back,
    /// Ctrl-C.
    Interrupted,
    /// The terminal cannot be used.
    Failed(String),
}

/// An answer, or why there is none.
pub(crate) type Reply<T> = Result<T, Leave>;

/// Judges a typed text. The error is the end of a sentence that begins with the name of what is asked for.
pub(crate) type Check<'c> = &'c dyn Fn(&str) -> Result<(), String>;

/// Puts questions to the operator. Every text that is passed in is free of control characters.
pub(crate) trait Prompts {
    /// Columns of the terminal.
    fn width(&self) -> usize;

    /// Shows a text.
    fn show(&mut self, text: &str);

    /// Lets the operator choose one of these rows. `start` is the one that is suggested.
    fn choose(&mut self, question: &str, rows: &[String], start: usize) -> Reply<usize>;

    /// Lets the operator mark rows. Returns the marked ones, in order.
    fn mark(&mut self, question: &str, rows: &[String], marked: &[usize]) -> Reply<Vec<usize>>;

    /// Lets the operator type a text that `check` accepts. With a `default`, an empty text means the default.
    fn enter(&mut self, question: &str, hint: &str, default: Option<&str>, check: Check<'_>)
    -> Reply<String>;

    /// Lets the operator type a secret, which is not shown.
    fn enter_secret(&mut self, question: &str, hint: &str, check: Check<'_>) -> Reply<String>;
}
