//! What stays the same over the life of a simulated world: its settings, its lake, its planted bug.

use std::time::Duration;

use lakehook::encode::Format;
use lakehook::wal::batch::Limits;
use lakehook::wal::lateness::Calendar;
use lakehook::wal::request::{Packing, Settings};

use crate::chance::Chance;
use crate::senders::{conflict_partition, conflict_row, object_key, partitions_of};
use crate::store::Proofs;
use crate::world::LAKE;

/// A bug that is planted between the parts, to see whether the simulation notices it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Planted {
    #[default]
    Nothing,
    /// Requests are acknowledged whatever the writer answers.
    EarlyAnswer,
    /// A batch is committed before it is put.
    EarlyCommit,
    /// A run's marker is put before all of its objects are there.
    EarlyMarker,
    /// Ids are forgotten before their window ends.
    ShortWindow,
    /// A segment is removed before its rows are in the lake.
    EarlyRemoval,
    /// The cursor of an appending poll is stored in a frame before its rows.
    CursorFirst,
    /// After a restart, ages count from the restart.
    AgeFromRestart,
    /// An event that is dated tomorrow has made tomorrow the current day.
    DayAsClaimed,
    /// The first section of a batch is in its object twice.
    CopiedTwice,
    /// What is copied for one section is another one.
    WrongPlace,
    /// A seal cuts a section before its last row.
    CutWrongly,
    /// A bit flips on the way from the log to the lake.
    FlippedBit,
    /// An object is compressed otherwise than its key says.
    CodecMixed,
    /// Whoever takes a replicated log over does not fold what is in it.
    BlindTakeover,
    /// Objects are put however long ago the owner has appended something.
    StaleOwner,
    /// Some nodes of a cluster send the rows of an id to another log than the others do.
    SplitOtherwise,
    /// A node that has no answer of an owner tells the sender that all is stored.
    LostIsStored,
    /// A node answers once the first log of several has stored its part.
    FirstAnswers,
    /// A node takes rows for which it was to get LSNs for stored.
    ReservedIsStored,
}

/// Where the journal of a world is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JournalKind {
    /// In files of a directory.
    #[default]
    Files,
    /// In memory.
    Memory,
    /// In an engine that several machines reach.
    Replica,
}

/// What stays the same over the life of a world.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) settings: Settings,
    pub(crate) directory: bool,
    pub(crate) journal: JournalKind,
    pub(crate) planted: Planted,
    /// Which checksums the object store compares and reports.
    pub(crate) proofs: Proofs,
    /// Whether the format of objects is another one at each start.
    pub(crate) changes_format: bool,
    /// Whether some senders pack their rows themselves, and only reserve LSNs.
    pub(crate) reserves: bool,
}

impl Shape {
    /// A small log, so that every event of its life happens often.
    pub(crate) fn small(directory: bool) -> Self {
        let lake = if directory {
            format!("dir:{LAKE}")
        } else {
            "s3://bucket".to_owned()
        };
        let settings = Settings {
            segment_bytes: 64 << 10,
            first_segment_bytes: 16 << 10,
            max_bytes: 4 << 20,
            dedup_window: 8000,
            max_ids: 100_000,
            filter_bytes: 16 << 10,
            ids_per_file: 100,
            limits: Limits {
                max_bytes: 8 << 10,
                max_records: 20,
                max_age: Duration::from_secs(30),
                late_max_age: Duration::from_secs(60),
                max_waiting_seals: 16,
            },
            calendar: Calendar::new(|time| partitions_of(time).to_vec()),
            lake,
            format: "ndjson".to_owned(),
            packing: None,
            object_key,
            conflict_row,
            conflict_partition,
        };
        Self {
            settings,
            directory,
            journal: JournalKind::Files,
            planted: Planted::Nothing,
            proofs: Proofs::default(),
            changes_format: false,
            reserves: false,
        }
    }

    /// The same for a replicated log, whose segments are so small that some are trimmed all the time.
    pub(crate) fn replicated(mut self, chance: &mut Chance) -> Self {
        self.journal = JournalKind::Replica;
        self.directory = false;
        self.settings.lake = Self::small(false).settings.lake;
        self.settings.segment_bytes = [2 << 10, 8 << 10, 64 << 10][chance.index(3)];
        self.settings.max_bytes = 4 << 20;
        let limits = &mut self.settings.limits;
        limits.max_bytes = limits.max_bytes.min(8 << 10);
        self
    }

    pub(crate) fn is_replicated(&self) -> bool {
        self.journal == JournalKind::Replica
    }

    /// A shape drawn at random.
    pub(crate) fn drawn(chance: &mut Chance) -> Self {
        let mut shape = Self::small(chance.percent(50));
        let settings = &mut shape.settings;
        settings.segment_bytes = [64 << 10, 64 << 10, 128 << 10, 256 << 10][chance.index(4)];
        settings.first_segment_bytes = [8 << 10, 32 << 10, 64 << 10][chance.index(3)];
        settings.dedup_window = [600, 1500, 8000][chance.index(3)];
        settings.ids_per_file = [10, 100, 1000][chance.index(3)];
        settings.max_bytes = [settings.segment_bytes * 6, 4 << 20][chance.index(2)];
        settings.limits.max_bytes = [2 << 10, 8 << 10, 40 << 10][chance.index(3)];
        settings.limits.max_records = [3, 20, 1000][chance.index(3)];
        settings.limits.max_age = Duration::from_secs([3, 30][chance.index(2)]);
        settings.limits.max_waiting_seals = [4, 16][chance.index(2)];
        shape.draw_format(chance);
        shape.changes_format = chance.percent(30);
        shape.reserves = chance.percent(50);
        shape.proofs = Proofs::ALL[chance.index(Proofs::ALL.len())];
        let limits = &mut shape.settings.limits;
        limits.late_max_age = limits.max_age * [1, 2, 10][chance.index(3)];
        shape
    }

    /// Draws the format of objects, and which sections are packed: with sizes so small that sections are
    /// packed, cut and left as they are.
    pub(crate) fn draw_format(&mut self, chance: &mut Chance) {
        let formats = ["ndjson", "ndjson.zst", "ndjson.zst", "ndjson.gz"];
        let format = formats[chance.index(formats.len())];
        let codec = Format::parse(format).unwrap().packed_with();
        self.settings.format = format.into();
        self.settings.packing = codec.map(|codec| Packing {
            codec,
            least_bytes: [0, 300, 2000][chance.index(3)],
            most_bytes: [500, 2000, 1 << 20][chance.index(3)],
        });
    }
}
