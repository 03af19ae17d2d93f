//! The fenced blocks of a Markdown page.

use scanbridge_doubles::certificates::installed;

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The word after the fence.
    pub(crate) language: String,
    /// The lines, without the indent of a list.
    pub(crate) lines: Vec<String>,
    /// The comment in the line before the fence, without its marks.
    note: Option<String>,
}

/// What a test does with a block.
pub(super) enum Treatment {
    Run { exit_code: i32 },
    NotRun { reason: String },
}

impl Block {
    pub(super) fn treatment(&self) -> Treatment {
        let note = self.note.as_deref().unwrap_or_default();
        if let Some(reason) = note.strip_prefix("not run:") {
            return Treatment::NotRun { reason: reason.trim().to_owned() };
        }
        if let Some(program) = note.strip_prefix("needs:").map(str::trim)
            && !installed(program)
        {
            return Treatment::NotRun { reason: format!("{program} is not installed") };
        }
        let code = note
            .strip_prefix("exit code:")
            .map(|code| code.trim().parse().expect("a number after `exit code:`"));
        Treatment::Run { exit_code: code.unwrap_or(0) }
    }
}

/// All fenced blocks that name a language.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut last) = (Vec::new(), None::<(usize, Block)>, "");
    for (index, line) in page.lines().enumerate() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        match (&mut open, content.strip_prefix("```")) {
            (None, Some(language)) => {
                let note = last.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                let note = note.map(|note| note.trim().to_owned());
                let block = Block { line: index + 1, language: language.to_owned(), lines: Vec::new(), note };
                open = Some((indent, block));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.lines.push(line.get(*indent..).unwrap_or_default().to_owned());
            }
            (None, None) => {}
        }
        last = line;
    }
    blocks.retain(|block| !block.language.is_empty());
    blocks
}

#[test]
fn blocks_have_their_language_note_and_lines() {
    let found =
        blocks("<!-- exit code: 78 -->\n```console\n$ a\n```\n\n- x\n\n  ```yaml\n  k:\n    v\n  ```\n");
    assert_eq!(found.len(), 2);
    assert!(matches!(found[0].treatment(), Treatment::Run { exit_code: 78 }));
    assert_eq!((found[1].line, &*found[1].language), (8, "yaml"));
    assert_eq!(found[1].lines, ["k:", "  v"]);
}
