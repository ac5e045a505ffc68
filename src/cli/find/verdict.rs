//! What became of an event, in one word.

use serde::Serialize;

use crate::find::{FoundRow, Search, UnreadIdFile};
use crate::quarantine::Reason;
use crate::receive::recall::{Recalled, RecalledRequest, Share};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Stored,
    Duplicate,
    Dropped,
    Refused,
    Quarantined,
    /// A request whose events became different things, or an event that was stored now or before.
    Accepted,
    /// Nothing is known of it, and everything was looked into.
    Unknown,
    /// Nothing is known of it, but not everything was looked into, or could be read.
    Undecided,
}

/// What the id files of the log say.
#[derive(Debug, Default)]
pub(super) struct FromIdFiles {
    /// Whether they have it; nothing if there are none, if they were not asked, or if that cannot be told.
    pub(super) has_it: Option<bool>,
    /// Those that cannot be read.
    pub(super) unread: Vec<UnreadIdFile>,
}

/// What became of it, as the service, the id files and the lake say.
pub(super) fn verdict(
    recalled: Option<&Recalled>,
    from_files: &FromIdFiles,
    found: &Search,
) -> Verdict {
    if let Some(request) =
        recalled.and_then(|recalled| recalled.accepted.first().filter(|_| recalled.is_request))
    {
        return of_request(request);
    }
    if found.has_stored() {
        return Verdict::Stored;
    }
    let recalled = recalled.filter(|recalled| !recalled.is_nothing());
    match recalled {
        Some(recalled) if !recalled.accepted.is_empty() => {
            match recalled.share(recalled.accepted.len() - 1, None) {
                Share::Stored => Verdict::Stored,
                Share::Duplicate => Verdict::Duplicate,
                Share::Conflict => Verdict::Quarantined,
                Share::Unclear | Share::Whole => Verdict::Accepted,
            }
        }
        _ if found.rows.iter().any(is_copy_of_request) => Verdict::Refused,
        _ if !found.rows.is_empty() => Verdict::Quarantined,
        Some(_) => Verdict::Refused,
        None if from_files.has_it == Some(true) => Verdict::Accepted,
        None if found.has_gaps() || !from_files.unread.is_empty() => Verdict::Undecided,
        None => Verdict::Unknown,
    }
}

/// Whether a row is the copy of a request that was refused as a whole.
fn is_copy_of_request(row: &FoundRow) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(&row.row).ok();
    let refused = Reason::RefusedRequest.as_str();
    row.is_refused() && value.is_some_and(|value| value["reason"] == refused)
}

/// What became of all events of a request.
fn of_request(request: &RecalledRequest) -> Verdict {
    let all = request.events();
    let kinds = [
        (request.accepted, Verdict::Stored),
        (request.duplicates, Verdict::Duplicate),
        (request.dropped, Verdict::Dropped),
        (request.quarantined, Verdict::Quarantined),
    ];
    let kind = kinds
        .into_iter()
        .find(|(number, _)| *number == all && all > 0);
    kind.map_or(Verdict::Accepted, |(_, verdict)| verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::{UnreadObject, UnreadPart};

    fn unread(part: UnreadPart) -> Search {
        let unread = UnreadObject {
            key: "events/a".to_owned(),
            part,
            why: "damaged".to_owned(),
        };
        Search {
            unread: vec![unread],
            ..Search::default()
        }
    }

    #[test]
    fn nobody_denies_what_could_not_be_looked_into() {
        let nothing = FromIdFiles::default();
        let of = |from_files: &FromIdFiles, found: &Search| verdict(None, from_files, found);
        assert_eq!(of(&nothing, &Search::default()), Verdict::Unknown);
        let cut = Search {
            is_cut: true,
            ..Search::default()
        };
        assert_eq!(of(&nothing, &cut), Verdict::Undecided);
        assert_eq!(of(&nothing, &unread(UnreadPart::Rows)), Verdict::Undecided);
        // What has no filters is read.
        assert_eq!(of(&nothing, &unread(UnreadPart::Filters)), Verdict::Unknown);
        let damaged = FromIdFiles {
            has_it: None,
            unread: vec![UnreadIdFile {
                path: "1.ids".into(),
                why: "damaged".to_owned(),
            }],
        };
        assert_eq!(of(&damaged, &Search::default()), Verdict::Undecided);
        let known = FromIdFiles {
            has_it: Some(true),
            ..damaged
        };
        assert_eq!(of(&known, &cut), Verdict::Accepted);
    }
}
