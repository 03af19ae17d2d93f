//! Restores the files of a receipt, after a crash at any later moment.
//!
//! Files are identified by the checksum of their content. If a part was already renamed to its final name, a new part
//! is made from the beginning of that file. First all parts are made and synchronized; then what was published since
//! the receipt is removed, the first piece last. An interruption in between is handled by doing everything again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use scanbridge_plugin_api::Result;

use crate::content::Content;
use crate::disk;
use crate::failure::{cannot_create, cannot_write, folder_of};
use crate::name::{part_path, piece_path};
use crate::part::Part;
use crate::pieces::Pieces;
use crate::receipt::{Published, Series};
use crate::target::{IfExists, Target};

/// The recovered part files of a report that was in progress.
#[derive(Debug)]
pub(crate) enum RecoveredReport {
    /// All files that the receipt names.
    Complete(Box<Pieces>),
    /// Some files are missing; this is the first one. Recovery changed nothing.
    Broken(PathBuf),
}

/// A piece whose content was found.
struct Found {
    /// The final name.
    path: PathBuf,
    place: ContentLocation,
    content: Content,
}

/// Where the content of a piece is found.
enum ContentLocation {
    Part,
    Final,
    /// The piece has no content.
    Empty,
}

impl Pieces {
    /// Adopts the part files of the report that was in progress, and removes the pieces that were published since.
    pub(crate) fn recover(
        path: PathBuf,
        series: &Series,
        target: &Target,
        earlier: Option<&Published>,
    ) -> Result<RecoveredReport> {
        let guard = Self::guard(&path, target)?;
        let found = match locate(&path, series)? {
            Ok(found) => found,
            Err(missing) => return Ok(RecoveredReport::Broken(missing)),
        };
        let current = settle_all(&found, target.mode)?;
        let folder = folder_of(&path);
        disk::sync_folder(folder).map_err(|error| cannot_write(folder, &error))?;
        if target.if_exists != IfExists::Replace || earlier.is_some() {
            unpublish(&path, series)?;
        }
        if guard.is_some() {
            let next = series.first + series.pieces.len() as u32;
            remove_series(next, |number| part_path(&piece_path(&path, number)))?;
        }
        let (last, sealed) = series.pieces.split_last().expect("a series has a piece");
        Ok(RecoveredReport::Complete(Box::new(Self {
            path,
            first: series.first,
            sealed: sealed.to_vec(),
            current,
            begun: last.begun,
            before: series.before,
            earlier: earlier.map(|earlier| earlier.number),
            kept: series.pieces.len(),
            named: true,
            published: false,
            _guard: guard,
        })))
    }
}

/// Restores a published file if a later report was published into it. A file that was removed, or replaced by another
/// program, is left alone.
pub(crate) fn restore_published(path: &Path, published: &mut Published) -> Result<()> {
    let Published { number, piece } = published;
    let file = piece_path(path, *number);
    if *number > 0 {
        remove_series(*number + 1, |number| piece_path(path, number))?;
    }
    let failed = |error: io::Error| cannot_write(&file, &error);
    match fs::symlink_metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.ino() == piece.content.inode && found.len() == piece.content.length => {
            return Ok(());
        }
        Ok(_) if !piece.content.is_head_of(&file).map_err(failed)? => return Ok(()),
        Ok(found) => piece.content.inode = found.ino(),
    }
    truncate(&file, piece.content.length)
}

/// Finds the content of all pieces. Returns the part file of the first piece without content on the disk.
fn locate(path: &Path, series: &Series) -> Result<Result<Vec<Found>, PathBuf>> {
    let mut found = Vec::new();
    for (number, piece) in (series.first..).zip(&series.pieces) {
        let path = piece_path(path, number);
        match place(&path, &piece.content).map_err(|error| cannot_create(&path, &error))? {
            Some(place) => found.push(Found { path, place, content: piece.content }),
            None => return Ok(Err(part_path(&path))),
        }
    }
    Ok(Ok(found))
}

fn place(path: &Path, content: &Content) -> io::Result<Option<ContentLocation>> {
    Ok(if content.is_head_of(&part_path(path))? {
        Some(ContentLocation::Part)
    } else if content.length == 0 {
        Some(ContentLocation::Empty)
    } else if content.is_head_of(path)? {
        Some(ContentLocation::Final)
    } else {
        None
    })
}

/// Gives all part files exactly their content and synchronizes them. Returns the last one.
fn settle_all(found: &[Found], mode: u32) -> Result<Part> {
    let (current, sealed) = found.split_last().expect("a series has a piece");
    for piece in sealed {
        // From now on the file is only renamed or removed; the guard is its lock.
        settle(piece, mode)?.stays(true);
    }
    settle(current, mode)
}

fn settle(Found { path, place, content }: &Found, mode: u32) -> Result<Part> {
    let part = part_path(path);
    if matches!(place, ContentLocation::Part) {
        return Part::adopt(part, mode, *content);
    }
    let mut part = Part::create(part, mode)?;
    if matches!(place, ContentLocation::Final) {
        part.copy_from(path, Some(content))?;
    }
    part.seal()?;
    Ok(part)
}

/// Removes the pieces of a series that were published since its receipt.
fn unpublish(path: &Path, series: &Series) -> Result<()> {
    let file = piece_path(path, series.first);
    let failed = |error: io::Error| cannot_write(&file, &error);
    let length = match fs::symlink_metadata(&file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let content = series.pieces.first().expect("a series has a piece").content;
    if series.before == Some(length) || !content.is_surely_head_of(&file).map_err(failed)? {
        return Ok(());
    }
    if series.first > 0 {
        remove_series(series.first + 1, |number| piece_path(path, number))?;
    }
    match series.before {
        Some(length) => truncate(&file, length),
        None => disk::remove(&file).map_err(failed),
    }
}

/// Truncates a published file to the end of a report. A program that has it open sees complete reports before and
/// after.
fn truncate(path: &Path, length: u64) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    file.map(fs::File::from)
        .and_then(|file| disk::set_length(&file, length).and_then(|()| disk::sync_all(&file)))
        .map_err(|error| cannot_write(path, &error))
}

fn remove_series(first: u32, path: impl Fn(u32) -> PathBuf) -> Result<()> {
    disk::remove_series(first, path).map_err(|(path, error)| cannot_write(&path, &error))
}
