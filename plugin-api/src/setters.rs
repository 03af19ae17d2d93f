//! Setters of structures that may get fields in a minor version (`#[non_exhaustive]`): other crates cannot write such a
//! structure as a literal.

/// Defines for each field a method that sets it. Texts are passed as anything that becomes a `String`.
macro_rules! setters {
    ($name:ty {
        $(texts: $($with_text:ident($text:ident)),+;)?
        $(values: $($with:ident($field:ident: $value:ty)),+;)?
    }) => {
        impl $name {
            $($(
                #[doc = concat!("Sets [`", stringify!($text), "`](field@Self::", stringify!($text), ").")]
                #[must_use]
                pub fn $with_text(mut self, $text: impl Into<String>) -> Self {
                    self.$text = $text.into();
                    self
                }
            )+)?
            $($(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $with(mut self, $field: $value) -> Self {
                    self.$field = $field;
                    self
                }
            )+)?
        }
    };
}

pub(crate) use setters;
