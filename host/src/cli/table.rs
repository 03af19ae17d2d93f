//! Tables for terminals and pipes.

use comfy_table::{ContentArrangement, Table, presets};
use scanbridge_plugin_api::is_printable;

/// A table without rules: aligned columns, long cells wrapped so that lines fit into `width` columns.
pub(super) fn render<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    width: usize,
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
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Replaces control characters and hidden characters: text of settings and plugins comes from outside and must not
/// control the terminal. Keeps line breaks and spaces, which are the layout of a cell; so it is not
/// [`printable`](scanbridge_plugin_api::printable).
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
