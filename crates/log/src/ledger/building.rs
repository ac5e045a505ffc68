//! The frame under construction.

use super::batch::SealReason;
use super::facts::Counts;
use super::frame::{FrameBuilder, Section};
use super::packed::SectionPacker;
use crate::journal::seam::At;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Identity, Lsn};

/// Bytes for the entries that may go into any frame: void LSNs, trim, counts.
pub(crate) const SLACK: usize = 1024;

/// Whether the current frame has room for a request or a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    NextFrame,
    Never,
}

/// The frame under construction, and what is undone if it fails or done once it is durable.
pub(crate) struct Building {
    pub(crate) frame: FrameBuilder,
    pub(crate) sections: Vec<Section>,
    /// Most bytes that the sections will take.
    pub(crate) pending_bytes: usize,
    pub(crate) counts: Counts,
    pub(crate) inserted: Vec<Identity>,
    pub(crate) sealed: Vec<(u64, At)>,
    pub(crate) reasons: Vec<SealReason>,
    /// The latest watermark that a seal in this frame publishes.
    pub(crate) watermark: Micros,
    /// Time of receipt of the request whose rows are being added; `i64::MAX` if there is none.
    pub(crate) appending: Micros,
    pub(crate) scratch: Vec<u8>,
    pub(crate) packer: SectionPacker,
    pub(crate) trimmed: bool,
    /// Whether it begins with all that the first frame of a segment begins with.
    pub(crate) begins: bool,
    /// Whether it is written even if nothing else is in it.
    pub(crate) proves: bool,
}

impl Building {
    pub(crate) fn new(first_lsn: Lsn) -> Self {
        Self {
            frame: FrameBuilder::new(first_lsn),
            sections: Vec::new(),
            pending_bytes: 0,
            counts: Counts::default(),
            inserted: Vec::new(),
            sealed: Vec::new(),
            reasons: Vec::new(),
            watermark: Micros(i64::MIN),
            appending: Micros(i64::MAX),
            scratch: Vec::new(),
            packer: SectionPacker::default(),
            trimmed: false,
            begins: false,
            proves: false,
        }
    }

    pub(crate) fn restart(&mut self, first_lsn: Lsn) {
        self.frame.restart(first_lsn);
        self.sections.iter_mut().for_each(Section::clear);
        self.pending_bytes = 0;
        self.counts = Counts::default();
        self.inserted.clear();
        self.sealed.clear();
        self.reasons.clear();
        self.watermark = Micros(i64::MIN);
        self.appending = Micros(i64::MAX);
        self.trimmed = false;
        self.begins = false;
        self.proves = false;
    }
}
