//! `lakehook find` in a bucket: what rules objects out, what is read, and what is said of what cannot be read.

use serde_json::{Value, json};

use super::find::{bucket, find, new_in, send, write_ids};
use super::said;
use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, id};
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server, with_keys};
use lakehook::find::{SearchLimits, Sought, search};
use lakehook::lake::calendar::ListedObject;
use lakehook::lake::destination::Destination;
use lakehook::lake::reader::LakeReader;
use lakehook::lake::s3::{Endpoint, Location, ObjectOptions};

/// Sends each of these clicks in a life of its own, so that each is in an object of its own. Returns the keys of the
/// objects, in the order of the clicks.
fn in_objects_of_their_own(setup: &Setup, server: &S3Server, numbers: &[u64]) -> Vec<String> {
    let mut keys = Vec::new();
    for number in numbers {
        let program = setup.start();
        assert_eq!(send(setup, "r", &body(&[click(*number)])), 200);
        assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
        let mut new = server.keys("events/");
        new.retain(|key| !keys.contains(key));
        assert_eq!(new.len(), 1, "one object more than {keys:?}");
        keys.append(&mut new);
    }
    keys
}

/// Puts what is left of an object in its place.
fn damage(server: &S3Server, key: &str, left: &[u8]) {
    let metadata = server.object(key).unwrap().metadata;
    server.put_foreign(key, left.to_vec(), metadata);
}

fn unread<'f>(found: &'f Value, kind: &str) -> Vec<&'f str> {
    let unread = found["unread"].as_array().unwrap().iter();
    unread
        .filter(|unread| unread["kind"] == kind)
        .map(|unread| unread["name"].as_str().unwrap())
        .collect()
}

/// Filters lead to a row, and rule objects out. An object that is damaged is named, and nobody says that it has nothing.
#[test]
fn filters_of_a_bucket_are_asked_and_damaged_objects_are_named() {
    let server = S3Server::start(93);
    let setup = new_in(&bucket(&server), "parquet");
    let keys = in_objects_of_their_own(&setup, &server, &[1, 2, 3]);
    let found = find(&setup, &id(2), &["--lake-only"]);
    assert_eq!(found["verdict"], "stored", "{found}");
    assert_eq!(found["rows"][0]["key"], keys[1], "{found}");
    let nowhere = find(&setup, &id(99), &["--lake-only"]);
    assert_eq!(
        (
            &nowhere["verdict"],
            &nowhere["lake"]["ruled_out"],
            &nowhere["unread"]
        ),
        (&json!("unknown"), &json!(3), &json!([])),
        "{nowhere}"
    );
    let whole = server.object(&keys[0]).unwrap().bytes;
    damage(&server, &keys[0], &whole[..whole.len() / 2]);
    let undecided = find(&setup, &id(99), &["--lake-only"]);
    assert_eq!(undecided["verdict"], "undecided", "{undecided}");
    assert_eq!(unread(&undecided, "filters"), [&keys[0]], "{undecided}");
    assert_eq!(unread(&undecided, "rows"), [&keys[0]], "{undecided}");
    assert_eq!(undecided["lake"]["ruled_out"], 2, "{undecided}");
    let text = said(&setup.run(&["find", &id(99), "--lake-only"]));
    assert!(
        text.contains("it may be there all the same") && text.contains(&format!("  {}: ", keys[0])),
        "{text}"
    );
    assert!(text.ends_with("exit code 1"), "{text}");
    // What is in another object is found all the same.
    let found = find(&setup, &id(3), &["--lake-only"]);
    assert_eq!(found["verdict"], "stored", "{found}");
}

/// A row before the place at which an object of lines is damaged is found; what is behind it may be anything.
#[test]
fn lines_of_a_bucket_are_read_up_to_their_damage() {
    let server = S3Server::start(94);
    let setup = new_in(&bucket(&server), "ndjson");
    let program = setup.start();
    assert_eq!(send(&setup, "r", &body(&[click(1), click(2)])), 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let key = server.keys("events/").remove(0);
    let whole = server.object(&key).unwrap().bytes;
    damage(&server, &key, &whole[..whole.len() - 20]);
    let look = |number| find(&setup, &id(number), &["--lake-only"]);
    assert_eq!(look(1)["verdict"], "stored");
    let undecided = look(2);
    assert_eq!(undecided["verdict"], "undecided", "{undecided}");
    assert_eq!(unread(&undecided, "rows"), [&key], "{undecided}");
}

/// Id files rule out the objects of a bucket. One that cannot be read is named, and nobody says that it lacks the id.
#[test]
fn id_files_rule_objects_of_a_bucket_out_unless_they_cannot_be_read() {
    let server = S3Server::start(95);
    let setup = new_in(&bucket(&server), "ndjson.zst");
    in_objects_of_their_own(&setup, &server, &[1, 2]);
    let dir = setup.directory().join("data/wal");
    let path = write_ids(&dir, &[id(1), id(2)]);
    let found = find(&setup, &id(1), &[]);
    assert_eq!(
        (&found["verdict"], &found["in_id_files"]),
        (&json!("stored"), &json!(true)),
        "{found}"
    );
    let unknown = find(&setup, &id(99), &[]);
    assert_eq!(
        (&unknown["verdict"], &unknown["lake"]["ruled_out"]),
        (&json!("unknown"), &json!(2)),
        "{unknown}"
    );
    std::fs::write(&path, b"damaged").unwrap();
    let undecided = find(&setup, &id(99), &[]);
    assert_eq!(
        (
            &undecided["verdict"],
            &undecided["in_id_files"],
            &undecided["lake"]["looked_into"]
        ),
        (&json!("undecided"), &Value::Null, &json!(2)),
        "{undecided}"
    );
    assert_eq!(
        unread(&undecided, "id_file"),
        [path.to_str().unwrap()],
        "{undecided}"
    );
    let text = said(&setup.run(&["find", &id(99)]));
    assert!(
        text.contains("do not say whether the node received it"),
        "{text}"
    );
    // What is in the lake is found without them.
    assert_eq!(find(&setup, &id(1), &[])["verdict"], "stored");
}

/// Without filters and id files, the newest objects are read up to a bound, and what is beyond it is not denied.
#[test]
fn lines_alone_are_read_up_to_a_bound() {
    with_keys(
        "commands::find_in_bucket::lines_alone_are_read_up_to_a_bound",
        newest_lines_are_read,
    );
}

fn newest_lines_are_read() {
    let server = S3Server::start(96);
    let setup = new_in(&bucket(&server), "ndjson");
    let keys = in_objects_of_their_own(&setup, &server, &[1, 2, 3]);
    let objects: Vec<ListedObject> = keys
        .iter()
        .rev()
        .map(|key| ListedObject {
            key: key.clone(),
            bytes: server.object(key).unwrap().bytes.len() as u64,
        })
        .collect();
    let of_two: u64 = objects[..2].iter().map(|object| object.bytes).sum();
    let location = Location {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        endpoint: Some(Endpoint {
            url: server.endpoint(),
            named_by: "a test",
        }),
        region: None,
        path_style: None,
        options: ObjectOptions::default(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let look = |number: u64, limits: SearchLimits| {
        let sought = Sought::id(&id(number), "events", std::iter::empty()).unwrap();
        runtime.block_on(async {
            let place = LakeReader::open(Destination::Bucket(Box::new(location.clone()))).await;
            let objects = objects.clone();
            let found = search(&place, objects, &sought, (None, limits), &|_| {}).await;
            found.unwrap()
        })
    };
    let two_objects = SearchLimits {
        objects: 2,
        bytes: u64::MAX,
    };
    let bytes_of_two = SearchLimits {
        objects: usize::MAX,
        bytes: of_two,
    };
    for limits in [two_objects, bytes_of_two] {
        let found = look(2, limits);
        assert!(found.has_stored() && !found.is_cut, "{found:?}");
        let cut = look(1, limits);
        assert_eq!((cut.objects, cut.of), (2, 3), "{cut:?}");
        assert!(
            cut.is_cut && cut.has_gaps() && cut.rows.is_empty(),
            "{cut:?}"
        );
    }
}
