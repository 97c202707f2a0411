//! Binds the listeners, and hands them to the HTTP room.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::AppError;
use super::callers::Callers;
use crate::config::{ListenerSettings, Place};
use crate::http::{Bind, EdgeLimits, Listen, Planes};

/// Listeners that are bound, in the order of the settings.
pub(super) struct Bound {
    binds: Vec<Bind>,
    /// Where the first of them on TCP listens.
    pub(super) address: Option<SocketAddr>,
}

/// Binds every listener, or none.
pub(super) fn bind(listeners: &[ListenerSettings]) -> Result<Bound, AppError> {
    let mut bound = Bound { binds: Vec::new(), address: None };
    for listener in listeners {
        let refused = |error: io::Error| AppError::Listen { listen: listener.at.clone(), error };
        bound.binds.push(match &listener.at {
            Place::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address).map_err(refused)?;
                bound.address = bound.address.or(Some(socket.local_addr().map_err(refused)?));
                Bind::Tcp(socket)
            }
            Place::Unix { path, mode } => Bind::Unix(socket(path, *mode).map_err(refused)?),
        });
    }
    Ok(bound)
}

/// A socket with these permissions. One that a server left behind is taken away; one that somebody answers at is not, and neither is a file.
/// It gets its permissions before anybody can find it under its name.
fn socket(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => left_behind(path)?,
        Ok(_) => return Err(io::Error::other("there is a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(format!(".{}", std::process::id()));
    let unnamed = Path::new(&unnamed);
    let _ = std::fs::remove_file(unnamed);
    let listener = UnixListener::bind(unnamed)?;
    std::fs::set_permissions(unnamed, std::fs::Permissions::from_mode(mode))?;
    std::fs::rename(unnamed, path)?;
    Ok(listener)
}

/// Sees that nobody answers at a socket. Only a refused connection says so: one that is not let in, finds a socket of another kind, or would
/// have to wait in line has found somebody.
fn left_behind(path: &Path) -> io::Result<()> {
    let asking = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // a server that takes no connections lets one wait without an end
    asking.set_nonblocking(true)?;
    match asking.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The listeners as the HTTP room takes them.
pub(super) fn listens(listeners: &[ListenerSettings], bound: Bound, callers: &Callers, limits: &EdgeLimits) -> Vec<Listen> {
    let each = listeners.iter().zip(bound.binds).zip(callers.doors());
    let listen = each.map(|((listener, at), door)| Listen {
        name: listener.name.clone(),
        at,
        tls: door.tls.clone(),
        accepts: door.accepts.clone(),
        planes: Planes { check: listener.check, control: listener.control },
        grpc_reflection: listener.grpc_reflection,
        limits: limits.clone(),
    });
    listen.collect()
}
