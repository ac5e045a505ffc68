//! Replays that somebody asks for in the console: within the process that holds the log, one at a time, and never beside
//! an erasure or a replay of a command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::lakes::lake_of;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{ReplayRows, Replaying, WantedRows};
use crate::contract::EVENTS;
use crate::erase::notes;
use crate::ids::{Ids, NodeId};
use crate::lake::LakeError;
use crate::lake::reader::LakeReader;
use crate::replay::kept::{Kept, rows};
use crate::replay::marks::{Marking, Marks};
use crate::replay::owner::Replayer;
use crate::replay::talk::{MAX_CANDIDATES, MAX_RAW};
use crate::replay::{Candidate, ReplaySummary, RowsOf, Scope, Skip, node_of};

/// How often a mark is tried to be put, …
const MARK_TRIES: u32 = 5;
/// … and the pause between two attempts.
const MARK_PAUSE: Duration = Duration::from_secs(1);

/// What a replay needs.
struct Replays {
    config: Config,
    replayer: Replayer,
    turn: Arc<Semaphore>,
    scope: Scope,
    dir: PathBuf,
    node: NodeId,
}

/// Replays rows whenever the console asks for it. `turn` is that of replays by commands, and of erasures.
pub(super) fn replays(
    config: &Config,
    replayer: Replayer,
    turn: Arc<Semaphore>,
    node: NodeId,
) -> ReplayRows {
    let scope = Scope {
        stream: EVENTS.to_owned(),
        rows: RowsOf::Events,
        node: Some(node),
        other_nodes: false,
        hooks: config.hook.keys().cloned().collect(),
        hook_paths: super::for_people::hook_paths(config),
    };
    let replays = Arc::new(Replays {
        config: config.clone(),
        replayer,
        turn,
        scope,
        dir: config.wal.dir.clone(),
        node,
    });
    Box::new(move |wanted, step| -> Replaying {
        let replays = Arc::clone(&replays);
        Box::pin(async move { replays.run(wanted, &*step).await })
    })
}

/// A row on its way.
struct Sent {
    candidate: Candidate,
    node: NodeId,
    lsn: u64,
}

impl Replays {
    async fn run(
        &self,
        wanted: WantedRows,
        step: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<ReplaySummary, String> {
        let turn = self.turn.try_acquire();
        let _turn = turn.map_err(|_| "another replay is under way, or an erasure".to_owned())?;
        let place = LakeReader::open(self.config.lake.destination()).await;
        // Before anything is read of the quarantine.
        let erasures = notes::keys_of(&place).await.map_err(text)?;
        if let Some(key) = notes::unfinished_among(&erasures) {
            return Err(format!(
                "an erasure is not done ({key}): finish it with `lakehook erase` first"
            ));
        }
        let marks = Marks::read(&place).await.map_err(text)?;
        let (mut summary, mut marking) = (ReplaySummary::default(), Marking::default());
        let total = wanted.values().map(Vec::len).sum();
        let mut done = 0;
        let mut result = Ok(());
        for (key, lsns) in wanted {
            let kept = kept_of(&place, &key, lsns).await;
            let sent = kept.and_then(|kept| self.candidates(&key, kept, &marks, &mut summary));
            result = match sent {
                Ok((sent, skipped)) => {
                    done += skipped;
                    let mut told = |number: usize| {
                        done += number;
                        step(done, total);
                    };
                    self.send(
                        &place,
                        &erasures,
                        sent,
                        (&mut summary, &mut marking),
                        &mut told,
                    )
                    .await
                }
                Err(error) => Err(error),
            };
            if result.is_err() {
                break;
            }
        }
        // What was replayed before an error is marked, too.
        let marked = self.mark(marking).await;
        result?;
        marked.map_err(|error| {
            format!(
                "what was replayed is not marked: {error}; replayed again, it is found to be known"
            )
        })?;
        Ok(summary)
    }

    /// The candidates that rows make, and how many make none.
    fn candidates(
        &self,
        key: &str,
        kept: Vec<Kept>,
        marks: &Marks,
        summary: &mut ReplaySummary,
    ) -> Result<(Vec<Sent>, usize), String> {
        let of = node_of(key);
        let (mut sent, all) = (Vec::new(), kept.len());
        for row in kept {
            let candidate = if marks.of(of, row.lsn).is_some() {
                Err(Skip::Before)
            } else {
                self.scope.candidate(&row, of).map_err(text)?
            };
            match (candidate, of) {
                (Ok(candidate), Some(node)) => sent.push(Sent {
                    candidate,
                    node,
                    lsn: row.lsn,
                }),
                (Err(skip), _) => summary.skip(skip),
                (Ok(_), None) => summary.skip(Skip::OtherNode),
            }
        }
        let skipped = all - sent.len();
        Ok((sent, skipped))
    }

    /// Stores candidates page by page.
    async fn send(
        &self,
        place: &LakeReader,
        erasures: &[String],
        sent: Vec<Sent>,
        (summary, marking): (&mut ReplaySummary, &mut Marking),
        told: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), String> {
        let mut left = sent.into_iter().peekable();
        while left.peek().is_some() {
            let (mut page, mut bytes) = (Vec::new(), 0);
            while let Some(next) = left.peek()
                && page.len() < MAX_CANDIDATES
                && (page.is_empty() || bytes + next.candidate.raw.len() <= MAX_RAW)
            {
                bytes += next.candidate.raw.len();
                page.extend(left.next());
            }
            // What was read may hold what was erased since, by another node.
            if notes::keys_of(place).await.map_err(text)? != erasures {
                return Err("rows were erased meanwhile; replay again".to_owned());
            }
            let candidates: Vec<Candidate> =
                page.iter().map(|sent| sent.candidate.clone()).collect();
            let outcomes = self.replayer.page(&candidates).await?;
            for (sent, outcome) in page.iter().zip(outcomes) {
                if let Some(counts) = summary.add(outcome)
                    && marking.add(sent.node, sent.lsn, counts)
                {
                    self.mark(std::mem::take(marking)).await?;
                }
            }
            told(page.len());
        }
        Ok(())
    }

    /// Puts a mark for what was replayed into the lake.
    async fn mark(&self, mut marking: Marking) -> Result<(), String> {
        if marking.is_empty() {
            return Ok(());
        }
        let lake = lake_of(&self.config, &self.dir, Handle::current()).await;
        let (by, at) = (self.node, Clock::system().now().wall);
        let number = Ids::System.next().map_err(text)?;
        let put = tokio::task::spawn_blocking(move || {
            let mut tries = 0;
            loop {
                tries += 1;
                match lake
                    .probe()
                    .and_then(|()| marking.put(&lake, by, at, number))
                {
                    Err(LakeError::Retry { .. }) if tries < MARK_TRIES => {
                        std::thread::sleep(MARK_PAUSE);
                    }
                    put => return put,
                }
            }
        });
        put.await.map_err(text)?.map_err(text)
    }
}

/// The wanted rows of an object.
async fn kept_of(place: &LakeReader, key: &str, lsns: Vec<u64>) -> Result<Vec<Kept>, String> {
    let Some(bytes) = place.read(key).await.map_err(text)? else {
        return Ok(Vec::new());
    };
    let key = key.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut kept = Vec::new();
        rows(&key, bytes, &mut |row| {
            if lsns.binary_search(&row.lsn).is_ok() {
                kept.push(row);
            }
            true
        })?;
        Ok::<_, std::io::Error>(kept)
    });
    read.await.map_err(text)?.map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
