//! The proxy's switches, in front of a server that sends back what it gets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::proxy::{Mode, Proxy};

fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    stream
}

/// Sends these bytes and waits for them to come back.
fn exchange(mut stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back)?;
    assert_eq!(back, bytes);
    Ok(())
}

#[test]
fn bytes_pass_and_ends_pass() {
    let proxy = Proxy::start(echo());
    let mut stream = connect(&proxy);
    exchange(&stream, &vec![7; 1_000_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn refuse_is_for_new_connections_reset_for_all() {
    let proxy = Proxy::start(echo());
    let old = connect(&proxy);
    exchange(&old, b"x").unwrap();
    proxy.set(Mode::Refuse);
    assert!(exchange(&connect(&proxy), b"x").is_err());
    exchange(&old, b"x").unwrap();
    proxy.set(Mode::Reset);
    std::thread::sleep(Duration::from_millis(100));
    let error = (&old).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.set(Mode::Pass);
    exchange(&connect(&proxy), b"x").unwrap();
}

#[test]
fn a_stall_holds_bytes_until_it_ends() {
    let proxy = Proxy::start(echo());
    let stream = connect(&proxy);
    exchange(&stream, b"x").unwrap();
    proxy.set(Mode::Stall);
    let error = exchange(&stream, b"y").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    proxy.set(Mode::Pass);
    let mut back = [0];
    (&stream).read_exact(&mut back).unwrap();
    assert_eq!(&back, b"y");
}

#[test]
fn a_delay_delays_and_a_cut_cuts() {
    let proxy = Proxy::start(echo());
    let stream = connect(&proxy);
    proxy.delay(Duration::from_millis(50));
    let start = Instant::now();
    exchange(&stream, b"x").unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "a chunk waits on both ways"
    );
    proxy.delay(Duration::ZERO);
    proxy.cut_after(Some(1000));
    exchange(&connect(&proxy), &[1; 999]).unwrap();
    assert!(exchange(&connect(&proxy), &[1; 1001]).is_err());
    proxy.cut_after(None);
    exchange(&connect(&proxy), &[1; 1001]).unwrap();
}
