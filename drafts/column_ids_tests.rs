
#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test that fails may panic, and writes files"
    )]

    use std::collections::BTreeSet;

    use super::*;
    use crate::directory::Directory;
    use lakehook_base::files::Disk;

    fn lake(dir: &std::path::Path) -> Lake<Disk> {
        Lake::Directory(Directory::new(Disk, dir))
    }

    #[test]
    fn nodes_give_a_column_the_same_id_and_no_id_twice() {
        let dir = tempfile::tempdir().unwrap();
        let assign = |node: u64, stream: &str, columns: &[&str]| {
            let columns = columns.iter().copied();
            assign(&Disk, &lake(dir.path()), NodeId(node), stream, columns).unwrap()
        };
        let first = assign(1, "events", &["lsn", "p_a"]);
        assert_eq!(first, ColumnIds::from([("lsn".into(), 1), ("p_a".into(), 2)]));
        let other = assign(2, "events", &["lsn", "p_b"]);
        assert_eq!((other["lsn"], other["p_b"]), (1, 3));
        // A column that was left out for a while still has its id, and nobody else has it.
        let again = assign(1, "events", &["p_a", "p_c"]);
        assert_eq!((again["p_a"], again["p_b"], again["p_c"]), (2, 3, 4));
        assert_eq!(assign(3, "quarantine/events", &["lsn"])["lsn"], 1);
        assert_eq!(read(&lake(dir.path()), "events").unwrap().0, 3);
        assert_eq!(assign(2, "events", &["lsn", "p_b"]), again);
        assert_eq!(read(&lake(dir.path()), "events").unwrap().0, 3, "nothing is new");
    }

    #[test]
    fn nodes_may_come_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let of_node = |node: u64| {
            let path = dir.path();
            move || {
                let lake = lake(path);
                (0..12)
                    .map(|n| {
                        let columns = ["all".to_owned(), format!("of_{node}_{n}"), format!("both_{n}")];
                        let columns = columns.iter().map(String::as_str);
                        assign(&Disk, &lake, NodeId(node), "events", columns).unwrap()
                    })
                    .collect::<Vec<_>>()
            }
        };
        let mut seen: Vec<ColumnIds> = std::thread::scope(|scope| {
            let threads = [1, 2, 3].map(|node| scope.spawn(of_node(node)));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let (_, newest) = read(&lake(dir.path()), "events").unwrap();
        seen.push(newest.clone());
        assert_eq!(newest.len(), 1 + 3 * 12 + 12);
        let ids: BTreeSet<i32> = newest.values().copied().collect();
        assert_eq!(ids.len(), newest.len(), "no id has two columns");
        for ids in seen {
            assert!(ids.iter().all(|(name, id)| newest[name] == *id), "{ids:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(column_ids_key("events", 1));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "<html>").unwrap();
        let assigned = assign(&Disk, &lake(dir.path()), NodeId(1), "events", ["lsn"].into_iter());
        assert!(matches!(assigned, Err(LakeError::Retry { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"<html>");
    }
}
