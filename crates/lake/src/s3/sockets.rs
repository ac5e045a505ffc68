//! Finds how many bytes of a connection still wait in this machine's kernel.
//!
//! A program that writes to a socket does not see when its bytes leave: the kernel takes megabytes
//! at once. On Linux, `/proc/net/tcp` says how many bytes of each connection the other side has not
//! confirmed. On other systems this is unknown.

use std::net::{IpAddr, SocketAddr};

/// Bytes of a connection that the other side has not confirmed; `None` if that is not known.
pub(super) fn unconfirmed_bytes(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let table = match local {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    find(&std::fs::read_to_string(table).ok()?, local, remote)
}

fn find(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let wanted = [written(local), written(remote)];
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = wanted.iter().all(|wanted| fields.next() == Some(wanted));
        let queues = is_it.then(|| fields.nth(1)).flatten()?;
        let (sent, _received) = queues.split_once(':')?;
        u64::from_str_radix(sent, 16).ok()
    })
}

/// Formats an address as the kernel does: words of 32 bits in the order of the machine, and the
/// port.
fn written(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let word: [u8; 4] = word.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(word))
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    /// The listener's side never reads, so what it does not confirm stays with us.
    fn stuck(address: &str) -> (TcpListener, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        while (&stream).write(&[0; 8192]).is_ok() {}
        (listener, stream)
    }

    #[test]
    fn bytes_that_nobody_reads_are_counted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (_listener, stream) = stuck(address);
            let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let waiting = unconfirmed_bytes(local, remote);
            assert!(waiting.is_some_and(|bytes| bytes > 0), "{waiting:?}");
            assert_eq!(unconfirmed_bytes(remote, remote), None);
        }
    }
}
