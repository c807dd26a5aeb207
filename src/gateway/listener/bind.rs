//! Listening sockets: as many on one address as there are threads to accept from them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that the kernel holds for each socket until they are accepted. The kernel caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Binds `sockets` listening sockets on one address; the kernel spreads connections over them (`SO_REUSEPORT`).
///
/// With port 0 the first gets a free port and the others join it. They are non-blocking, and what is accepted from them
/// has `TCP_NODELAY` set, which Linux hands down. `[::]` also takes IPv4.
///
/// A port on which another process listens is in use (`AddrInUse`), also where that is a gateway of the same user, whose
/// sockets the kernel would let ours join: each of the two would then get a part of the clients and count them alone.
pub fn bind(address: SocketAddr, sockets: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        drop(bound(address, false)?);
    }
    let mut bound: Vec<TcpListener> = Vec::with_capacity(sockets);
    for _ in 0..sockets.max(1) {
        let address = match bound.first() {
            Some(first) => first.local_addr()?,
            None => address,
        };
        bound.push(bind_one(address)?);
    }
    Ok(bound)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that does not listen yet; one that shares no port cannot be bound where any other listens.
fn bound(address: SocketAddr, shares_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shares_port)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_share_one_free_port() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 3);
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn a_port_on_which_others_listen_is_in_use() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(bind(address, 2).unwrap().len(), 2, "free again at once");
    }

    #[test]
    fn an_accepted_connection_does_not_delay_small_answers() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
