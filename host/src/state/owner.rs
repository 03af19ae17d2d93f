//! Who owns the saved state. Another user must not write it: its owner could then no longer open it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StateError;

/// Refuses the state of another user.
///
/// # Errors
/// With exit code 77, when this path belongs to another user.
pub(super) fn refuse_state_of_others(path: &Path) -> Result<(), StateError> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() == own { Ok(()) } else { Err(belongs_to(path, metadata.uid(), own)) }
}

/// The error of a file of the saved state that cannot be opened.
pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> StateError {
    let folder = path.parent().unwrap_or(path);
    match error.kind() {
        ErrorKind::PermissionDenied => {
            refuse_state_of_others(folder).err().unwrap_or_else(|| StateError::io(path, error))
        }
        _ => StateError::io(path, error),
    }
}

/// The name of a user, else the number.
#[must_use]
pub fn user_name(user: u32) -> String {
    name_in(&fs::read_to_string("/etc/passwd").unwrap_or_default(), user)
        .unwrap_or_else(|| format!("the user with ID {user}"))
}

fn name_in(passwd: &str, user: u32) -> Option<String> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut known = fields.filter_map(|fields| Some((*fields.first()?, fields.get(2)?.parse::<u32>().ok()?)));
    known.find(|(_, id)| *id == user).map(|(name, _)| name.to_owned())
}

fn belongs_to(path: &Path, owner: u32, own: u32) -> StateError {
    let (owner_name, own_name) = (user_name(owner), user_name(own));
    let hint = match (owner, own) {
        (0, _) => format!("root has run this pipeline; as root: chown -R {own} {}", path.display()),
        (_, 0) => {
            format!("use: runuser -u {owner_name} -- scanbridge …, or set another directory with --state-dir")
        }
        _ => format!("use: sudo -u {owner_name} -- scanbridge …, or set another directory with --state-dir"),
    };
    StateError {
        message: format!(
            "the saved state in {} belongs to {owner_name} (uid {owner}), and you are {own_name}",
            path.display()
        ),
        hint: Some(hint),
        exit_code: 77,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nscanbridge:x:994:994::/var/lib/scanbridge:/bin/false\nbad\n";
        assert_eq!(name_in(passwd, 994).as_deref(), Some("scanbridge"));
        assert_eq!(name_in(passwd, 7), None);
        let error = belongs_to(Path::new("/var/lib/scanbridge/p"), 0, 7);
        assert!(
            error.message.starts_with("the saved state in /var/lib/scanbridge/p belongs to root (uid 0)"),
            "{error}"
        );
        assert_eq!((error.exit_code, error.hint.unwrap().contains("chown -R 7")), (77, true));
    }
}
