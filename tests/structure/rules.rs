//! The rules, and what breaks them.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Use, uses};
use super::sources::{Source, Sources};
use super::tokens::{Token, behind_attributes, behind_block, behind_generics, behind_item};

const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 500;
const MAX_FIELDS: usize = 15;
/// Where structs are lists by nature: keys of the configuration, metrics, lines of a report.
const LISTS: [&str; 4] = ["/config/", "/metrics", "/report", "/status"];

/// A part of the program that hides its files from the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// A file, or a module: `src/wal` is `src/wal.rs` and all files below `src/wal/`.
    pub(crate) at: &'static str,
    /// The rooms that it may use, which all stand below it in the table.
    pub(crate) uses: &'static [&'static str],
}

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Names it, without figures that change with every edit.
    pub(crate) key: String,
    /// Where it is, and what to do.
    pub(crate) about: String,
}

/// What breaks a rule and is not known to be open still, or is open no longer: for people; empty if all is well.
pub(crate) fn report(found: &[Violation], still_open: &[&str]) -> String {
    let mut lines = Vec::new();
    for violation in found {
        if !still_open.contains(&&*violation.key) {
            lines.push(format!("{}\n    {}", violation.key, violation.about));
        }
    }
    for key in still_open {
        if !found.iter().any(|violation| violation.key == *key) {
            lines.push(format!(
                "{key}\n    this holds now: take it out of STILL_OPEN"
            ));
        }
    }
    lines.join("\n")
}

/// All that breaks a rule, sorted.
pub(crate) fn violations(sources: &Sources, rooms: &[Room]) -> Vec<Violation> {
    let uses = uses(sources);
    let mut found = Found(BTreeSet::new());
    let room_of: Vec<Option<usize>> = sources.files.iter().map(|f| room_of(rooms, f)).collect();
    for (file, room) in sources.files.iter().zip(&room_of) {
        if room.is_none() {
            let about = "it belongs to no room of the table; add one, where the data passes it";
            found.add(format!("no room: {}", file.path), about);
        }
    }
    check_table(rooms, &room_of, &mut found);
    check_uses(sources, rooms, &room_of, &uses, &mut found);
    check_dependencies(sources, rooms, &room_of, &mut found);
    for (at, room) in rooms.iter().enumerate() {
        let is_within =
            |used: &&Use| room_of[used.from] == Some(at) && room_of[used.to] == Some(at);
        let graph = graph(
            uses.iter()
                .filter(is_within)
                .map(|used| (used.from, used.to)),
        );
        for circle in circles(&graph) {
            let name = |file: &usize| sources.files[*file].path.as_str();
            let names: Vec<&str> = circle.members.iter().map(name).collect();
            let way: Vec<&str> = circle.way.iter().map(name).collect();
            let key = format!("circle of files in {}: {}", room.name, names.join(", "));
            let about = "move what both sides need below them; one way round: ";
            found.add(key, format!("{about}{}", way.join(" -> ")));
        }
    }
    for file in &sources.files {
        check_file(file, &mut found);
    }
    found.0.into_iter().collect()
}

struct Found(BTreeSet<Violation>);

impl Found {
    fn add(&mut self, key: String, about: impl Into<String>) {
        let about = about.into();
        self.0.insert(Violation { key, about });
    }
}

/// The room that a file belongs to: the most special one.
fn room_of(rooms: &[Room], file: &Source) -> Option<usize> {
    let is_in = |room: &Room| {
        let below = file.path.strip_prefix(room.at);
        below.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
    };
    let own = rooms.iter().enumerate().filter(|(_, room)| is_in(room));
    Some(own.max_by_key(|(_, room)| room.at.len())?.0)
}

/// The table itself: rooms that exist, and uses that go down.
fn check_table(rooms: &[Room], room_of: &[Option<usize>], found: &mut Found) {
    for (at, room) in rooms.iter().enumerate() {
        if !room_of.contains(&Some(at)) {
            let about = format!("no file is at {}; take it out of the table", room.at);
            found.add(format!("empty room: {}", room.name), about);
        }
        for used in room.uses {
            let key = format!("table: {} -> {used}", room.name);
            match rooms.iter().position(|room| room.name == *used) {
                None => found.add(key, "there is no such room"),
                Some(below) if below <= at => {
                    let about = "a room may only use rooms that stand below it in the table";
                    found.add(key, about);
                }
                Some(_) => {}
            }
        }
    }
}

/// Uses between rooms: those that the table does not allow, those that it allows in vain, and circles.
fn check_uses(
    sources: &Sources,
    rooms: &[Room],
    room_of: &[Option<usize>],
    uses: &BTreeSet<Use>,
    found: &mut Found,
) {
    let mut edges: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for used in uses {
        if let (Some(from), Some(to)) = (room_of[used.from], room_of[used.to])
            && from != to
        {
            let (path, to_path) = (&sources.files[used.from].path, &sources.files[used.to].path);
            let place = format!("{path}:{} uses {to_path}", used.line);
            edges.entry((from, to)).or_default().push(place);
        }
    }
    let allows = |from: usize, to: usize| rooms[from].uses.contains(&rooms[to].name);
    for ((from, to), places) in &edges {
        if !allows(*from, *to) {
            let key = format!("use: {} -> {}", rooms[*from].name, rooms[*to].name);
            let about = format!(
                "the table does not allow it; move what is needed, or allow it: {}",
                places.join("; ")
            );
            found.add(key, about);
        }
    }
    for (from, room) in rooms.iter().enumerate() {
        for (to, other) in rooms.iter().enumerate() {
            if allows(from, to) && !edges.contains_key(&(from, to)) {
                let key = format!("unused: {} -> {}", room.name, other.name);
                found.add(
                    key,
                    "the table allows it, and no file needs it; take it out",
                );
            }
        }
    }
    for circle in circles(&graph(edges.keys().copied())) {
        let names: Vec<&str> = circle.members.iter().map(|at| rooms[*at].name).collect();
        let way: Vec<&str> = circle.way.iter().map(|at| rooms[*at].name).collect();
        let places: Vec<&str> = circle
            .way
            .windows(2)
            .map(|pair| edges[&(pair[0], pair[1])][0].as_str())
            .collect();
        let about = format!("one way round: {}: {}", way.join(" -> "), places.join("; "));
        found.add(format!("circle of rooms: {}", names.join(", ")), about);
    }
}

/// Crates may depend on each other only where a room of the one may use a room of the other.
fn check_dependencies(
    sources: &Sources,
    rooms: &[Room],
    room_of: &[Option<usize>],
    found: &mut Found,
) {
    let own_rooms = |name: &str| {
        let own = sources.files.iter().zip(room_of);
        let own = own.filter(move |(file, _)| file.krate.split("::").next() == Some(name));
        own.filter_map(|(_, room)| *room)
            .collect::<BTreeSet<usize>>()
    };
    for (from, to) in &sources.dependencies {
        let targets = own_rooms(to);
        let may_use = |from: usize| {
            let names = rooms[from].uses;
            targets.iter().any(|to| names.contains(&rooms[*to].name))
        };
        if !own_rooms(from).into_iter().any(may_use) {
            let about = "no room of the one may use a room of the other; take it out of Cargo.toml";
            found.add(format!("dependency: {from} -> {to}"), about);
        }
    }
}

type Graph = BTreeMap<usize, BTreeSet<usize>>;

fn graph(edges: impl Iterator<Item = (usize, usize)>) -> Graph {
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from).or_default().insert(to);
    }
    graph
}

/// Nodes that all lead to each other, and one way round that begins and ends at the first.
struct Circle {
    members: Vec<usize>,
    way: Vec<usize>,
}

/// All largest circles of a graph.
fn circles(graph: &Graph) -> Vec<Circle> {
    let reach: BTreeMap<usize, BTreeSet<usize>> = graph
        .keys()
        .map(|from| (*from, reached(graph, *from)))
        .collect();
    let leads = |from: &usize, to: &usize| reach.get(from).is_some_and(|r| r.contains(to));
    let mut done = BTreeSet::new();
    let mut circles = Vec::new();
    for first in graph.keys().filter(|node| leads(node, node)) {
        if done.contains(first) {
            continue;
        }
        let is_member = |node: &&usize| leads(first, node) && leads(node, first);
        let members: Vec<usize> = graph.keys().filter(is_member).copied().collect();
        done.extend(members.iter().copied());
        let way = way_round(graph, *first);
        circles.push(Circle { members, way });
    }
    circles
}

fn reached(graph: &Graph, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        for next in graph.get(&node).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(*next);
            }
        }
    }
    reached
}

/// The shortest way from a node to itself.
fn way_round(graph: &Graph, first: usize) -> Vec<usize> {
    let mut ways = std::collections::VecDeque::from([vec![first]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(&way[way.len() - 1]).into_iter().flatten() {
            let longer = [&way[..], &[*next]].concat();
            if *next == first {
                return longer;
            }
            if seen.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    Vec::new()
}

/// Rules about one file.
fn check_file(file: &Source, found: &mut Found) {
    let path = &file.path;
    if file.lines > MAX_FILE_LINES {
        let about = format!(
            "{} lines, at most {MAX_FILE_LINES}; tests apart",
            file.lines
        );
        found.add(format!("long file: {path}"), about);
    }
    if file.is_front_door()
        && let Some(line) = logic(&file.tokens)
    {
        let about = "only docs, attributes, `mod` and `use` belong there; move the rest to a file of its own";
        found.add(format!("logic: {path}"), format!("line {line}: {about}"));
    }
    for (at, token) in file.tokens.iter().enumerate() {
        let Some(name) = file.tokens.get(at + 1).filter(|next| next.is_word()) else {
            continue;
        };
        if token.is("fn") {
            let lines = lines_of_function(&file.tokens, at);
            if lines > MAX_FUNCTION_LINES {
                let about =
                    format!("{lines} lines, at most {MAX_FUNCTION_LINES}; cut it into steps");
                found.add(format!("long function: {path}: {}", name.text), about);
            }
        }
        if token.is("struct") && !LISTS.iter().any(|part| path.contains(part)) {
            let fields = fields_of_struct(&file.tokens, at);
            if fields > MAX_FIELDS {
                let about = format!(
                    "{fields} fields, at most {MAX_FIELDS}; give parts a type of their own"
                );
                found.add(format!("wide struct: {path}: {}", name.text), about);
            }
        }
    }
}

/// The line of the first item that is neither a `mod` without a body nor a `use`.
fn logic(tokens: &[Token]) -> Option<usize> {
    let mut at = behind_attributes(tokens, 0);
    while at < tokens.len() {
        let mut word = at;
        if tokens[word].is("pub") {
            word += 1;
            if tokens.get(word).is_some_and(|token| token.is("(")) {
                word = behind_block(tokens, word);
            }
        }
        let end = behind_item(tokens, at);
        let is_import = tokens.get(word).is_some_and(|token| token.is("use"));
        let is_module =
            tokens.get(word).is_some_and(|token| token.is("mod")) && tokens[end - 1].is(";");
        if !is_import && !is_module {
            return Some(tokens[at].line);
        }
        at = behind_attributes(tokens, end);
    }
    None
}

/// From the line of `fn` to that of the closing brace; 0 for a function without a body.
fn lines_of_function(tokens: &[Token], at: usize) -> usize {
    let Some(open) = body(tokens, at) else {
        return 0;
    };
    let close = behind_block(tokens, open) - 1;
    tokens[close].line - tokens[at].line + 1
}

/// The named fields of a struct.
fn fields_of_struct(tokens: &[Token], at: usize) -> usize {
    let Some(open) = body(tokens, at) else {
        return 0;
    };
    let end = behind_block(tokens, open) - 1;
    let mut fields = 0;
    let mut at = open + 1;
    while at < end {
        match &*tokens[at].text {
            ":" => fields += 1,
            "(" | "[" | "{" => {
                at = behind_block(tokens, at);
                continue;
            }
            "<" => {
                at = behind_generics(tokens, at);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    fields
}

/// The brace that opens the body of the item at `at`, if it has one.
fn body(tokens: &[Token], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        match &*tokens.get(at)?.text {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = behind_block(tokens, at),
            _ => at += 1,
        }
    }
}
