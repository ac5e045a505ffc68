//! The report of `lakehook find`: the verdict, and what it rests on.

use serde::Serialize;
use serde_json::value::RawValue;

use super::verdict::{FromIdFiles, Verdict, verdict};
use crate::find::{FoundRow, Search, UnreadPart};
use crate::lake::keys::holder_of;
use crate::receive::recall::{Recalled, Share};

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) id: String,
    pub(super) verdict: Verdict,
    pub(super) rows: Vec<ReportedRow>,
    pub(super) requests: Vec<ReportedRequest>,
    pub(super) refusals: Vec<ReportedRefusal>,
    pub(super) service: Option<ReportedService>,
    /// Whether the id files of the log have it; nothing if there are none, if they were not asked, or if that cannot be
    /// told because some cannot be read.
    pub(super) in_id_files: Option<bool>,
    pub(super) lake: ReportedLake,
    /// What could not be read.
    pub(super) unread: Vec<ReportedUnread>,
}

/// What could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnreadKind {
    /// Some or all of the rows of an object, so that it may be in there.
    Rows,
    /// The filters of an object, which is read whole instead.
    Filters,
    /// An id file, so that the node may have received it.
    IdFile,
}

#[derive(Serialize)]
pub(super) struct ReportedUnread {
    pub(super) kind: UnreadKind,
    /// The key of the object, or the path of the file.
    pub(super) name: String,
    pub(super) why: String,
}

#[derive(Serialize)]
pub(super) struct ReportedRow {
    pub(super) lsn: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    pub(super) key: String,
    /// The place of the row in the object, from 1.
    pub(super) place: u64,
    pub(super) quarantined: bool,
    pub(super) row: Box<RawValue>,
}

#[derive(Serialize)]
pub(super) struct ReportedRequest {
    pub(super) received_at: String,
    pub(super) client: Option<String>,
    /// What it did with the event.
    pub(super) event: &'static str,
    pub(super) stored: u32,
    pub(super) duplicates: u32,
    pub(super) dropped: u32,
    pub(super) quarantined: u32,
}

#[derive(Serialize)]
pub(super) struct ReportedRefusal {
    pub(super) at: String,
    pub(super) client: Option<String>,
    pub(super) endpoint: String,
    pub(super) status: u16,
    pub(super) why: String,
}

#[derive(Serialize)]
pub(super) struct ReportedService {
    pub(super) requests: u64,
    pub(super) remembered: u64,
}

#[derive(Serialize)]
pub(super) struct ReportedLake {
    pub(super) objects: usize,
    /// Objects that cannot have it, as their filters or the id files of the log say.
    pub(super) ruled_out: usize,
    pub(super) looked_into: usize,
    /// Objects that were not looked into, because nothing more was needed or there are too many.
    pub(super) left: usize,
    pub(super) is_cut: bool,
}

/// All that is known of an id.
pub(super) fn report(
    id: &str,
    recalled: Option<&Recalled>,
    from_files: &FromIdFiles,
    found: Search,
) -> Report {
    let left = found.of - found.objects - found.ruled_out;
    Report {
        id: id.to_owned(),
        verdict: verdict(recalled, from_files, &found),
        in_id_files: from_files.has_it,
        requests: recalled
            .map(|recalled| requests(recalled, &found))
            .unwrap_or_default(),
        refusals: recalled.map(refusals).unwrap_or_default(),
        service: recalled.map(|recalled| ReportedService {
            requests: recalled.requests,
            remembered: recalled.remembered,
        }),
        lake: ReportedLake {
            objects: found.of,
            ruled_out: found.ruled_out,
            looked_into: found.objects,
            left,
            is_cut: found.is_cut,
        },
        unread: unread(from_files, &found),
        rows: found.rows.into_iter().map(reported_row).collect(),
    }
}

fn unread(from_files: &FromIdFiles, found: &Search) -> Vec<ReportedUnread> {
    let objects = found.unread.iter().map(|unread| ReportedUnread {
        kind: match unread.part {
            UnreadPart::Rows => UnreadKind::Rows,
            UnreadPart::Filters => UnreadKind::Filters,
        },
        name: unread.key.clone(),
        why: unread.why.clone(),
    });
    let files = from_files.unread.iter().map(|unread| ReportedUnread {
        kind: UnreadKind::IdFile,
        name: unread.path.display().to_string(),
        why: unread.why.clone(),
    });
    objects.chain(files).collect()
}

fn requests(recalled: &Recalled, found: &Search) -> Vec<ReportedRequest> {
    let requests = recalled.accepted.iter().enumerate();
    requests
        .map(|(at, request)| {
            let time = request.received_at().to_string();
            let stored = found.rows.iter().filter(|row| !row.is_refused());
            let stores_it = stored
                .map(|row| row.row.contains(&time))
                .reduce(|a, b| a || b);
            ReportedRequest {
                event: match recalled.share(at, stores_it) {
                    Share::Whole => "request",
                    Share::Stored => "stored",
                    Share::Duplicate => "duplicate",
                    Share::Conflict => "conflict",
                    Share::Unclear => "stored or duplicate",
                },
                received_at: time,
                client: request.client.map(|client| client.to_string()),
                stored: request.accepted,
                duplicates: request.duplicates,
                dropped: request.dropped,
                quarantined: request.quarantined,
            }
        })
        .collect()
}

fn refusals(recalled: &Recalled) -> Vec<ReportedRefusal> {
    let refused = recalled.refused.iter();
    refused
        .map(|refused| ReportedRefusal {
            at: refused.at().to_string(),
            client: refused.client.map(|client| client.to_string()),
            endpoint: refused.endpoint.clone(),
            status: refused.status,
            why: refused.why.clone(),
        })
        .collect()
}

fn reported_row(row: FoundRow) -> ReportedRow {
    ReportedRow {
        quarantined: row.is_refused(),
        node: holder_of(&row.key).map(|(node, _)| node.to_string()),
        lsn: row.lsn,
        batch: row.batch,
        place: row.place,
        row: RawValue::from_string(row.row).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        key: row.key,
    }
}
