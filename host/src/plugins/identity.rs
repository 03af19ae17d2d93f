//! Reads the identity of a plugin library from its file, without running its code.

use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ReadCache, ReadRef};
use scanbridge_plugin_api::abi::{ABI_MAJOR, ABILITIES, API, Identity, IdentityError, SECTION, TARGET};

use super::search::FilePermissionCheck;

/// Reason why a file is not loaded. The message is one sentence: file, plugin, problem, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The file is not a shared library for this system, or is truncated.
    #[error("{}: not a shared library, or truncated ({reason}); copy the file again", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// The error of the object file parser.
        reason: String,
    },
    /// The file is a shared library, but not a plugin.
    #[error(
        "{}: a shared library, but not a Scanbridge plugin; remove it from the plugin directory",
        path.display()
    )]
    NotAPlugin {
        /// The file.
        path: PathBuf,
    },
    /// The identity section is invalid or its records contradict each other.
    #[error("{}: {error}; rebuild the plugin with exactly one `export_plugin!`", path.display())]
    BadIdentity {
        /// The file.
        path: PathBuf,
        /// The problem.
        error: IdentityError,
    },
    /// The plugin was built for another platform.
    #[error(
        "{}: {plugin} was built for {target}, but this host runs on {TARGET}; install the build for \
         {TARGET}",
        path.display()
    )]
    WrongTarget {
        /// The file.
        path: PathBuf,
        /// The crate and version.
        plugin: String,
        /// The platform that it was built for.
        target: String,
    },
    /// The plugin was built for another major version of the plugin ABI.
    #[error(
        "{}: {plugin} was built for plugin ABI {abi}; this Scanbridge loads ABI {ABI_MAJOR}: {}",
        path.display(),
        if *abi > ABI_MAJOR {
            "update Scanbridge, or install an older release of the plugin".to_owned()
        } else {
            format!("rebuild it with scanbridge-plugin-api {ABI_MAJOR}, or install a newer release of the plugin")
        }
    )]
    WrongAbi {
        /// The file.
        path: PathBuf,
        /// The crate and version.
        plugin: String,
        /// The major ABI version that it was built for.
        abi: u32,
    },
    /// The plugin, or its complete library, requires an ability that this host lacks.
    #[error(
        "{}: {plugin} was built for a newer Scanbridge (needs {}); this one has plugin API {API}; update Scanbridge",
        path.display(),
        needs.join(", ")
    )]
    NeedsNewerHost {
        /// The file.
        path: PathBuf,
        /// The plugin (kind and name), or the crate and version.
        plugin: String,
        /// The abilities that are missing.
        needs: Vec<String>,
    },
    /// Any local user can replace the file.
    #[error(
        "{}: not loaded because {what} is world-writable; run `chmod o-w {what}`",
        path.display()
    )]
    WorldWritable {
        /// The file.
        path: PathBuf,
        /// The world-writable path: the file or its directory.
        what: String,
    },
    /// Another user may replace the file.
    #[error(
        "{}: not loaded because {what} belongs to user ID {user}, who could replace the plugin; it must belong to \
         root or to the user who runs this program",
        path.display()
    )]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// The file, link or directory.
        what: String,
        /// Its owner.
        user: u32,
    },
    /// FIPS mode is on, and the library does not declare that its cryptography is in a FIPS module.
    #[error(
        "{}: {plugin} has cryptography outside a FIPS module; install its FIPS build or set fips: off",
        path.display()
    )]
    OutsideFipsModule {
        /// The file.
        path: PathBuf,
        /// The crate and version.
        plugin: String,
    },
    /// The dynamic loader or the library's own initialization failed.
    #[error("{}: {plugin} cannot be loaded: {reason}", path.display())]
    NotLoadable {
        /// The file.
        path: PathBuf,
        /// The crate and version.
        plugin: String,
        /// The error.
        reason: String,
    },
}

impl Refusal {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotALibrary { path, .. }
            | Self::NotAPlugin { path }
            | Self::BadIdentity { path, .. }
            | Self::WrongTarget { path, .. }
            | Self::WrongAbi { path, .. }
            | Self::NeedsNewerHost { path, .. }
            | Self::WorldWritable { path, .. }
            | Self::ForeignOwner { path, .. }
            | Self::OutsideFipsModule { path, .. }
            | Self::NotLoadable { path, .. } => path,
        }
    }
}

/// Reads and checks the identity of the library at `path`, which was found as `named`.
///
/// # Errors
/// The reason why this host cannot load the file.
pub(super) fn read(path: &Path, named: &Path, check: FilePermissionCheck) -> Result<Identity, Refusal> {
    if check == FilePermissionCheck::OwnerOnly {
        refuse_replaceable(path, named)?;
    }
    let identity = identity_of(path)?;
    let plugin = format!("{} {}", identity.crate_name, identity.crate_version);
    if identity.target != TARGET {
        return Err(Refusal::WrongTarget { path: path.to_owned(), plugin, target: identity.target });
    }
    if identity.abi_major != ABI_MAJOR {
        return Err(Refusal::WrongAbi { path: path.to_owned(), plugin, abi: identity.abi_major });
    }
    let needs = missing(&identity.needs);
    if !needs.is_empty() {
        return Err(Refusal::NeedsNewerHost { path: path.to_owned(), plugin, needs });
    }
    Ok(identity)
}

/// Returns the abilities in `needs` that this host lacks.
pub(super) fn missing(needs: &[String]) -> Vec<String> {
    needs.iter().filter(|need| !ABILITIES.contains(&need.as_str())).cloned().collect()
}

fn identity_of(path: &Path) -> Result<Identity, Refusal> {
    let unreadable = |error| Refusal::Unreadable { path: path.to_owned(), error };
    let not_a_library =
        |error: object::Error| Refusal::NotALibrary { path: path.to_owned(), reason: error.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    // Reads only the required parts: a library with debug information may be large.
    let cache = ReadCache::new(file);
    let name = SECTION.rsplit(',').next().unwrap_or(SECTION);
    let range = match FileKind::parse(&cache).map_err(not_a_library)? {
        FileKind::Elf64 => elf_section(&cache, name),
        _ => object::File::parse(&cache).map(|object| {
            object.section_by_name(name).map(|section| section.file_range().unwrap_or_default())
        }),
    };
    let (offset, size) =
        range.map_err(not_a_library)?.ok_or_else(|| Refusal::NotAPlugin { path: path.to_owned() })?;
    let invalid_identity = |error| Refusal::BadIdentity { path: path.to_owned(), error };
    // Checked before reading: a sparse file can really have a section of the size in its header.
    if size > Identity::MOST_BYTES as u64 {
        return Err(invalid_identity(IdentityError::TooLarge));
    }
    let section = (&cache).read_bytes_at(offset, size);
    let section = section.map_err(|()| Refusal::NotALibrary {
        path: path.to_owned(),
        reason: "the identity section is outside the file".to_owned(),
    })?;
    Identity::parse(section).map_err(invalid_identity)
}

/// Offset and size of a section of an ELF file. Reads only the table of sections; `object::File` would also read all
/// symbols.
fn elf_section(cache: &ReadCache<File>, name: &str) -> object::Result<Option<(u64, u64)>> {
    let header = FileHeader64::<Endianness>::parse(cache)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, cache)?;
    let section = sections.section_by_name(endian, name.as_bytes());
    Ok(section.map(|(_, section)| section.file_range(endian).unwrap_or_default()))
}

#[cfg(unix)]
fn refuse_replaceable(path: &Path, named: &Path) -> Result<(), Refusal> {
    use super::ownership::{self, Unsafe};
    let path = path.to_owned();
    let group_writable = ownership::check(named).map_err(|error| match error {
        Unsafe::WorldWritable(what) => {
            Refusal::WorldWritable { path: path.clone(), what: what.display().to_string() }
        }
        Unsafe::ForeignOwner(what, user) => {
            Refusal::ForeignOwner { path: path.clone(), what: what.display().to_string(), user }
        }
        Unsafe::Unreadable(error) => Refusal::Unreadable { path: path.clone(), error },
    })?;
    if let Some(what) = group_writable.first() {
        tracing::warn!(
            "{}: {} is group-writable: every member of its group can replace the plugin; run `chmod g-w {}`",
            path.display(),
            what.display(),
            what.display()
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_replaceable(_: &Path, _: &Path) -> Result<(), Refusal> {
    Ok(())
}
