//! Children: polls that read once for each record of another poll, and see what readers of the lake see.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::kills::{Gate, kill_at_every_stage, succeed};
use super::{lake, poll, said};
use crate::support::api::{Api, number, page};
use crate::support::process::Setup;

/// Users, and orders of each of them; `orders` has further settings.
fn config(url: &str, orders: &str) -> String {
    format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.users]\nurl = \"{url}/users\"\nrecords = \"/users\"\nid = \"user_id\"\n\
         [poll.orders]\nurl = \"{url}/users/{{user}}/orders\"\nrecords = \"/orders\"\n\
         id = [\"user_id\", \"no\"]\nschema = \"order.json\"\n{orders}\n"
    )
}

const EACH: &str = "each = { of = \"users\", set = { user = \"/user_id\" }, add = { user_id = \"user\" } }\n\
                    pagination = { type = \"offset\", more = \"/more\" }\n";

/// Users with these ids, in pages of two, and three orders of each in pages of two.
fn answer(request: &Request, users: &[&str]) -> ResponseTemplate {
    let offset = number(request, "offset");
    let Some(user) = user_of(request) else {
        let users: Vec<Value> = users.iter().map(|id| json!({"user_id": id})).collect();
        return page(json!({"users": users}));
    };
    if !users.contains(&user.as_str()) {
        return ResponseTemplate::new(404);
    }
    let orders: Vec<Value> = (offset..(offset + 2).min(3))
        .map(|no| json!({"no": no}))
        .collect();
    page(json!({"orders": orders, "more": offset + 2 < 3}))
}

/// The user whose orders a request asks for.
fn user_of(request: &Request) -> Option<String> {
    let rest = request.url.path().strip_prefix("/users/")?;
    let user = rest.strip_suffix("/orders")?;
    Some(user.replace("%2F", "/").replace("%20", " "))
}

/// A program with those users and orders.
fn with_orders(url: &str, orders: &str) -> Setup {
    let setup = Setup::new(&config(url, orders));
    let schema = r#"{"properties":{"user_id":{"type":"string"},"no":{"type":"integer"}}}"#;
    std::fs::write(setup.directory().join("order.json"), schema).unwrap();
    setup
}

/// The pairs of user and number that the view of orders shows.
fn orders(setup: &Setup) -> (u64, BTreeSet<String>) {
    let output = setup.run(&["sql", "duckdb"]);
    assert!(output.status.success(), "{}", said(&output).0);
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, output.stdout).unwrap();
    let rows = lake(setup).query(&path, "SELECT user_id || ' ' || no FROM orders");
    let rows = rows.as_array().unwrap();
    let texts = rows.iter().map(|row| row[0].as_str().unwrap().to_owned());
    (rows.len() as u64, texts.collect())
}

fn expected(users: &[&str]) -> BTreeSet<String> {
    let of = |user: &&str| {
        (0..3)
            .map(move |no| format!("{user} {no}"))
            .collect::<Vec<_>>()
    };
    users.iter().flat_map(of).collect()
}

#[test]
fn orders_of_each_user_are_read_with_the_users_id() {
    for mode in ["snapshot", "append"] {
        let users = Arc::new(Mutex::new(vec!["a", "b/c", "d e"]));
        let known = Arc::clone(&users);
        let api = Api::start(move |request, _| answer(request, &known.lock().unwrap()));
        let setup = with_orders(&api.url(), &format!("{EACH}mode = \"{mode}\""));
        let (told, code) = poll(&setup);
        assert_eq!(code, Some(0), "{told}");
        let (rows, found) = orders(&setup);
        assert_eq!((rows, found), (9, expected(&["a", "b/c", "d e"])), "{mode}");
        // Another run sees the parent's latest run: users that have gone are not asked for.
        *users.lock().unwrap() = vec!["b/c", "new"];
        let before = api.requests().len();
        let (told, code) = poll(&setup);
        assert_eq!(code, Some(0), "{told}");
        let requests = api.requests();
        let asked: BTreeSet<_> = requests[before..].iter().filter_map(user_of).collect();
        assert_eq!(asked, BTreeSet::from(["b/c".to_owned(), "new".to_owned()]));
        let (rows, found) = orders(&setup);
        if mode == "snapshot" {
            assert_eq!((rows, found), (6, expected(&["b/c", "new"])));
        } else {
            assert_eq!((rows, found), (12, expected(&["a", "b/c", "d e", "new"])));
        }
    }
}

#[test]
fn a_child_alone_reads_what_is_visible_and_says_if_nothing_is() {
    let api = Api::start(|request, _| answer(request, &["a"]));
    let setup = with_orders(&api.url(), EACH);
    let alone = setup.run(&["poll", "orders"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(
        said(&alone).0.contains("users has nothing in the lake yet"),
        "{}",
        said(&alone).0
    );
    assert!(setup.run(&["poll", "users"]).status.success());
    assert!(setup.run(&["poll", "orders"]).status.success());
    assert_eq!(orders(&setup), (3, expected(&["a"])));
    // The parent has not changed: its marker names the run before.
    assert!(said(&setup.run(&["poll", "users"])).0.contains("unchanged"));
    let dry = setup.run(&["poll", "orders", "--dry-run"]);
    assert!(
        dry.status.success() && said(&dry).0.contains("3 records"),
        "{}",
        said(&dry).0
    );
}

#[test]
fn a_parent_that_the_api_does_not_know_counts_as_declared() {
    let first = Mutex::new(true);
    let api = Api::start(move |request, _| {
        if user_of(request).is_none() && std::mem::replace(&mut *first.lock().unwrap(), false) {
            return answer(request, &["a", "gone"]);
        }
        answer(request, &["a"])
    });
    let setup = with_orders(&api.url(), EACH);
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("users with user = gone: page 1: answered 404"),
        "{told}"
    );
    let skips = EACH.replace("\"user\" } }", "\"user\" }, missing = [404] }");
    setup.configure(&config(&api.url(), &skips));
    let orders_alone = setup.run(&["poll", "orders"]);
    let (told, code) = said(&orders_alone);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 parents unknown"), "{told}");
    assert_eq!(orders(&setup), (3, expected(&["a"])));
}

#[test]
fn an_interrupted_child_goes_on_at_the_parent_it_was_in() {
    let failed = Mutex::new(false);
    let api = Api::start(move |request, _| {
        let is_second_page =
            user_of(request).as_deref() == Some("c") && number(request, "offset") == 2;
        if is_second_page && !std::mem::replace(&mut *failed.lock().unwrap(), true) {
            return ResponseTemplate::new(418);
        }
        answer(request, &["a", "b", "c", "d"])
    });
    let setup = with_orders(&api.url(), &format!("{EACH}mode = \"append\""));
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("users with user = c: page 2"), "{told}");
    assert_eq!(orders(&setup).0, 8);
    let before = api.requests().len();
    assert!(setup.run(&["poll", "orders"]).status.success());
    let asked: Vec<_> = api.requests()[before..]
        .iter()
        .map(|request| (user_of(request).unwrap(), number(request, "offset")))
        .collect();
    let asked: Vec<_> = asked
        .iter()
        .map(|(user, offset)| (user.as_str(), *offset))
        .collect();
    assert_eq!(asked, [("c", 0), ("c", 2), ("d", 0), ("d", 2)]);
    assert_eq!(orders(&setup), (12, expected(&["a", "b", "c", "d"])));
}

#[test]
fn kills_neither_lose_nor_double_children() {
    const USERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    for mode in ["append", "snapshot"] {
        let gate = Arc::new(Gate::default());
        let passing = Arc::clone(&gate);
        let api = Api::start(move |request, _| {
            passing.pass();
            answer(request, &USERS)
        });
        let every = format!("{EACH}mode = \"{mode}\"\nevery = \"1s\"\nbudget = \"30s\"");
        let text = config(&api.url(), &every)
            .replace("id = \"user_id\"\n", "id = \"user_id\"\nevery = \"1s\"\n");
        let setup = with_orders(&api.url(), &every);
        setup.configure(&text);
        assert!(setup.run(&["poll", "users"]).status.success());
        kill_at_every_stage(&setup, &gate, 4);
        succeed(&setup);
        let (rows, found) = orders(&setup);
        assert_eq!((rows, found), (18, expected(&USERS)), "{mode}");
        if mode == "snapshot" {
            let runs = lake(&setup).runs("orders", "user_id");
            assert_eq!(runs.unmarked, Vec::<String>::new());
            for run in runs.runs.iter().filter(|run| run.same_as.is_none()) {
                assert_eq!((run.rows, run.records), (18, 18), "{run:?}");
            }
        }
    }
}

#[test]
fn check_finds_children_that_cannot_work() {
    for (each, words) in [
        (
            "each = { of = \"nobody\", set = { user = \"/user_id\" } }",
            "there is no poll",
        ),
        (
            "each = { of = \"orders\", set = { user = \"/user_id\" } }",
            "reads for this poll itself",
        ),
        ("each = { of = \"users\" }", "must name the placeholders"),
        (
            "each = { of = \"users\", set = { page = \"/x\", user = \"/user_id\" } }",
            "cannot be the name",
        ),
        (
            "each = { of = \"users\", set = { id = \"/x\" } }",
            "{user} is no placeholder",
        ),
        (
            "each = { of = \"users\", set = { user = \"/x\" }, add = { a = \"b\" } }",
            "each.set does not have",
        ),
        (
            "each = { of = \"users\", set = { user = \"/x\" }, missing = [500] }",
            "from 400 to 499",
        ),
        (
            "each = { of = \"users\", set = { user = \"/x\" } }\nmode = \"append\"\n\
             watermark = { field = \"at\", param = \"since\" }",
            "one mark cannot stand for all",
        ),
    ] {
        let setup = with_orders("http://localhost:9", each);
        let (told, code) = said(&setup.run(&["check"]));
        assert_ne!(code, Some(0), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    }
}
