//! Detects plugin libraries that another user can replace. A library runs with the rights of the user who starts the
//! host. The file and every directory on its path must belong to that user or to root (CWE-427, CWE-732).
//!
//! The named path is followed component by component, including symbolic links. The owner of a link decides which
//! file is loaded, and so does every user who may write to a directory on the path.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Reason why it is unsafe to load a file.
#[derive(Debug)]
pub(super) enum Unsafe {
    /// Every user may write to this file or directory.
    WorldWritable(PathBuf),
    /// This file, link or directory belongs to another user, who may replace it.
    ForeignOwner(PathBuf, u32),
    /// A component of the path cannot be examined.
    Unreadable(io::Error),
}

/// Checks every component of the path `named`. Returns the files and directories that a group may write to, because
/// only the operator knows whether its members are trusted.
///
/// # Errors
/// The first file, link or directory that another user can change.
pub(super) fn check(named: &Path) -> Result<Vec<PathBuf>, Unsafe> {
    let mut walk = Walk { links: 0, group_writable: Vec::new() };
    let path = std::path::absolute(named).map_err(Unsafe::Unreadable)?;
    walk.follow(&path)?;
    Ok(walk.group_writable)
}

/// Another user who controls a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It belongs to the user with this ID, who is neither root nor the running user.
    Owner(u32),
    /// Every user may write to it.
    Everyone,
}

/// Whether another user can change the file or replace entries of the directory. Groups are not considered.
pub(crate) fn foreign_control(metadata: &fs::Metadata) -> Option<Foreign> {
    let user = metadata.uid();
    if user != 0 && user != rustix::process::geteuid().as_raw() {
        return Some(Foreign::Owner(user));
    }
    // The mode of a link has no effect.
    let is_writable = !metadata.is_symlink() && metadata.mode() & OTHERS_WRITE != 0;
    (is_writable && !is_sticky(metadata)).then_some(Foreign::Everyone)
}

/// Whether only the owner of an entry of this directory may replace it.
fn is_sticky(metadata: &fs::Metadata) -> bool {
    metadata.is_dir() && metadata.mode() & STICKY != 0
}

struct Walk {
    /// Symbolic links followed so far.
    links: u32,
    group_writable: Vec<PathBuf>,
}

/// Maximum number of links, as in the operating system.
const MAX_LINKS: u32 = 40;

const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

impl Walk {
    /// Follows an absolute path and returns its canonical path.
    fn follow(&mut self, path: &Path) -> Result<PathBuf, Unsafe> {
        let mut reached = PathBuf::new();
        for component in path.components() {
            match component {
                Component::CurDir => continue,
                Component::ParentDir => {
                    reached.pop();
                    continue;
                }
                Component::RootDir | Component::Prefix(_) | Component::Normal(_) => reached.push(component),
            }
            let metadata = fs::symlink_metadata(&reached).map_err(Unsafe::Unreadable)?;
            match foreign_control(&metadata) {
                Some(Foreign::Owner(user)) => return Err(Unsafe::ForeignOwner(reached, user)),
                Some(Foreign::Everyone) => return Err(Unsafe::WorldWritable(reached)),
                None => {}
            }
            if metadata.is_symlink() {
                reached = self.follow_link(&reached)?;
                continue;
            }
            let is_listed = self.group_writable.contains(&reached);
            let is_group_writable = metadata.mode() & GROUP_WRITE != 0 && metadata.gid() != 0;
            if is_group_writable && !is_sticky(&metadata) && !is_listed {
                self.group_writable.push(reached.clone());
            }
        }
        Ok(reached)
    }

    fn follow_link(&mut self, link: &Path) -> Result<PathBuf, Unsafe> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Unsafe::Unreadable(io::Error::other("too many symbolic links")));
        }
        let target = fs::read_link(link).map_err(Unsafe::Unreadable)?;
        let directory = link.parent().unwrap_or(Path::new("/"));
        self.follow(&directory.join(target))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `plugins/lib.so` in a private directory.
    fn library() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("plugins");
        fs::create_dir(&folder).unwrap();
        mode(&folder, 0o755);
        let file = folder.join("lib.so");
        fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        (root, file)
    }

    #[test]
    fn own_files_in_own_directories_are_safe() {
        let (_root, file) = library();
        assert!(check(&file).unwrap().is_empty());
    }

    #[test]
    fn world_writable_directory_above_the_plugin_directory_is_unsafe() {
        let (root, file) = library();
        mode(root.path(), 0o777);
        assert!(matches!(check(&file), Err(Unsafe::WorldWritable(path)) if path == root.path()));
        mode(root.path(), 0o1777);
        assert!(check(&file).is_ok(), "entries of a sticky directory belong to their owners");
    }

    #[test]
    fn link_in_a_world_writable_directory_is_unsafe() {
        let (root, file) = library();
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        mode(&open, 0o777);
        symlink(&file, open.join("lib.so")).unwrap();
        assert!(matches!(check(&open.join("lib.so")), Err(Unsafe::WorldWritable(path)) if path == open));
        // The named directory may be a link itself, and a link may lead through a third directory.
        symlink(&open, root.path().join("named")).unwrap();
        assert!(matches!(check(&root.path().join("named/lib.so")), Err(Unsafe::WorldWritable(_))));
        symlink(open.join("lib.so"), root.path().join("indirect.so")).unwrap();
        assert!(matches!(check(&root.path().join("indirect.so")), Err(Unsafe::WorldWritable(_))));
    }

    #[test]
    fn group_writable_files_and_directories_are_named() {
        let (_root, file) = library();
        mode(&file, 0o664);
        let expected = if fs::metadata(&file).unwrap().gid() == 0 { vec![] } else { vec![file.clone()] };
        assert_eq!(check(&file).unwrap(), expected);
    }

    #[test]
    fn files_links_and_directories_of_another_user_are_unsafe() {
        const NOBODY: u32 = 65534;
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "only root can give files away; run the tests as root");
            return;
        }
        let foreign = |path: &Path| matches!(check(path), Err(Unsafe::ForeignOwner(_, NOBODY)));
        let (root, file) = library();
        chown(&file, Some(NOBODY), None).unwrap();
        assert!(foreign(&file), "the file");
        chown(&file, Some(0), None).unwrap();
        assert!(check(&file).is_ok());
        let link = root.path().join("link.so");
        symlink(&file, &link).unwrap();
        assert!(check(&link).is_ok());
        lchown(&link, Some(NOBODY), None).unwrap();
        assert!(foreign(&link), "the link");
        chown(root.path(), Some(NOBODY), None).unwrap();
        assert!(foreign(&file), "a directory above");
        chown(file.parent().unwrap(), Some(65534), Some(65534)).unwrap();
        chown(root.path(), Some(0), None).unwrap();
        assert!(foreign(&file), "the plugin directory");
    }

    #[test]
    fn link_loop_is_rejected() {
        let (root, _) = library();
        let link = root.path().join("loop.so");
        symlink("loop.so", &link).unwrap();
        assert!(matches!(check(&link), Err(Unsafe::Unreadable(_))));
    }
}
