//! Who the worker is: an instance that survives restarts, and a session that does not.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use binnacle_boot::ids;
use binnacle_proto::scheduler::v1::Hello;
use uuid::Uuid;

const FILE: &str = "operations-instance";

/// Why the worker has no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is in use by another operations service; give each its own data directory")]
    InUse { path: PathBuf },
    #[error("the instance id cannot be kept in {path}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// The instance, for as long as its file is locked.
pub(crate) struct Identity {
    instance: Uuid,
    session: Uuid,
    _lock: File,
}

impl Identity {
    /// Takes the identity kept in `directory`, or makes one there, and keeps others from it.
    pub(crate) fn take(directory: &Path, session: Uuid) -> Result<Self, Error> {
        let path = directory.join(FILE);
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(io)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let instance = kept(&mut file).map_err(io)?;
        Ok(Self {
            instance,
            session,
            _lock: file,
        })
    }

    /// How the worker introduces itself, before it holds anything.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            instance_id: self.instance.to_string(),
            session_id: self.session.to_string(),
            held_operation_ids: Vec::new(),
        }
    }
}

/// The id in `file`; a new one where a crash left none that can be read.
fn kept(file: &mut File) -> std::io::Result<Uuid> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if let Ok(instance) = text.trim().parse() {
        return Ok(instance);
    }
    let instance = ids::v4();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{instance}")?;
    file.sync_all()?;
    Ok(instance)
}
