//! Characters that look like those of YAML and are not: they come from text processors and web pages.

/// The first character of this kind in the text: its offset, its name and what to use instead.
pub(super) fn find(text: &str) -> Option<(usize, OddCharacter)> {
    text.char_indices().find_map(|(at, c)| Some((at, OddCharacter::of(c)?)))
}

/// A character that is not what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OddCharacter {
    pub(super) character: char,
    pub(super) name: &'static str,
    /// What the operator should type.
    pub(super) instead: &'static str,
}

impl OddCharacter {
    fn of(character: char) -> Option<Self> {
        let (name, instead) = match character {
            '\u{a0}' | '\u{2007}' | '\u{202f}' => ("no-break space", "a plain space"),
            '\u{2000}'..='\u{2006}' | '\u{2008}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => {
                ("wide or narrow space", "a plain space")
            }
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => ("invisible character", "nothing"),
            '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => {
                ("typographic quote", "a straight quote: \" or '")
            }
            '\u{2018}'..='\u{201b}' => ("typographic quote", "a straight quote: ' or \""),
            _ => return None,
        };
        Some(Self { character, name, instead })
    }

    /// Whether it is a space or invisible.
    pub(super) fn is_blank(self) -> bool {
        self.name != "typographic quote"
    }

    /// `no-break space (U+00A0)`.
    pub(super) fn shown(self) -> String {
        format!("{} (U+{:04X})", self.name, u32::from(self.character))
    }

    pub(super) fn help(self) -> String {
        format!("type {} there; editors and web pages change it while copying", self.instead)
    }
}
