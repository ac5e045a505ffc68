//! The file with the key of the HMACs, in the directory of the log and never in the lake.

use std::io;
use std::path::{Path, PathBuf};

use super::request::{ErasureKey, hex_of};
use crate::checksum::crc32c;
use crate::files::{Files, create_dir_durably, read_whole, write_durably};
use crate::ids::Ids;

const HEAD: &str = "lakehook erasure key, format 1";
const MAX_BYTES: u64 = 1024;

/// Where the key is.
pub fn path_in(log_dir: &Path) -> PathBuf {
    log_dir.join("erasure.key")
}

/// Reads the key; `None` if there is none yet.
pub fn read<F: Files>(files: &F, log_dir: &Path) -> io::Result<Option<ErasureKey>> {
    let path = path_in(log_dir);
    let bytes = match read_whole(files, &path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    decode(&bytes).map(Some).ok_or_else(|| {
        let message = format!(
            "{} is damaged; with another key, notes of earlier erasures are not recognised",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// Reads the key, or makes one.
pub fn read_or_create<F: Files>(files: &F, log_dir: &Path, ids: &Ids) -> io::Result<ErasureKey> {
    if let Some(key) = read(files, log_dir)? {
        return Ok(key);
    }
    let key = draw(ids)?;
    create_dir_durably(files, log_dir, true)?;
    write_durably(files, &path_in(log_dir), encode(&key).as_bytes())?;
    Ok(key)
}

/// Makes a key.
pub fn draw(ids: &Ids) -> io::Result<ErasureKey> {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&ids.next_u128()?.to_le_bytes());
    key[16..].copy_from_slice(&ids.next_u128()?.to_le_bytes());
    Ok(ErasureKey(key))
}

/// The text of a key's file.
pub fn encode(key: &ErasureKey) -> String {
    let hex = hex_of(&key.0);
    let text = format!("{HEAD}\nkey = {hex}\n");
    format!("{text}crc32c = {:08x}\n", crc32c(text.as_bytes()))
}

/// Reads what [`encode`] wrote; `None` if it is damaged.
pub fn decode(bytes: &[u8]) -> Option<ErasureKey> {
    std::str::from_utf8(bytes).ok().and_then(parse)
}

fn parse(text: &str) -> Option<ErasureKey> {
    let (said, crc) = text.split_once("crc32c = ")?;
    if crc != format!("{:08x}\n", crc32c(said.as_bytes())) {
        return None;
    }
    let hex = said.strip_prefix(HEAD)?.trim().strip_prefix("key = ")?;
    let mut key = [0; 32];
    if hex.len() != 2 * key.len() || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(ErasureKey(key))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "the test damages a file"
    )]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::files::Disk;

    #[test]
    fn a_key_stays_the_same_is_private_and_is_not_replaced_when_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&Disk, dir.path()).unwrap().is_none());
        let key = read_or_create(&Disk, dir.path(), &Ids::System).unwrap();
        assert!(read_or_create(&Disk, dir.path(), &Ids::System).unwrap() == key);
        let path = path_in(dir.path());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[50] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(read_or_create(&Disk, dir.path(), &Ids::System).is_err());
    }
}
