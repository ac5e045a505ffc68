//! Each rule fails on a small tree of sources that breaks it, and on that one only.

use super::rules::{Room, report, violations};
use super::sources::Sources;

const ROOMS: [Room; 3] = [
    Room {
        name: "top",
        at: "src/top",
        uses: &["middle", "ground"],
    },
    Room {
        name: "middle",
        at: "src/middle",
        uses: &["ground"],
    },
    Room {
        name: "ground",
        at: "src/ground",
        uses: &[],
    },
];

const MANIFEST: (&str, &str) = ("Cargo.toml", "[package]\nname = \"lakehook\"\n");
const LIB: (&str, &str) = (
    "src/lib.rs",
    "//! Docs.\n\npub mod top;\npub mod middle;\npub mod ground;\n",
);
const DOOR: (&str, &str) = (
    "src/top/mod.rs",
    "mod first;\nmod second;\n\npub use first::First;\npub use second::Second;\n",
);
const FIRST: (&str, &str) = (
    "src/top/first.rs",
    "use crate::middle::Middle;\n/// `crate::top` is no use, nor is \"crate::top\".\npub struct First(Middle);\n",
);
const SECOND: (&str, &str) = (
    "src/top/second.rs",
    "use super::First;\npub fn second() -> First { crate::ground::make(\"crate::top\") }\n",
);
const MIDDLE: (&str, &str) = (
    "src/middle.rs",
    "use crate::{\n    ground::{self, Ground},\n};\npub struct Middle(Ground);\n\n#[cfg(test)]\nmod tests {\n    use crate::top::First;\n}\n",
);
const GROUND: (&str, &str) = ("src/ground.rs", "pub struct Ground;\n");
const SOUND: [(&str, &str); 7] = [MANIFEST, LIB, DOOR, FIRST, SECOND, MIDDLE, GROUND];

/// What breaks a rule in the sound tree with these files instead of those of the same path, or beside them.
fn broken_in(rooms: &[Room], changed: &[(&str, &str)]) -> Vec<String> {
    let kept = SOUND
        .iter()
        .filter(|(path, _)| !changed.iter().any(|(other, _)| other == path));
    let texts = kept
        .chain(changed)
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let rooms = [
        rooms,
        &[Room {
            name: "lib",
            at: "src/lib.rs",
            uses: &[],
        }],
    ];
    let sources = Sources::of(&texts.collect::<Vec<_>>());
    let violations = violations(&sources, &rooms.concat());
    violations.into_iter().map(|broken| broken.key).collect()
}

fn broken(changed: &[(&str, &str)]) -> Vec<String> {
    broken_in(&ROOMS, changed)
}

const NONE: [&str; 0] = [];

#[test]
fn a_sound_tree_breaks_nothing() {
    assert_eq!(broken(&[]), NONE);
}

#[test]
fn a_use_that_the_table_does_not_allow_is_found() {
    for text in [
        "use crate::top::First;\npub struct Ground;\n",
        "pub struct Ground(crate::top::First);\n",
        "use super::{top::{First as Other}};\npub struct Ground;\n",
        "pub fn ground() { let _ = super::top::First; }\n",
        "pub mod inner { pub type Ground = super::super::top::First; }\n",
    ] {
        let found = broken(&[("src/ground.rs", text)]);
        assert_eq!(found[0], "circle of rooms: top, middle, ground", "{text}");
        assert_eq!(found[1..], ["use: ground -> top"], "{text}");
    }
}

#[test]
fn an_entry_of_the_table_that_no_file_needs_is_found() {
    let second = ("src/top/second.rs", "pub struct Second;\n");
    assert_eq!(broken(&[second]), ["unused: top -> ground"]);
}

#[test]
fn an_entry_of_the_table_that_goes_up_or_nowhere_is_found() {
    let mut rooms = ROOMS;
    rooms[2].uses = &["middle"];
    rooms[1].uses = &["ground", "cellar"];
    assert_eq!(
        broken_in(&rooms, &[]),
        [
            "table: ground -> middle",
            "table: middle -> cellar",
            "unused: ground -> middle"
        ]
    );
}

#[test]
fn a_file_without_a_room_and_a_room_without_a_file_are_found() {
    let attic = ("src/attic.rs", "pub struct Attic;\n");
    assert_eq!(broken(&[attic]), ["no room: src/attic.rs"]);
    let mut rooms = ROOMS.to_vec();
    rooms.push(Room {
        name: "cellar",
        at: "src/cellar",
        uses: &[],
    });
    assert_eq!(broken_in(&rooms, &[]), ["empty room: cellar"]);
}

#[test]
fn a_circle_of_files_is_found_through_the_front_door_too() {
    for text in [
        "use super::Second;\nuse crate::middle::Middle;\npub struct First(Middle);\n",
        "use super::second::Second;\nuse crate::middle::Middle;\n",
        "use crate::{middle::Middle, top::Second};\n",
    ] {
        let first = ("src/top/first.rs", text);
        let circle = "circle of files in top: src/top/first.rs, src/top/second.rs";
        assert_eq!(broken(&[first]), [circle], "{text}");
    }
}

#[test]
fn what_only_tests_see_is_no_use_and_no_logic() {
    let long = "\n".repeat(600);
    let tests = format!("use crate::top::First;\n{long}fn f() {{{long}}}\n");
    let ground = "pub struct Ground;\n#[cfg(test)]\n#[path = \"ground_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod made;\n#[cfg(test)]\nfn f<T, U>() where T: First, U: First { crate::top::First }\n#[cfg(test)]\nuse crate::top::First;\npub struct Other {\n    #[cfg(test)]\n    seen: crate::top::First,\n}\n";
    let files = [
        ("src/ground.rs", ground),
        ("src/ground_tests.rs", &tests),
        ("src/ground/made.rs", &tests),
        ("src/ground/tests/mod.rs", &tests),
    ];
    assert_eq!(broken(&files), NONE);
}

#[test]
fn logic_in_a_front_door_is_found() {
    for item in [
        "pub struct Door;",
        "pub fn door() {}",
        "pub const DOOR: usize = 1;",
        "mod inner { }",
        "impl First { }",
        "#[derive(Debug)]\nenum Door { Open }",
    ] {
        let door = format!("{}\n{item}\n", DOOR.1);
        let found = broken(&[("src/top/mod.rs", &door)]);
        assert_eq!(found, ["logic: src/top/mod.rs"], "{item}");
    }
    let door = format!(
        "//! Docs.\n#![allow(dead_code, reason = \"{{}}\")]\n{}#[cfg(test)]\nmod tests;\n#[rustfmt::skip]\npub(crate) use crate::{{middle::Middle, ground::*}};\n",
        DOOR.1
    );
    assert_eq!(broken(&[("src/top/mod.rs", &door)]), NONE);
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| {
        let body = "    go(); // {\n".repeat(lines - 2);
        format!("pub struct Ground;\nfn long(a: [u8; 2]) {{\n{body}}}\ntrait T {{ fn none(); }}\n")
    };
    assert_eq!(broken(&[("src/ground.rs", &function(70))]), NONE);
    assert_eq!(
        broken(&[("src/ground.rs", &function(71))]),
        ["long function: src/ground.rs: long"]
    );
}

#[test]
fn a_long_file_is_found() {
    let file = |lines: usize| "// More.\n".repeat(lines);
    assert_eq!(broken(&[("src/ground.rs", &file(500))]), NONE);
    let found = broken(&[("src/ground.rs", &file(501))]);
    assert_eq!(found, ["long file: src/ground.rs"]);
}

#[test]
fn a_wide_struct_is_found() {
    let wide = |fields: usize| {
        use std::fmt::Write as _;
        let mut text = "pub struct Ground<T: Clone> where T: Copy {\n".to_owned();
        for field in 0..fields {
            let field = writeln!(
                text,
                "pub(crate) f{field}: Map<std::u8, fn(a: &'a u8) -> [T; 2]>,"
            );
            field.unwrap();
        }
        text + "}\n"
    };
    assert_eq!(broken(&[("src/ground.rs", &wide(15))]), NONE);
    let found = broken(&[("src/ground.rs", &wide(16))]);
    assert_eq!(found, ["wide struct: src/ground.rs: Ground"]);
}

#[test]
fn layers_may_be_crates_of_the_workspace() {
    let ground = ("crates/base/src/ground.rs", "pub struct Ground;\n");
    let base = ("crates/base/src/lib.rs", "pub mod ground;\n");
    let manifest = (
        "crates/base/Cargo.toml",
        "[package]\nname = \"lakehook-base\"\n",
    );
    let root = (
        "Cargo.toml",
        "[package]\nname = \"lakehook\"\n\n[dependencies]\nlakehook-base = { path = \"crates/base\" }\n",
    );
    let middle = ("src/middle.rs", "use lakehook_base::ground::Ground;\n");
    let second = (
        "src/top/second.rs",
        "pub fn second() { lakehook_base::ground::make() }\n",
    );
    let lib = ("src/lib.rs", "pub mod top;\npub mod middle;\n");
    let mut files = vec![ground, base, manifest, root, middle, second, lib];
    files.push(("src/ground.rs", ""));
    let mut rooms = ROOMS.to_vec();
    rooms[2].at = "crates/base/src";
    rooms.push(Room {
        name: "left over",
        at: "src/ground.rs",
        uses: &[],
    });
    assert_eq!(broken_in(&rooms, &files), NONE);

    files[4].1 = "pub struct Middle;\n";
    assert_eq!(broken_in(&rooms, &files), ["unused: middle -> ground"]);
    rooms[0].uses = &["middle"];
    rooms[1].uses = &[];
    assert_eq!(
        broken_in(&rooms, &files),
        [
            "dependency: lakehook -> lakehook_base",
            "use: top -> ground"
        ]
    );
}

#[test]
fn what_is_still_open_must_be_open_still() {
    let second = ("src/top/second.rs", "pub struct Second;\n");
    let texts = [MANIFEST, LIB, DOOR, FIRST, second, MIDDLE, GROUND];
    let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let mut rooms = ROOMS.to_vec();
    rooms.push(Room {
        name: "lib",
        at: "src/lib.rs",
        uses: &[],
    });
    let found = violations(&Sources::of(&texts), &rooms);
    let open = "unused: top -> ground";
    assert_eq!(report(&found, &[open]), "");
    assert!(report(&found, &[]).starts_with(open));
    assert!(report(&found, &[open, "use: ground -> top"]).starts_with("use: ground -> top\n"));
}
