//! Listening sockets: one for each worker on the same address, so that the kernel spreads connections.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Address;

/// Connections that wait to be accepted, on each socket.
const BACKLOG: i32 = 4096;

/// A listening socket of one worker.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket: each worker has a handle of the same one.
    Unix(UnixListener),
}

/// An address that is listened on.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that the system chose.
    pub address: Address,
    /// A socket for each worker.
    pub sockets: Vec<Listening>,
    /// The file of a Unix socket, which is removed when this is dropped.
    pub file: Option<SocketFile>,
}

/// The file of a Unix socket; it is removed with this, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // What cannot be removed is found to be stale by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on an address with `count` sockets. With port 0 all share the port that the first one gets. `mode` is the
/// permissions of a Unix socket's file.
///
/// # Errors
/// When the address is in use, or cannot be bound.
pub fn bind(address: &Address, mode: u32, count: usize) -> io::Result<Bound> {
    match address {
        Address::Ip(address) => bind_ip(*address, count),
        Address::Unix(path) => bind_file(path, mode, count),
    }
}

/// Gives a Unix socket's file other permissions.
///
/// # Errors
/// What the system says.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// With `SO_REUSEPORT`, and yet refuses what another program listens on with it.
fn bind_ip(address: SocketAddr, count: usize) -> io::Result<Bound> {
    // Without SO_REUSEPORT the kernel refuses an address that somebody listens on; with it, it would silently share.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    drop(probe);
    let mut sockets = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        sockets.push(Listening::Tcp(listener));
    }
    Ok(Bound { address: Address::Ip(address), sockets, file: None })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_file(path: &Path, mode: u32, count: usize) -> io::Result<Bound> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    // Nobody can connect before `listen`, and so nobody does by other permissions than these.
    set_mode(path, mode)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(socket));
    let sockets = (0..count).map(|_| listener.try_clone().map(Listening::Unix)).collect::<io::Result<_>>()?;
    Ok(Bound { address: Address::Unix(path.to_owned()), sockets, file: Some(file) })
}

/// Removes the file of a socket on which nobody listens any more: it outlives a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    // One whose backlog is full must not hold gofe up.
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
