//! A real file system of its own, in a file on a loop device: small, and its power can be cut.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::needs::Need;
use super::python;

/// An ext4 file system in a file, mounted.
pub(crate) struct Volume {
    directory: tempfile::TempDir,
    mounted: bool,
}

impl Volume {
    /// Makes and mounts one of this many MiB. `None` where that is impossible; the test is then skipped.
    pub(crate) fn new_or_skip(mib: u64) -> Option<Self> {
        let volume = Self::new(mib);
        if volume.is_none() {
            Need::LoopMounts.skip("this machine has no loop mounts for this user");
        }
        volume
    }

    fn new(mib: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let image = std::fs::File::create(directory.path().join("image")).unwrap();
        image.set_len(mib << 20).unwrap();
        std::fs::create_dir(directory.path().join("mount")).unwrap();
        let mut volume = Self {
            directory,
            mounted: false,
        };
        let image = volume.image();
        let made = run(
            "mkfs.ext4",
            &["-q", "-F", "-m", "0", image.to_str().unwrap()],
        );
        (made && volume.mount()).then_some(volume)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Mounts it again; `false` if that fails.
    pub(crate) fn mount(&mut self) -> bool {
        let (image, path) = (self.image(), self.path());
        self.mounted = run(
            "mount",
            &[
                "-o",
                "loop",
                image.to_str().unwrap(),
                path.to_str().unwrap(),
            ],
        );
        self.mounted
    }

    /// Cuts its power: what was not synced is gone, later I/O fails.
    pub(crate) fn cut(&self) {
        let mut cut = python::script("power_cut.py");
        assert!(
            cut.arg(self.path()).status().unwrap().success(),
            "the power cannot be cut"
        );
    }

    /// Unmounts it.
    pub(crate) fn unmount(&mut self) {
        assert!(
            run("umount", &[self.path().to_str().unwrap()]),
            "failed to unmount"
        );
        self.mounted = false;
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            run("umount", &["--lazy", self.path().to_str().unwrap()]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
