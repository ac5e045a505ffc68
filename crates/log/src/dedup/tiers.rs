//! Dedup in two tiers: the newest identities in memory, those of closed segments in files.
//!
//! The newest ids of the window are never forgotten: before memory forgets an identity, it is in a
//! file. So the current segment and the closed segments without a file must together have no more
//! identities than memory keeps.

use super::archive::Archive;
use super::recent::{Known, RecentIds};
use lakehook_base::clock::{Micros, Now};
use lakehook_base::files::Files;
use lakehook_base::record::Identity;

/// Both tiers of a log's dedup.
pub(crate) struct Dedup<F: Files> {
    recent: RecentIds,
    archive: Archive<F>,
}

impl<F: Files> Dedup<F> {
    pub(crate) fn new(recent: RecentIds, archive: Archive<F>) -> Self {
        Self { recent, archive }
    }

    /// The tier in files.
    pub(crate) fn archive(&self) -> &Archive<F> {
        &self.archive
    }

    /// The tier in files.
    pub(crate) fn archive_mut(&mut self) -> &mut Archive<F> {
        &mut self.archive
    }

    /// Prefetches what lookups of these identities will read, so that the processor waits for
    /// memory only once.
    pub(crate) fn look_ahead(&self, identities: impl Iterator<Item = Identity> + Clone) {
        self.recent.look_ahead(identities.clone());
        let lookup = self.archive.lookup();
        if !lookup.is_empty() {
            lookup.look_ahead(identities);
        }
    }

    /// Looks an identity up in both tiers, and inserts it if it is new.
    fn insert(&mut self, identity: Identity) -> Known {
        let archive = &self.archive;
        let older = || archive.lookup().content_of(identity.tag);
        self.recent.insert_unless(identity, older)
    }

    /// Like [`Self::insert`], unless the record is known by its former identity.
    pub(crate) fn insert_unless(&mut self, identity: Identity, former: Option<&Identity>) -> Known {
        if former.is_some_and(|former| self.knows(*former)) {
            return Known::Duplicate;
        }
        self.insert(identity)
    }

    /// Whether either tier has an identity; changes nothing.
    pub(crate) fn knows(&self, identity: Identity) -> bool {
        let content = self.recent.content_of(identity.tag);
        let content = content.or_else(|| self.archive.lookup().content_of(identity.tag));
        content == Some(identity.content)
    }

    /// Adds an identity that recovery reads from the log.
    pub(crate) fn see(&mut self, identity: Identity) {
        self.recent.insert(identity);
        self.archive.see(identity);
    }

    /// Removes the newest identities, which did not become durable, and empties the list.
    pub(crate) fn take_back(&mut self, identities: &mut Vec<Identity>) {
        self.recent.take_back(identities);
        identities.clear();
    }

    /// Hands the identities of a durable frame to the archive, and empties the list.
    pub(crate) fn settle(&mut self, identities: &mut Vec<Identity>, newest_received: Micros) {
        self.archive.add(identities, newest_received);
        // The number is not checked: the request that fills the share may bring as many as a frame
        // holds.
        debug_assert!(identities.is_empty(), "the archive takes all of them");
    }

    /// A quarter of the identities that memory never forgets. The current segment may have one
    /// share, the segment that was just closed another, and earlier ones without a file a third.
    /// The fourth is for frames that exceed a share.
    fn share_of_window(&self) -> u64 {
        u64::from(self.recent.window()) / 4
    }

    /// Whether the current segment has its share of identities, so that another one must begin.
    pub(crate) fn has_enough(&self) -> bool {
        self.archive.active() >= self.share_of_window()
    }

    /// Whether closed segments have at most `shares` shares of identities in no file. Waits for the
    /// helper if it is behind; `false` if it cannot write.
    pub(crate) fn keep_up(&mut self, shares: u64, now: Now) -> bool {
        let most = shares * self.share_of_window();
        self.archive.keep_up(most, now)
    }
}
