//! Tables for terminals and pipes.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use scanbridge_plugin_api::is_printable;

/// A table without rules: aligned columns, long cells wrapped so that lines fit into `width` columns.
pub(super) fn render<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    width: usize,
) -> String {
    render_columns(header, rows, width, Columns::WRAP_ALL)
}

/// Which columns of a table may be wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    /// Number of columns at the beginning that keep their width. `usize::MAX`: all but the last.
    fixed: usize,
}

impl Columns {
    pub(super) const WRAP_ALL: Self = Self { fixed: 0 };
    pub(super) const WRAP_LAST: Self = Self { fixed: usize::MAX };
}

/// Like [`render`]. Times and numbers are readable only if their columns keep their width.
pub(super) fn render_columns<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    width: usize,
    columns: Columns,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if column.index < columns.fixed.min(N - 1) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Replaces control characters and hidden characters: text of settings and plugins comes from outside and must not
/// control the terminal. Keeps line breaks and spaces, which are the layout of a cell; so it is not
/// [`printable`](scanbridge_plugin_api::printable).
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
