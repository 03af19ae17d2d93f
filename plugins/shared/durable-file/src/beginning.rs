//! Where a report begins in its file or series of pieces.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::content::Content;
use crate::failure::{cannot_write, refuse_existing};
use crate::name::piece_path;
use crate::receipt::{Moment, Published};
use crate::target::{IfExists, Target};

/// Where a report's first piece begins.
#[derive(Debug)]
pub(crate) struct AppendPoint {
    pub(crate) number: u32,
    /// The published piece that is copied into the new part, and its known content.
    pub(crate) from: Option<(PathBuf, Option<Content>)>,
    pub(crate) begun: Moment,
}

impl AppendPoint {
    pub(crate) fn find(path: &Path, target: &Target, earlier: Option<&Published>) -> Result<Self> {
        let plain = u32::from(target.rotate.is_on());
        let last = match (earlier, target.if_exists) {
            (Some(earlier), _) => return Self::after(path, target, earlier),
            (None, IfExists::Replace) => None,
            (None, IfExists::Fail) => {
                return refuse_existing(&piece_path(path, plain)).map(|()| Self::new(plain));
            }
            (None, IfExists::Append) => last_existing(path, plain),
        };
        Ok(match last {
            Some(number) => Self::on_top_of(path, target, number, Moment::now(), None),
            None => Self::new(plain),
        })
    }

    /// Continues after the pieces that this run has published.
    fn after(path: &Path, target: &Target, earlier: &Published) -> Result<Self> {
        let piece = piece_path(path, earlier.number);
        let Published { number, piece: known } = *earlier;
        let found = fs::symlink_metadata(&piece);
        let is_same = |found: &fs::Metadata| found.ino() == known.content.inode;
        let next = if number == 0 { 0 } else { number + 1 };
        match found {
            Ok(found) if is_same(&found) && found.len() == known.content.length => {
                Ok(Self::on_top_of(path, target, number, known.begun, Some(known.content)))
            }
            // Another program, such as a collector, moved the file away or emptied it: a new file is started.
            Ok(found) if found.is_file() && found.len() == 0 => Ok(Self::new(next)),
            // The program that appended to the file is responsible for it; its content can no longer be described by
            // a sum.
            Ok(found) if is_same(&found) && known.content.is_head_of(&piece).unwrap_or(false) => {
                Ok(Self::on_top_of(path, target, number, known.begun, None))
            }
            Ok(_) => Err(PluginError::new(
                ErrorKind::Io,
                format!("{} was replaced or truncated by another program during this run", piece.display()),
            )
            .with_hint(
                "write each report to its own file with `{report}` in `path`, or move the complete \
                 file away",
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::new(next)),
            Err(error) => Err(cannot_write(&piece, &error)),
        }
    }

    fn on_top_of(path: &Path, target: &Target, number: u32, begun: Moment, known: Option<Content>) -> Self {
        let piece = piece_path(path, number);
        let length = fs::metadata(&piece).map_or(0, |metadata| metadata.len());
        if number > 0 && target.rotate.is_due(length, || begun.elapsed()) {
            return Self::new(number + 1);
        }
        Self { number, from: Some((piece, known)), begun }
    }

    fn new(number: u32) -> Self {
        Self { number, from: None, begun: Moment::now() }
    }
}

/// The last existing piece before the first gap; `plain` is the number of the first piece.
fn last_existing(path: &Path, plain: u32) -> Option<u32> {
    let is_there = |number: &u32| fs::symlink_metadata(piece_path(path, *number)).is_ok();
    match plain {
        0 => Some(0).filter(is_there),
        first => (first..).take_while(is_there).last(),
    }
}
