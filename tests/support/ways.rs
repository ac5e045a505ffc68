//! Ways between programs that lead through proxies, one for each program and each address that it connects to.
//!
//! The programs know each other by their real addresses, so a library in front of the system's leads their connections
//! elsewhere. It is made by the C compiler that the build needs anyway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::process::Setup;
use super::proxy::Proxy;

/// A proxy for each way from one program to another.
pub(crate) struct Ways {
    dir: TempDir,
    ways: Vec<(usize, usize, Proxy)>,
}

impl Ways {
    /// The ways between programs that listen at these addresses.
    pub(crate) fn between(addresses: &[SocketAddr]) -> Self {
        let dir = TempDir::new().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/ways.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([library(&dir), source.into()])
            .arg("-ldl")
            .status();
        assert!(made.unwrap().success(), "the library cannot be made");
        let mut ways = Vec::new();
        for from in 0..addresses.len() {
            for (to, address) in addresses.iter().enumerate().filter(|(to, _)| *to != from) {
                ways.push((from, to, Proxy::start(*address)));
            }
        }
        Self { dir, ways }
    }

    /// Leads what that program sends to the others, which listen at these addresses, through the proxies.
    pub(crate) fn lead(&self, from: usize, addresses: &[SocketAddr], setup: Setup) -> Setup {
        let own = self.ways.iter().filter(|(own, _, _)| *own == from);
        let own = own
            .map(|(_, to, proxy)| format!("{}={}", addresses[*to].port(), proxy.address().port()));
        let own = own.collect::<Vec<_>>().join(",");
        let library = library(&self.dir);
        setup
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("WAYS", &own)
    }

    /// The way from one program to another.
    pub(crate) fn way(&self, from: usize, to: usize) -> &Proxy {
        let mut ways = self.ways.iter();
        let way = ways.find(|(own, other, _)| (*own, *other) == (from, to));
        &way.unwrap().2
    }
}

fn library(dir: &TempDir) -> PathBuf {
    dir.path().join("ways.so")
}
