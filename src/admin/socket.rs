//! The admin socket: whoever the file system lets open it may change everything, and nobody else.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket, listening. Its file is removed when it is dropped, if it is still its own.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the admin socket `{}`", path.display())]
pub struct SocketError {
    /// Where it should have been.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl SocketError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                "another gateway listens there: stop it, or choose another path with `socket` in `[admin]`"
            }
            io::ErrorKind::AlreadyExists => {
                "something that is no socket stands there: move it away, or choose another path with `socket` in `[admin]`"
            }
            _ => {
                "choose a path of at most about 90 characters in a directory that the gateway may write, with `socket` in \
                  `[admin]`, or `socket = \"none\"`"
            }
        }
    }
}

impl AdminSocket {
    /// Opens it, mode 0600 from its first moment. What a gateway that is gone left behind is replaced; what a running one
    /// listens on is not.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let (listener, inode) = bind(path).map_err(|source| SocketError { path: path.to_owned(), source })?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path) -> io::Result<(UnixListener, u64)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        _ => {}
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    // A socket takes its mode from the process's mask. Made where nobody else can reach it, given its mode, and moved into
    // place, there is no moment in which another user could open it.
    let own = directory.join(format!(".admin-{}", std::process::id()));
    let _ = fs::remove_dir_all(&own);
    fs::DirBuilder::new().mode(0o700).create(&own)?;
    let made = (|| {
        let beside = own.join("s");
        let listener = UnixListener::bind(&beside)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&beside, path)?;
        Ok((listener, fs::symlink_metadata(path)?.ino()))
    })();
    let _ = fs::remove_dir_all(&own);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_open_it_and_it_goes_with_the_gateway() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(error.help().contains("another gateway"), "{}", error.help());
        drop(socket);
        assert!(!path.exists());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn what_a_killed_gateway_left_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).unwrap();
        // A successor's socket is not removed with ours.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody's notes").unwrap();
        drop(socket);
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(error.help().contains("move it away"), "{}", error.help());
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's notes");
    }
}
